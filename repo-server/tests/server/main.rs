//! Drives the built `debfleet-server` over its sockets and its data folder, and kills it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod api;
mod authority;
mod backends;
mod backup;
mod certificates;
mod commands;
mod conformance;
mod durability;
mod imports;
mod keys;
mod messaging;
mod moto;
mod operations;
mod package;
mod people;
mod policies;
mod postgres;
mod provisioning;
mod publishing;
mod reading;
mod repeats;
mod running;
mod schemas;
mod shadows;
mod sharing;
mod shutdown;
mod slow_readers;
mod suites;
mod things;
