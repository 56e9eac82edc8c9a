//! `debfleet thing`: one module for each of its commands.

mod change;
mod import;
mod list;
mod principals;
mod shadow;
mod show;
mod thing_type;

use crate::report::printable;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use fleet_protocol::things::{Attributes, Thing};
use std::collections::BTreeMap;

/// Registers things, which are devices, and finds them.
///
/// DEBFLEET_TOKEN holds a token: one of the role viewer reads, one of the role operator changes.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: ThingCommand,
}

#[derive(Subcommand)]
enum ThingCommand {
    Create(change::Create),
    List(list::List),
    Search(list::Search),
    Show(show::Arguments),
    Update(change::Update),
    Delete(change::Delete),
    Import(import::Arguments),
    Attach(principals::Attach),
    Detach(principals::Detach),
    Type(thing_type::Arguments),
    Shadow(shadow::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        ThingCommand::Create(arguments) => change::create(arguments),
        ThingCommand::List(arguments) => list::list(arguments),
        ThingCommand::Search(arguments) => list::search(arguments),
        ThingCommand::Show(arguments) => show::run(arguments),
        ThingCommand::Update(arguments) => change::update(arguments),
        ThingCommand::Delete(arguments) => change::delete(arguments),
        ThingCommand::Import(arguments) => import::run(arguments),
        ThingCommand::Attach(arguments) => principals::attach(arguments),
        ThingCommand::Detach(arguments) => principals::detach(arguments),
        ThingCommand::Shadow(arguments) => shadow::run(arguments),
        ThingCommand::Type(arguments) => thing_type::run(arguments),
    }
}

/// A thing on one line.
fn line(thing: &Thing) -> String {
    let kind = thing.thing_type_name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
    printable(&format!("{}{kind}{}", thing.thing_name, in_line(&thing.attributes)))
}

/// Attributes, each behind a blank.
pub(super) fn in_line(attributes: &Attributes) -> String {
    attributes.as_map().iter().map(|(name, value)| format!(" {name}={value}")).collect()
}

/// An attribute as it is typed.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("give a name and a value, as in color=warm".to_owned()),
    }
}

/// Attributes as they are typed, checked before a server is asked.
pub(super) fn attributes(pairs: &[(String, String)]) -> Result<Attributes> {
    let map: BTreeMap<String, String> = pairs.iter().cloned().collect();
    map.try_into().context("an --attribute cannot be")
}
