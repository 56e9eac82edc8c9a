//! `debfleet suite list` and `create`.

use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use debian_formats::names::SuiteName;
use fleet_protocol::suites::{SUITES_PATH, SuiteContents, SuiteInfo, SuiteList, contents_path};

/// Lists the suites of a server, or what one of them holds.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet suite list\n  debfleet suite list stable")]
pub(crate) struct Arguments {
    /// The suite whose packages are listed; absent: list the suites
    #[arg(value_name = "SUITE")]
    suite: Option<SuiteName>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object on each line
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let server = arguments.server.connect()?;
    let failed = || format!("could not ask {} for its suites", server.address());
    let Some(suite) = &arguments.suite else {
        let SuiteList { suites } = server.get(SUITES_PATH).with_context(failed)?;
        return suites.iter().try_for_each(|suite| {
            let line = if arguments.json { serde_json::to_string(suite)? } else { suite.name.clone() };
            report::result(&line)
        });
    };
    let mut after = String::new();
    loop {
        let path = format!("{}?after={}", contents_path(suite.as_str()), report::url_encoded(&after));
        let SuiteContents { packages, next } = server.get(&path).with_context(failed)?;
        for package in &packages {
            report::result(&super::line(package, arguments.json)?)?;
        }
        let Some(next) = next else { return Ok(()) };
        after = next;
    }
}

/// Makes an empty suite, which devices can subscribe to at once.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet suite create beta")]
pub(crate) struct Create {
    /// The suite
    #[arg(value_name = "SUITE")]
    suite: SuiteName,
    #[command(flatten)]
    server: ServerOptions,
}

pub(crate) fn create(arguments: &Create) -> Result<()> {
    let server = arguments.server.connect()?;
    let asked = SuiteInfo { name: arguments.suite.to_string() };
    let made: SuiteInfo = server
        .post(SUITES_PATH, &asked)
        .with_context(|| format!("could not make {} at {}", asked.name, server.address()))?;
    eprintln!("devices read it with {}", server.repository_link(&format!("{}.sources", made.name)));
    report::result(&made.name)
}
