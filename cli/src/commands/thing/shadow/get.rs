//! `debfleet thing shadow get`: what a shadow holds.

use super::WhichShadow;
use super::lines::lines_of;
use crate::report::{self, printable};
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

/// Shows a shadow: what is desired, what was reported, and as delta what is desired and not reported.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet thing shadow get lamp-1\n  \
                  debfleet thing shadow get lamp-1 --name '$package' --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    shadow: WhichShadow,
    #[command(flatten)]
    server: ServerOptions,
    /// Print the whole document as a JSON object, with the times of the attributes
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let server = arguments.server.connect()?;
    let shadow = arguments.shadow.id();
    let document: Value = server
        .get(&shadow.path())
        .with_context(|| format!("could not get the shadow of {} from {}", shadow.label(), server.address()))?;
    if arguments.json {
        return report::result(&document.to_string());
    }
    let state = document.get("state").context("the server's answer has no state; check the URL")?;
    report::result(&format!("{}: version {}", shadow.label(), document.get("version").unwrap_or(&Value::Null)))?;
    let lines = state.as_object().filter(|state| !state.is_empty()).map(|_| lines_of("", state)).unwrap_or_default();
    lines.iter().try_for_each(|line| report::result(&printable(line)))
}
