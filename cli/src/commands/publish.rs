//! `debfleet publish`: packages go into a suite of the server.

use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use debian_formats::deb::{Deb, DebError, DebProblem, SignatureRole};
use debian_formats::limits::Limits;
use debian_formats::names::SuiteName;
use std::path::PathBuf;

/// Uploads packages into a suite of a debfleet-server.
///
/// The token comes from the variable DEBFLEET_TOKEN, never from a flag, so that no list of processes and no log shows
/// it. All files are checked before the first is sent; the first that the server refuses ends the command.
#[derive(Args)]
#[command(after_help = "Example:\n  DEBFLEET_TOKEN=… debfleet publish dist/hi_0.1.0-1_all.deb \
                  --server https://fleet.example.org:8443 --ca fleet-ca.pem --suite stable")]
pub(crate) struct Arguments {
    /// The packages
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    server: ServerOptions,
    /// The suite to publish in
    #[arg(long, value_name = "NAME")]
    suite: SuiteName,
    /// Print a JSON object for each package published
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let debs = arguments.files.iter().map(|path| check(path)).collect::<Result<Vec<_>, _>>()?;
    let server = arguments.server.connect()?;
    let mut published: Vec<String> = Vec::new();
    for deb in &debs {
        let name = deb.path().display().to_string();
        let answer = match server.upload(deb.path(), &arguments.suite) {
            Ok(answer) => answer,
            Err(error) if debs.len() == 1 => return Err(error),
            Err(error) if published.is_empty() => return Err(error.context("nothing was published")),
            Err(error) => return Err(error.context(format!("stopped; published before: {}", published.join(", ")))),
        };
        if arguments.json {
            report::result(&serde_json::to_string(&answer).context("could not write the answer as JSON")?)?;
        } else {
            let what = format!("{} {} for {}", answer.package, answer.version, answer.architecture);
            let outcome = if answer.created { "published in" } else { "was already in" };
            report::result(&format!("{what} {outcome} {}: {}", answer.suite, answer.filename))?;
        }
        published.push(name);
    }
    Ok(())
}

/// What the server would refuse anyway is refused before anything is sent.
fn check(path: &std::path::Path) -> Result<Deb, DebError> {
    let deb = Deb::open(path, Limits::DEFAULT)?;
    let origin = SignatureRole::origin();
    if deb.signature_roles().any(|role| *role == origin) {
        Ok(deb)
    } else {
        Err(DebError { path: path.to_owned(), problem: DebProblem::Unsigned(origin) })
    }
}
