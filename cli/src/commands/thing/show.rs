//! `debfleet thing show`: all that is known of a thing.

use crate::report::{self, printable};
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use fleet_protocol::names::ThingName;
use fleet_protocol::things::{GroupsOfThing, Principals, Thing, principals_path, thing_groups_path, thing_path};
use serde_json::json;

/// Shows a thing, its groups and the certificates that speak for it.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet thing show lamp-1")]
pub(crate) struct Arguments {
    /// The thing
    #[arg(value_name = "NAME")]
    thing: ThingName,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let name = &arguments.thing;
    let server = arguments.server.connect()?;
    let failed = || format!("could not ask {} for the thing {name}", server.address());
    let thing: Thing = server.get(&thing_path(name)).with_context(failed)?;
    let GroupsOfThing { thing_groups } = server.get(&thing_groups_path(name)).with_context(failed)?;
    let Principals { principals } = server.get(&principals_path(name)).with_context(failed)?;
    if arguments.json {
        let mut object = serde_json::to_value(&thing)?;
        object["thingGroupNames"] = json!(thing_groups);
        object["principals"] = json!(principals);
        return report::result(&object.to_string());
    }
    let mut lines = vec![format!("{} ({})", thing.thing_name, thing.thing_id)];
    lines.extend(thing.thing_type_name.iter().map(|name| format!("  type: {name}")));
    lines.extend(thing.attributes.as_map().iter().map(|(name, value)| format!("  {name} = {value}")));
    lines.extend(thing_groups.iter().map(|group| format!("  in the group {group}")));
    lines.extend(principals.iter().map(|id| format!("  certificate {id}")));
    lines.push(format!("  version {}, made {}", thing.version, thing.creation_date));
    lines.iter().try_for_each(|line| report::result(&printable(line)))
}
