//! `debfleet thing type`: what kinds of things there are.

use crate::report::{self, printable, url_encoded};
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use fleet_protocol::names::ThingTypeName;
use fleet_protocol::things::{
    Deprecation, NewThingType, THING_TYPES_PATH, ThingType, ThingTypePage, ThingTypeProperties, deprecation_path,
    thing_type_path,
};

/// Makes, lists and ends the types that things may have.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: TypeCommand,
}

#[derive(Subcommand)]
enum TypeCommand {
    Create(Create),
    List(List),
    Deprecate(Deprecate),
    Delete(Delete),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        TypeCommand::Create(arguments) => create(arguments),
        TypeCommand::List(arguments) => list(arguments),
        TypeCommand::Deprecate(arguments) => deprecate(arguments),
        TypeCommand::Delete(arguments) => delete(arguments),
    }
}

/// Makes a type.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet thing type create lamp --description 'Lamps with Wi-Fi'")]
struct Create {
    /// The type
    #[arg(value_name = "TYPE")]
    thing_type: ThingTypeName,
    /// What its things are
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    description: String,
    /// An attribute that they are mostly looked for by; up to three
    #[arg(long = "searchable-attribute", value_name = "NAME")]
    searchable: Vec<String>,
    #[command(flatten)]
    server: ServerOptions,
}

fn create(arguments: &Create) -> Result<()> {
    let name = &arguments.thing_type;
    let thing_type_properties = ThingTypeProperties {
        thing_type_description: arguments.description.clone().try_into()?,
        searchable_attributes: arguments.searchable.clone().try_into()?,
    };
    let server = arguments.server.connect()?;
    let made: ThingType = server
        .post(&thing_type_path(name), &NewThingType { thing_type_properties })
        .with_context(|| format!("could not make the thing type {name} on {}", server.address()))?;
    report::result(&line(&made))
}

/// Lists all types, by name.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet thing type list")]
struct List {
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object on each line
    #[arg(long)]
    json: bool,
}

fn list(arguments: &List) -> Result<()> {
    let server = arguments.server.connect()?;
    server.pages(|after| {
        let ThingTypePage { thing_types, next } = server
            .get(&format!("{THING_TYPES_PATH}?after={}", url_encoded(after)))
            .with_context(|| format!("could not list the thing types of {}", server.address()))?;
        for found in &thing_types {
            report::result(&if arguments.json { serde_json::to_string(found)? } else { line(found) })?;
        }
        Ok(next)
    })
}

/// Says that no thing may be given a type any more. Things that have it keep it.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet thing type deprecate lamp")]
struct Deprecate {
    /// The type
    #[arg(value_name = "TYPE")]
    thing_type: ThingTypeName,
    /// Things may be given it again
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    server: ServerOptions,
}

fn deprecate(arguments: &Deprecate) -> Result<()> {
    let name = &arguments.thing_type;
    let server = arguments.server.connect()?;
    let changed: ThingType = server
        .post(&deprecation_path(name), &Deprecation { undo_deprecate: arguments.undo })
        .with_context(|| format!("could not change the thing type {name} on {}", server.address()))?;
    report::result(&line(&changed))
}

/// Deletes a type that is deprecated and that no thing has.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet thing type delete lamp")]
struct Delete {
    /// The type
    #[arg(value_name = "TYPE")]
    thing_type: ThingTypeName,
    #[command(flatten)]
    server: ServerOptions,
}

fn delete(arguments: &Delete) -> Result<()> {
    let name = &arguments.thing_type;
    let server = arguments.server.connect()?;
    let gone: ThingType = server
        .delete(&thing_type_path(name))
        .with_context(|| format!("could not delete the thing type {name} on {}", server.address()))?;
    report::result(&format!("{} was deleted", gone.thing_type_name))
}

fn line(found: &ThingType) -> String {
    let ThingType { thing_type_name: name, thing_type_properties, thing_type_metadata, .. } = found;
    let description = thing_type_properties.thing_type_description.as_str();
    let description = if description.is_empty() { String::new() } else { format!(": {description}") };
    let since = thing_type_metadata.deprecation_date.map_or(String::new(), |at| format!(" (deprecated since {at})"));
    printable(&format!("{name}{description}{since}"))
}
