//! Packages of somebody else's apt archive.

use super::{Arguments, progress, send, tell_refusals};
use crate::report;
use crate::server::Server;
use crate::tar_stream::{Next, TarFile};
use crate::upstream::{
    Fetched, Plan, Selection, Source, Wanted, fetch_all, read_keyrings, read_packages, read_release, with_dependencies,
};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use debian_formats::Architecture;
use debian_formats::names::{ComponentName, SuiteName};
use debian_formats::upstream::UpstreamPackage;
use fleet_protocol::publishing::{Imported, RefusedPackage};
use fleet_protocol::suites::{SuiteContents, SuitePackage, Withdrawal, Withdrawn, contents_path, withdrawals_path};
use globset::Glob;
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// The server takes no more in one import.
const MOST: usize = 200_000;
/// Packages that are withdrawn in one publication.
const MOST_WITHDRAWN: usize = 10_000;
/// Packages of an index that are told as unreadable, before it is none.
const MOST_UNREADABLE: usize = 1000;
/// Dependencies that the archive lacks, and that are told.
const MOST_NOTED: usize = 50;
/// The server takes a silent connection for broken.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// Which packages of an archive.
#[derive(Args)]
#[command(next_help_heading = "Of an apt archive")]
pub(super) struct Options {
    /// The archive's suite, such as bookworm
    #[arg(long, value_name = "NAME", value_parser = upstream_suite)]
    pub(super) from_suite: Option<String>,
    /// The keys that the archive's Release must be signed by; may be repeated
    #[arg(long, value_name = "FILE", requires = "from_suite")]
    keyring: Vec<PathBuf>,
    /// Only for this architecture, and packages for all; may be repeated
    #[arg(long, value_name = "ARCH", requires = "from_suite")]
    architecture: Vec<Architecture>,
    /// Only packages of this name, which may hold * and ?; may be repeated
    #[arg(long, value_name = "NAME", requires = "from_suite")]
    package: Vec<Glob>,
    /// Only packages of this priority, such as required; may be repeated. With --package: what fits one of them
    #[arg(long, value_name = "PRIORITY", requires = "from_suite")]
    priority: Vec<String>,
    /// Only so many of each package's newest versions
    #[arg(long, value_name = "N", requires = "from_suite")]
    versions: Option<NonZeroUsize>,
    /// Also what the chosen packages depend on, in its newest version; of alternatives one
    #[arg(long, requires = "from_suite")]
    with_dependencies: bool,
    /// Withdraw whatever else the suite holds, so that it equals what was chosen of the archive
    #[arg(long, requires = "from_suite")]
    mirror: bool,
    /// Print what would be done, and change nothing
    #[arg(long, requires = "from_suite")]
    dry_run: bool,
}

/// A suite's folder below `dists`.
fn upstream_suite(text: &str) -> Result<String, String> {
    let is_name = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+".contains(&byte);
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain)
    };
    if text.split('/').all(is_name) { Ok(text.to_owned()) } else { Err("a suite is named like bookworm".to_owned()) }
}

pub(super) fn run(arguments: &Arguments, from: &str) -> Result<()> {
    let options = &arguments.archive;
    let trusted = read_keyrings(&options.keyring)?;
    let selection = Selection::new(&options.package, &options.priority, &options.architecture, options.versions)?;
    let source = Source::new(&arguments.source)?;
    let server = arguments.server.connect()?;
    let held = contents(&server, &arguments.suite)?;
    let release = read_release(&source, from, &trusted, Timestamp::now())?;
    let signers: Vec<String> = release.signers().iter().map(ToString::to_string).collect();
    eprintln!("{from} is signed by {}", signers.join(" and "));

    let (mut chosen, mut others, mut report) = (Vec::new(), Vec::new(), Report::new(&arguments.suite));
    let wanted = Wanted { suite: from, components: &arguments.component, architectures: &options.architecture };
    read_packages(&source, &release, &wanted, |component, stanza| {
        match UpstreamPackage::from_stanza(stanza, component) {
            Ok(package) if selection.fits_machine(&package) && selection.names(&package) => chosen.push(package),
            Ok(package) if selection.fits_machine(&package) && options.with_dependencies => others.push(package),
            Ok(_) => {}
            Err(problem) => {
                let name = stanza.get("Package").unwrap_or_default();
                if selection.may_name(name) {
                    report.failed(name, &format!("in the index {problem}"));
                }
                if report.refused > MOST_UNREADABLE {
                    bail!("the archive's index names too many packages that cannot be; nothing was changed");
                }
            }
        }
        // The indexes of two architectures name packages of `all` twice.
        if chosen.len() + others.len() > 2 * MOST {
            bail!(
                "the choice is among more than {MOST} packages; narrow it by --package, --component or --architecture"
            );
        }
        Ok(())
    })?;
    let (mut chosen, mut missing) = (selection.keep(chosen), BTreeSet::<String>::new());
    if options.with_dependencies {
        (chosen, missing) = with_dependencies(chosen, &others);
    }
    if chosen.is_empty() || chosen.len() > MOST {
        bail!("{} packages were chosen, of 1 to {MOST} that an import may have; nothing was changed", chosen.len());
    }
    for name in &options.package {
        let matcher = name.compile_matcher();
        if !chosen.iter().any(|package| matcher.is_match(package.name.as_str())) {
            eprintln!("note: no package is named {name}");
        }
    }
    for relation in missing.iter().take(MOST_NOTED) {
        eprintln!("note: the archive has no {}", report::printable(relation));
    }
    let plan = Plan::new(chosen, held, options.mirror);
    report.held = plan.held;
    if options.dry_run {
        tell_plan(&plan, &report, arguments)
    } else {
        carry_out(plan, report, arguments, &source, &server)
    }
}

/// Everything that a suite holds.
fn contents(server: &Server, suite: &SuiteName) -> Result<Vec<SuitePackage>> {
    let (mut held, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("{}?after={}", contents_path(suite.as_str()), report::url_encoded(&after));
        let failed = || format!("could not ask {} what {suite} holds", server.address());
        let SuiteContents { packages, next } = server.get(&path).with_context(failed)?;
        held.extend(packages);
        let Some(next) = next else { return Ok(held) };
        after = next;
    }
}

fn tell_plan(plan: &Plan, report: &Report, arguments: &Arguments) -> Result<()> {
    let (suite, bytes) = (&arguments.suite, plan.bytes());
    if arguments.json {
        let told = serde_json::json!({
            "suite": suite, "add": plan.add.len(), "bytes": bytes, "held": plan.held, "withdraw": plan.withdraw.len(),
        });
        return report::result(&told.to_string());
    }
    for UpstreamPackage { name, version, architecture, component, size, .. } in &plan.add {
        report::result(&format!("add {name} {version} ({architecture}, {component}), {}", report::size(*size)))?;
    }
    for package in &plan.withdraw {
        report::result(&format!("withdraw {}", super::super::line(package, false)?))?;
    }
    report.tell_failures();
    let (add, held, withdraw) = (plan.add.len(), plan.held, plan.withdraw.len());
    let size = report::size(bytes);
    report::result(&format!("{add} packages to add to {suite} ({size}), {held} are there, {withdraw} to withdraw"))
}

fn carry_out(plan: Plan, mut report: Report, arguments: &Arguments, source: &Source, server: &Server) -> Result<()> {
    let mut parts: BTreeMap<ComponentName, Vec<UpstreamPackage>> = BTreeMap::new();
    for package in &plan.add {
        parts.entry(package.component.clone()).or_default().push(package.clone());
    }
    let progress = progress(plan.add.len() as u64);
    for (component, packages) in parts {
        let imported = std::thread::scope(|scope| {
            let mut files =
                Files { fetched: fetch_all(scope, source, packages), report: &mut report, progress: &progress };
            send(server, arguments, &component, &mut files)
        });
        let failed = || format!("could not import into {} at {}", arguments.suite, server.address());
        let imported = imported.with_context(failed)?;
        progress.suspend(|| tell_refusals(&imported));
        report.took(imported);
    }
    progress.finish_and_clear();
    withdraw(&plan, &mut report, arguments, server)?;
    report.tell(arguments)
}

fn withdraw(plan: &Plan, report: &mut Report, arguments: &Arguments, server: &Server) -> Result<()> {
    if !report.names_all_failures() {
        eprintln!("nothing was withdrawn, as more packages were refused than are told here");
        return Ok(());
    }
    let packages = plan.withdraw_without(&report.failed_names());
    let kept = plan.withdraw.len() - packages.len();
    if kept > 0 {
        eprintln!("{kept} packages stay, as newer ones of their names did not come");
    }
    for packages in packages.chunks(MOST_WITHDRAWN) {
        let asked = Withdrawal { packages: packages.iter().map(|package| package.sha256.clone()).collect() };
        let answer: Result<Withdrawn> = server.post(&withdrawals_path(arguments.suite.as_str()), &asked);
        let failed = || format!("could not withdraw from {} what the archive has no more", arguments.suite);
        report.withdrawn += answer.with_context(failed)?.withdrawn;
    }
    Ok(())
}

/// What was fetched, on its way into the tar.
struct Files<'a> {
    fetched: Receiver<Fetched>,
    report: &'a mut Report,
    progress: &'a ProgressBar,
}

impl Iterator for Files<'_> {
    type Item = io::Result<Next>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (package, content) = match self.fetched.recv_timeout(SIGN_OF_LIFE) {
                Ok(fetched) => fetched,
                Err(RecvTimeoutError::Timeout) => return Some(Ok(Next::Pause)),
                Err(RecvTimeoutError::Disconnected) => return None,
            };
            self.progress.inc(1);
            let name = package.filename.rsplit('/').next().unwrap_or_default().to_owned();
            match content {
                Ok(content) => {
                    return Some(Ok(Next::File(TarFile { name, size: package.size, content: Box::new(content) })));
                }
                Err(error) => self.progress.suspend(|| self.report.failed(&name, &format!("{error:#}"))),
            }
        }
    }
}

/// How an import ended.
#[derive(Serialize)]
struct Report {
    suite: String,
    added: usize,
    held: usize,
    refused: usize,
    withdrawn: usize,
    /// What did not come from the archive, and what the server did not take.
    refusals: Vec<RefusedPackage>,
}

impl Report {
    fn new(suite: &SuiteName) -> Self {
        Self { suite: suite.to_string(), added: 0, held: 0, refused: 0, withdrawn: 0, refusals: Vec::new() }
    }

    /// Something did not come from the archive.
    fn failed(&mut self, name: &str, reason: &str) {
        eprintln!("not fetched: {}: {}", report::printable(name), report::printable(reason));
        self.refused += 1;
        self.refusals.push(RefusedPackage { name: name.to_owned(), reason: reason.to_owned() });
    }

    fn took(&mut self, imported: Imported) {
        self.added += imported.added;
        self.held += imported.held;
        self.refused += imported.refused;
        self.refusals.extend(imported.refusals);
    }

    fn names_all_failures(&self) -> bool {
        self.refused == self.refusals.len()
    }

    /// Of packages. A file's name begins with it.
    fn failed_names(&self) -> BTreeSet<String> {
        let files = self.refusals.iter().filter_map(|refusal| refusal.name.rsplit('/').next());
        files.filter_map(|file| file.split('_').next()).map(str::to_owned).collect()
    }

    fn tell_failures(&self) {
        if self.refused > 0 {
            eprintln!("{} packages of the archive cannot be had", self.refused);
        }
    }

    fn tell(&self, arguments: &Arguments) -> Result<()> {
        let Self { suite, added, held, refused, withdrawn, .. } = self;
        if arguments.json {
            report::result(&serde_json::to_string(self)?)?;
        } else {
            let told = format!("{added} packages added to {suite}, {held} were there, {refused} refused");
            let withdrawn = if arguments.archive.mirror { format!(", {withdrawn} withdrawn") } else { String::new() };
            report::result(&(told + &withdrawn))?;
        }
        if *refused > 0 {
            bail!(
                "{refused} packages did not come into {suite}; the others are published. Run the command again for them"
            );
        }
        Ok(())
    }
}
