//! `debfleet key`: one module for each of its commands.

mod export;
mod files;
mod keyring_package;
mod new;
mod rotate;
mod show;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Makes, shows, exports and rotates the keys that sign packages.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Subcommand)]
enum KeyCommand {
    New(new::Arguments),
    Show(show::Arguments),
    Export(export::Arguments),
    Rotate(rotate::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        KeyCommand::New(arguments) => new::run(arguments),
        KeyCommand::Show(arguments) => show::run(arguments),
        KeyCommand::Export(arguments) => export::run(arguments),
        KeyCommand::Rotate(arguments) => rotate::run(arguments),
    }
}
