//! `debfleet thing shadow list`: the named shadows of a thing.

use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result, bail};
use clap::Args;
use fleet_protocol::names::{ShadowName, ThingName};
use fleet_protocol::shadow::{NamedShadows, named_shadows_path};

/// Lists the names of a thing's named shadows. The classic shadow has none.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet thing shadow list lamp-1\n  debfleet thing shadow list lamp-1 --json")]
pub(crate) struct Arguments {
    /// The thing
    #[arg(value_name = "THING")]
    thing: ThingName,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let server = arguments.server.connect()?;
    let thing = &arguments.thing;
    let mut names: Vec<ShadowName> = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let page: NamedShadows = server
            .get(&named_shadows_path(thing, next.as_deref()))
            .with_context(|| format!("could not list the shadows of {thing} on {}", server.address()))?;
        let last = page.results.last().cloned();
        if page.results.iter().any(|name| names.contains(name)) {
            bail!("the server gave a page of shadows that leads nowhere; check that it is a debfleet-server");
        }
        names.extend(page.results);
        if page.next_token.is_none() {
            break;
        }
        next = last.map(String::from);
    }
    if arguments.json {
        return report::result(&serde_json::to_string(&names).context("could not write the names as JSON")?);
    }
    names.iter().try_for_each(|name| report::result(name.as_str()))
}
