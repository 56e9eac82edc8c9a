//! debfleet-server: the apt repository, its publishers and its fleet.
//!
//! One folder per domain (`repository`, `access`, `certificates`, `policies`, `audit`, `repeats`, `fleet_ca`, `things`, `shadows`, `people`), each with its
//! decisions and its store. `http` calls the domains, never the reverse; every route stands in `http/router.rs`.

mod access;
mod audit;
pub mod backup;
pub mod broker;
mod certificate;
mod certificates;
pub mod config;
mod data_dir;
mod database;
pub mod external_broker;
mod fleet_ca;
mod generation;
mod http;
pub mod init;
mod listening;
pub mod local;
pub mod logging;
mod messaging;
mod metrics;
mod mqtt;
mod people;
mod policies;
mod provisioning;
pub mod proxies;
mod reload;
mod repeats;
mod repository;
pub mod serve;
mod shadows;
pub mod sockets;
mod sql;
mod storage;
mod supervision;
mod things;
pub mod web_origins;
