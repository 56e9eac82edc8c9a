//! `debfleet token`: one module for each of its commands.

mod create;
mod expiry;
mod list;
mod revoke;

pub(crate) use expiry::Expiry;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Makes, lists and revokes the tokens of a server: what people, CI and devices show it.
///
/// DEBFLEET_TOKEN holds an admin's token. When none is at hand, `debfleet-server token create` makes one on the server.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Subcommand)]
enum TokenCommand {
    Create(create::Arguments),
    List(list::Arguments),
    Revoke(revoke::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        TokenCommand::Create(arguments) => create::run(arguments),
        TokenCommand::List(arguments) => list::run(arguments),
        TokenCommand::Revoke(arguments) => revoke::run(arguments),
    }
}
