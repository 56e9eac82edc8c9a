//! `debfleet-updater`: the agent on the device.

mod agent;
mod broker;
mod command_line;
mod commands;
mod config;
mod device_key;
mod fleet;
mod history;
mod identity;
mod logging;
mod memory;
mod policy;
mod progress;
mod repository;
mod snapshot;
mod stages;
mod supervision;
mod system;
mod transaction;

use clap::Parser;
use command_line::CommandLine;
use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "manual")]
    if let Some(written) = command_manual::write_if_asked::<CommandLine>("debfleet-updater") {
        return written;
    }
    let arguments = CommandLine::parse();
    logging::start();
    match commands::run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(if error.is::<agent::InBetween>() { 4 } else { 1 })
        }
    }
}
