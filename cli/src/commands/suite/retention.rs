//! `debfleet suite retention`: what a suite keeps.

use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use debian_formats::names::SuiteName;
use fleet_protocol::suites::{Retention, retention_path};

/// Shows or sets how many versions of each package a suite keeps, and for how long.
///
/// What goes is withdrawn at once, and from then on every hour. The newest version of a package always stays; a snapshot
/// keeps all that it holds. A package that no suite holds leaves the pool when no index that names it is valid any more.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  debfleet suite retention stable\n  debfleet suite retention beta --versions 3 --days 90\n  \
                  debfleet suite retention beta --versions 0 --days 0      (all, for ever)"
)]
pub(crate) struct Arguments {
    /// The suite
    #[arg(value_name = "SUITE")]
    suite: SuiteName,
    /// Keep so many of the newest versions; 0: all
    #[arg(long, value_name = "N")]
    versions: Option<u32>,
    /// Keep older versions for so many days; 0: for ever
    #[arg(long, value_name = "N")]
    days: Option<u32>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let server = arguments.server.connect()?;
    let (suite, path) = (&arguments.suite, retention_path(arguments.suite.as_str()));
    let failed = || format!("could not ask {} what {suite} keeps", server.address());
    let mut retention: Retention = server.get(&path).with_context(failed)?;
    if arguments.versions.is_some() || arguments.days.is_some() {
        retention.versions = arguments.versions.unwrap_or(retention.versions);
        retention.days = arguments.days.unwrap_or(retention.days);
        let failed = || format!("could not set what {suite} keeps on {}", server.address());
        retention = server.put(&path, &retention).with_context(failed)?;
    }
    if arguments.json {
        return report::result(&serde_json::to_string(&retention)?);
    }
    let versions = match retention.versions {
        0 => "all versions".to_owned(),
        1 => "the newest version".to_owned(),
        count => format!("the {count} newest versions"),
    };
    let days = if retention.days == 0 { String::new() } else { format!(", older ones for {} days", retention.days) };
    report::result(&format!("{suite} keeps {versions} of each package{days}"))
}
