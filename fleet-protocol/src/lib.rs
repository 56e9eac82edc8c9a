//! What CI, server and device say to each other: shapes and their rules, no sockets, no clock.

pub mod access;
pub mod audit;
pub mod certificates;
pub mod fleet_query;
pub mod mqtt_topic;
pub mod names;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod people;
pub mod policies;
pub mod policy;
pub mod presence;
pub mod provisioning;
pub mod publishing;
pub mod shadow;
pub mod suites;
pub mod things;
pub mod update_document;
pub mod update_policy;
