//! `debfleet policy`: one module for each of its commands.

mod attach;
mod create;
mod delete;
mod list;
mod show;
mod test;
mod version;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use fleet_protocol::policy::{Document, LONGEST_TEXT};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Makes, changes, attaches and tests policies: what devices may do over MQTT and HTTPS.
///
/// The language is that of AWS IoT policies. DEBFLEET_TOKEN holds a token: any to look, an admin's to change.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Subcommand)]
enum PolicyCommand {
    Create(create::Arguments),
    List(list::Arguments),
    Show(show::Arguments),
    Version(version::Arguments),
    Attach(attach::AttachArguments),
    Detach(attach::DetachArguments),
    Delete(delete::Arguments),
    Test(test::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        PolicyCommand::Create(arguments) => create::run(arguments),
        PolicyCommand::List(arguments) => list::run(arguments),
        PolicyCommand::Show(arguments) => show::run(arguments),
        PolicyCommand::Version(arguments) => version::run(arguments),
        PolicyCommand::Attach(arguments) => attach::attach(arguments),
        PolicyCommand::Detach(arguments) => attach::detach(arguments),
        PolicyCommand::Delete(arguments) => delete::run(arguments),
        PolicyCommand::Test(arguments) => test::run(arguments),
    }
}

/// The text of a document, and what it says: a mistake is told without asking a server.
fn read_document(path: &Path) -> Result<(String, Document)> {
    let (mut text, shown) = (String::new(), path.display());
    let file = File::open(path).with_context(|| format!("could not read {shown}"))?;
    let more_than_enough = LONGEST_TEXT as u64 + 1;
    file.take(more_than_enough).read_to_string(&mut text).with_context(|| format!("could not read {shown}"))?;
    let document = text.parse().with_context(|| format!("{shown} is no policy"))?;
    Ok((text, document))
}
