//! `debfleet key`: one module for each of its commands.

mod new;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Makes the keys that sign packages.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Subcommand)]
enum KeyCommand {
    New(new::Arguments),
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        KeyCommand::New(arguments) => new::run(&arguments),
    }
}
