//! `debfleet thing list` and `search`.

use super::line;
use crate::report::{self, printable, url_encoded};
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use fleet_protocol::fleet_query::Query;
use fleet_protocol::things::{SEARCH_PATH, SearchPage, THINGS_PATH, ThingDocument, ThingPage};

/// Lists all things, by name.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet thing list\n  debfleet thing list --json | jq -r .thingName")]
pub(crate) struct List {
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object on each line
    #[arg(long)]
    json: bool,
}

pub(crate) fn list(arguments: &List) -> Result<()> {
    let server = arguments.server.connect()?;
    server.pages(|after| {
        let ThingPage { things, next } = server
            .get(&format!("{THINGS_PATH}?after={}", url_encoded(after)))
            .with_context(|| format!("could not list the things of {}", server.address()))?;
        for thing in &things {
            report::result(&if arguments.json { serde_json::to_string(thing)? } else { line(thing) })?;
        }
        Ok(next)
    })
}

/// Finds things.
///
/// The query is in the syntax of AWS IoT fleet indexing: terms such as `thingName:lamp*`, `attributes.room:kitchen`,
/// `attributes.watts:[5 TO 10]`, `thingTypeName:lamp`, `thingGroupNames:verified`, `shadow.reported.battery<20`,
/// `shadow.name.$package.reported.hi.version:1.3.0-1` and `connectivity.connected:true`, with AND, OR, NOT and brackets
/// between them. A term without a field is looked for in all of them.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  debfleet thing search 'thingTypeName:lamp AND attributes.room:(kitchen OR attic)'\n  \
                  debfleet thing search 'NOT shadow.name.$package.reported.hi.version:1.3.0-1' --json"
)]
pub(crate) struct Search {
    /// What is looked for
    #[arg(value_name = "QUERY", allow_hyphen_values = true)]
    query: String,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object on each line
    #[arg(long)]
    json: bool,
}

pub(crate) fn search(arguments: &Search) -> Result<()> {
    let query: Query = arguments.query.parse().context("the query cannot be understood")?;
    drop(query);
    let server = arguments.server.connect()?;
    server.pages(|after| {
        let path = format!("{SEARCH_PATH}?query={}&after={}", url_encoded(&arguments.query), url_encoded(after));
        let SearchPage { things, next } =
            server.get(&path).with_context(|| format!("could not search the things of {}", server.address()))?;
        for found in &things {
            report::result(&if arguments.json { serde_json::to_string(found)? } else { found_line(found) })?;
        }
        Ok(next)
    })
}

fn found_line(found: &ThingDocument) -> String {
    let ThingDocument { thing, thing_group_names, connectivity } = found;
    let groups: Vec<&str> = thing_group_names.iter().map(|name| name.as_str()).collect();
    let groups = if groups.is_empty() { String::new() } else { format!("; in {}", groups.join(", ")) };
    let state = connectivity.as_ref().map_or("", |it| if it.connected { "; connected" } else { "; not connected" });
    printable(&format!("{}{groups}{state}", line(thing)))
}
