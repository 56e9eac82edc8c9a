//! `debfleet thing create`, `update` and `delete`.

use super::{attributes, line, pair};
use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result, bail};
use clap::Args;
use fleet_protocol::names::{GroupName, ThingName, ThingTypeName};
use fleet_protocol::things::{AttributePayload, Done, NewThing, Thing, ThingChange, group_thing_path, thing_path};

/// Makes a thing. One that is there already, just so, stays.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet thing create lamp-1 --type lamp --attribute room=kitchen --group kitchen")]
pub(crate) struct Create {
    /// Its name: up to 128 letters, digits, `:`, `_` and `-`
    #[arg(value_name = "NAME")]
    thing: ThingName,
    /// Its type
    #[arg(long = "type", value_name = "TYPE")]
    thing_type: Option<ThingTypeName>,
    /// What is noted about it; may be given several times
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// A static group that it shall be in; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<GroupName>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn create(arguments: &Create) -> Result<()> {
    let name = &arguments.thing;
    let attribute_payload = AttributePayload { attributes: attributes(&arguments.attributes)?, merge: false };
    let new = NewThing { thing_type_name: arguments.thing_type.clone(), attribute_payload };
    let server = arguments.server.connect()?;
    let made: Thing = server
        .post(&thing_path(name), &new)
        .with_context(|| format!("could not make the thing {name} on {}", server.address()))?;
    for group in &arguments.groups {
        let _: Done = server
            .put(&group_thing_path(group, name), &())
            .with_context(|| format!("the thing {name} is there, but could not be put into the group {group}"))?;
    }
    tell(&made, arguments.json)
}

/// Changes a thing's type or attributes. What is not named stays.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet thing update lamp-1 --attribute room=attic --remove-attribute shelf\n  \
                  debfleet thing update lamp-1 --no-type")]
pub(crate) struct Update {
    /// The thing
    #[arg(value_name = "NAME")]
    thing: ThingName,
    /// Another type
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "no_type")]
    thing_type: Option<ThingTypeName>,
    /// No type any more
    #[arg(long)]
    no_type: bool,
    /// An attribute that it shall have; may be given several times
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// An attribute that it shall have no longer; may be given several times
    #[arg(long = "remove-attribute", value_name = "NAME")]
    removed: Vec<String>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn update(arguments: &Update) -> Result<()> {
    let Update { thing, thing_type, no_type, attributes: new, removed, server, json } = arguments;
    if thing_type.is_none() && !no_type && new.is_empty() && removed.is_empty() {
        bail!("nothing to change was named; give --type, --no-type, --attribute or --remove-attribute");
    }
    if let Some((name, _)) = new.iter().find(|(_, value)| value.is_empty()) {
        bail!("--attribute {name}= has no value; --remove-attribute {name} takes it away");
    }
    let gone = removed.iter().map(|name| (name.clone(), String::new()));
    let pairs: Vec<_> = new.iter().cloned().chain(gone).collect();
    let payload = AttributePayload { attributes: attributes(&pairs)?, merge: true };
    let change = ThingChange {
        thing_type_name: thing_type.clone(),
        remove_thing_type: *no_type,
        attribute_payload: (!pairs.is_empty()).then_some(payload),
        expected_version: None,
    };
    let server = server.connect()?;
    let changed: Thing = server
        .patch(&thing_path(thing), &change)
        .with_context(|| format!("could not change the thing {thing} on {}", server.address()))?;
    tell(&changed, *json)
}

fn tell(thing: &Thing, json: bool) -> Result<()> {
    report::result(&if json { serde_json::to_string(thing)? } else { line(thing) })
}

/// Deletes things. A thing that a certificate speaks for stays; detach that first.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet thing delete lamp-1 lamp-2")]
pub(crate) struct Delete {
    /// The things
    #[arg(value_name = "NAME", required = true)]
    things: Vec<ThingName>,
    #[command(flatten)]
    server: ServerOptions,
}

pub(crate) fn delete(arguments: &Delete) -> Result<()> {
    let server = arguments.server.connect()?;
    for name in &arguments.things {
        let gone: Thing = server
            .delete(&thing_path(name))
            .with_context(|| format!("could not delete the thing {name} on {}", server.address()))?;
        report::result(&format!("{} was deleted", gone.thing_name))?;
    }
    Ok(())
}
