//! `debfleet suite snapshot` and `return`.

use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use debian_formats::names::SuiteName;
use fleet_protocol::suites::{SuiteInfo, return_path, snapshots_path};
use serde_json::json;

/// Freezes a suite as it is now; prints the snapshot's name.
///
/// A snapshot is a suite that never changes: devices can subscribe to it, and the suite can return to it at any time.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet suite snapshot stable        prints such as stable-20261121t101500z")]
pub(crate) struct Snapshot {
    /// The suite
    #[arg(value_name = "SUITE")]
    suite: SuiteName,
    #[command(flatten)]
    server: ServerOptions,
}

pub(crate) fn snapshot(arguments: &Snapshot) -> Result<()> {
    let server = arguments.server.connect()?;
    let failed = || format!("could not freeze {} at {}", arguments.suite, server.address());
    let made: SuiteInfo =
        server.post_once(&snapshots_path(arguments.suite.as_str()), &json!({})).with_context(failed)?;
    report::result(&made.name)
}

/// Has a suite hold exactly what a snapshot holds, at once.
///
/// Devices that have installed something newer keep it until they are told otherwise: apt does not downgrade by itself.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet suite return stable stable-20261121t101500z")]
pub(crate) struct Return {
    /// The suite
    #[arg(value_name = "SUITE")]
    suite: SuiteName,
    /// The snapshot
    #[arg(value_name = "SNAPSHOT")]
    snapshot: SuiteName,
    #[command(flatten)]
    server: ServerOptions,
}

pub(crate) fn return_to(arguments: &Return) -> Result<()> {
    let Return { suite, snapshot, server } = arguments;
    let server = server.connect()?;
    let asked = SuiteInfo { name: snapshot.to_string() };
    let failed = || format!("could not return {suite} to {snapshot} at {}", server.address());
    let _: SuiteInfo = server.post(&return_path(suite.as_str()), &asked).with_context(failed)?;
    report::result(&format!("{suite} holds what {snapshot} holds"))
}
