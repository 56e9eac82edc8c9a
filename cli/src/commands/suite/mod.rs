//! `debfleet suite`: one module for each of its commands.

mod access;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Sets up the suites of a server.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: SuiteCommand,
}

#[derive(Subcommand)]
enum SuiteCommand {
    Access(access::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        SuiteCommand::Access(arguments) => access::run(arguments),
    }
}
