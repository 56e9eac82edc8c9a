//! `debfleet thing shadow delete`: a shadow is no more.

use super::WhichShadow;
use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use fleet_protocol::shadow::Deleted;

/// Deletes a shadow. When it is made again, its version goes on from where it was.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet thing shadow delete lamp-1\n  \
                  debfleet thing shadow delete lamp-1 --name network")]
pub(crate) struct Arguments {
    #[command(flatten)]
    shadow: WhichShadow,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let server = arguments.server.connect()?;
    let shadow = arguments.shadow.id();
    let deleted: Deleted = server
        .delete(&shadow.path())
        .with_context(|| format!("could not delete the shadow of {} on {}", shadow.label(), server.address()))?;
    if arguments.json {
        return report::result(&serde_json::to_string(&deleted).context("could not write the answer as JSON")?);
    }
    report::result(&format!("{}: deleted at version {}", shadow.label(), deleted.version))
}
