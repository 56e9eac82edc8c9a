//! `debfleet-updater`: the agent on the device.

mod agent;
mod command_line;
mod commands;
mod config;
mod history;
#[cfg(feature = "manual")]
mod manual;
mod memory;
mod policy;
mod repository;
mod snapshot;
mod stages;
mod supervision;
mod system;
mod transaction;

use clap::Parser;
use command_line::CommandLine;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    #[cfg(feature = "manual")]
    if let Some(out) = manual::asked_for() {
        return manual::write(&out);
    }
    let arguments = CommandLine::parse();
    let filter = EnvFilter::try_from_env("DEBFLEET_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .without_time()
        .init();
    match commands::run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(if error.is::<agent::InBetween>() { 4 } else { 1 })
        }
    }
}
