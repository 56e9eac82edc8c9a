//! `debfleet suite import`: many packages at once, out of a folder or of somebody else's archive.

mod archive;
mod folder;

use crate::report;
use crate::server::{Server, ServerOptions};
use crate::tar_stream::{Next, TarStream};
use anyhow::{Result, bail};
use clap::Args;
use debian_formats::names::{ComponentName, SuiteName};
use fleet_protocol::publishing::{Imported, import_path};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal as _};
use std::time::Duration;
use ureq::SendBody;

/// For a hundred thousand packages over a slow line.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Puts many packages into a suite: all of a folder, or those of an apt archive.
///
/// The server checks each as if it were published alone; those that it refuses are told with the reason, and the others
/// are published together. It is safe to run twice.
///
/// With --from-suite the packages come from an apt archive. Its Release must be signed by a key of --keyring and not have
/// expired; each index and each package must be what that Release says. Only what the suite lacks is fetched.
#[derive(Args)]
#[command(after_help = "Examples:
  debfleet suite import /var/www/debian/pool --suite stable
  debfleet suite import pool --suite upstream --unsigned      (a token of the role admin)
  debfleet suite import http://deb.debian.org/debian --from-suite bookworm --component main --architecture amd64 \\
      --keyring /usr/share/keyrings/debian-archive-keyring.gpg --package hello --package 'htop*' \\
      --suite upstream --unsigned --mirror --dry-run")]
pub(crate) struct Arguments {
    /// A folder, of which all .debs in it and below are taken; with --from-suite the address of an apt archive (http, https,
    /// file) or the folder that its `dists` lies in
    #[arg(value_name = "DIR|URL")]
    source: String,
    /// The suite
    #[arg(long, value_name = "NAME")]
    suite: SuiteName,
    /// The component, `main` unless given; of an archive may be repeated, and all are taken unless given
    #[arg(long, value_name = "NAME")]
    component: Vec<ComponentName>,
    #[command(flatten)]
    archive: archive::Options,
    /// Also packages that no package key has signed; plain apt installs them, debfleet-updater refuses them
    #[arg(long)]
    unsigned: bool,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.archive.from_suite {
        Some(from) => archive::run(arguments, from),
        None if arguments.source.contains("://") => {
            bail!("{} is an archive; say which of its suites is meant with --from-suite", arguments.source)
        }
        None => folder::run(arguments),
    }
}

/// Sends files to the server as one import.
fn send(
    server: &Server,
    arguments: &Arguments,
    component: &ComponentName,
    files: impl Iterator<Item = io::Result<Next>>,
) -> Result<Imported> {
    let path = import_path(arguments.suite.as_str());
    let path = format!("{path}?component={component}&unsigned={}", arguments.unsigned);
    let request = server.prepare(server.agent().post(server.url(&path)));
    let request = request.config().timeout_send_body(Some(LONGEST)).timeout_recv_response(Some(LONGEST)).build();
    let request = request.header("content-type", "application/x-tar").header("expect", "100-continue");
    let mut tar = TarStream::new(files);
    let answer = request.send(SendBody::from_reader(&mut tar));
    server.answer(answer)
}

fn progress(packages: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        eprintln!("importing {packages} packages");
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("importing [{bar:30}] {pos}/{len} packages, {eta} left");
    ProgressBar::new(packages).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn tell_refusals(imported: &Imported) {
    for refusal in &imported.refusals {
        eprintln!("refused {}: {}", report::printable(&refusal.name), report::printable(&refusal.reason));
    }
}
