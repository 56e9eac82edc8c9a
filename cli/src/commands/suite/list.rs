//! `debfleet suite list` and `create`.

use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result, bail};
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
    let path = arguments.suite.as_ref().map_or(SUITES_PATH.to_owned(), |suite| contents_path(suite.as_str()));
    let mut after = String::new();
    loop {
        let page = format!("{path}?after={}", report::url_encoded(&after));
        let (lines, next) = if arguments.suite.is_some() {
            let SuiteContents { packages, next } = server.get(&page).with_context(failed)?;
            (packages.iter().map(|package| super::line(package, arguments.json)).collect::<Result<Vec<_>>>()?, next)
        } else {
            let SuiteList { suites, next } = server.get(&page).with_context(failed)?;
            (suites.iter().map(|suite| suite_line(suite, arguments.json)).collect::<Result<Vec<_>>>()?, next)
        };
        lines.iter().try_for_each(|line| report::result(line))?;
        match next {
            Some(next) if next != after => after = next,
            Some(_) => bail!("the server gave a page that leads nowhere; check that it is a debfleet-server"),
            None => return Ok(()),
        }
    }
}

fn suite_line(suite: &SuiteInfo, json: bool) -> Result<String> {
    Ok(if json { serde_json::to_string(suite)? } else { report::printable(&suite.name) })
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
