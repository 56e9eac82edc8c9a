//! Thousands of devices in one process, each with a certificate and a connection of its own, for `cargo xtask bench
//! broker`. It speaks MQTT 3.1.1 to any broker.

mod certificates;
mod client;
mod count;
mod register;
mod run;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Many devices at once.
#[derive(Debug, Parser)]
struct CommandLine {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Make certificates for devices, an operator and a server
    Make {
        /// The authority's certificate (PEM); it is made if absent
        #[arg(long, value_name = "FILE", requires = "ca_key")]
        ca: PathBuf,
        /// Its key (PEM)
        #[arg(long, value_name = "FILE")]
        ca_key: PathBuf,
        /// How many devices
        #[arg(long, value_name = "N")]
        count: usize,
        /// Where they go
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Register the certificates with debfleet-server; the things must be there. DEBFLEET_TOKEN holds an admin's token
    Register {
        /// Its address
        #[arg(long, value_name = "URL")]
        server: String,
        /// What `make` made
        #[arg(long, value_name = "DIR")]
        folder: PathBuf,
    },
    /// Be all of them: what is read from standard input is done, and its seconds are printed
    ///
    /// `connect`; `command`: a message to each device; `report`: one from each.
    Run {
        /// The broker's port on this machine
        #[arg(long, value_name = "PORT")]
        port: u16,
        /// What `make` made
        #[arg(long, value_name = "DIR")]
        folder: PathBuf,
        /// Keep the sessions, come back after a broken connection, and print `half` when half of a `command` has arrived
        #[arg(long)]
        kept: bool,
    },
}

fn main() -> Result<()> {
    match CommandLine::parse().task {
        Task::Make { ca, ca_key, count, out } => certificates::make(&ca, &ca_key, count, &out),
        Task::Register { server, folder } => register::register(&server, &folder),
        Task::Run { port, folder, kept } => {
            tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run::run(port, &folder, kept))
        }
    }
}
