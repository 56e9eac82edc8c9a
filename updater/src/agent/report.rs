//! What the agent tells people and scripts.

use super::Places;
use super::waiting::waiting;
use crate::config::Config;
use crate::memory::Memory;
use crate::system::{Device, Dpkg};
use crate::transaction::{Failure, Journal, Outcome, State, Transaction};
use anyhow::Result;
use debian_formats::names::SuiteName;
use debian_formats::{PackageName, Version};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;

/// The outcome of a check.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct CheckReport {
    pub(crate) suite: SuiteName,
    pub(crate) packages: Vec<PackageCheck>,
}

/// One package of a check.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PackageCheck {
    name: PackageName,
    installed: Option<Version>,
    /// What an update would install; none if there is nothing to do.
    available: Option<Version>,
    /// Why nothing can be installed.
    problem: Option<String>,
}

impl PackageCheck {
    pub(super) fn new(name: &PackageName, installed: Option<Version>, available: Result<Option<Version>>) -> Self {
        let (available, problem) = match available {
            Ok(available) => (available, None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        Self { name: name.clone(), installed, available, problem }
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for package in &self.packages {
            let PackageCheck { name, installed, available, problem } = package;
            let installed = version_or(installed.as_ref(), "not installed");
            match (available, problem) {
                (Some(available), _) => writeln!(f, "{name}: {installed}, {available} is available in {}", self.suite)?,
                (None, Some(problem)) => writeln!(f, "{name}: {installed}, {problem}")?,
                (None, None) => writeln!(f, "{name}: {installed}, up to date")?,
            }
        }
        Ok(())
    }
}

/// Where the device stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct StatusReport {
    state: &'static str,
    suite: SuiteName,
    packages: Vec<PackageStatus>,
    /// Which update `run` found, and what it waits for.
    waiting: Option<String>,
    last_failure: Option<FailureReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct PackageStatus {
    name: PackageName,
    installed: Option<Version>,
    /// The version before the last committed update.
    previous: Option<Version>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct FailureReport {
    at: String,
    outcome: Outcome,
    reason: String,
    /// `name version`, as it was to be installed.
    packages: Vec<String>,
    left_behind: Vec<String>,
}

impl StatusReport {
    /// The packages that are there, and their versions.
    pub(super) fn installed(&self) -> impl Iterator<Item = (&PackageName, &Version)> {
        self.packages.iter().filter_map(|package| Some((&package.name, package.installed.as_ref()?)))
    }

    /// All else.
    pub(super) fn without_packages(&self) -> Map<String, Value> {
        let Ok(Value::Object(mut report)) = serde_json::to_value(self) else { return Map::new() };
        report.remove("packages");
        // A shadow has no null.
        report.retain(|_, value| !value.is_null());
        report
    }

    /// Why the last update that failed did.
    pub(super) fn last_reason(self) -> Option<String> {
        self.last_failure.map(|failure| failure.reason)
    }
}

impl From<&Failure> for FailureReport {
    fn from(failure: &Failure) -> Self {
        let packages = failure.transaction.iter().flat_map(Transaction::asked_first);
        Self {
            at: failure.at.to_string(),
            outcome: failure.outcome,
            reason: failure.reason.clone(),
            packages: packages.map(|package| format!("{} {}", package.name, package.to)).collect(),
            left_behind: failure.left_behind.clone(),
        }
    }
}

/// Reads the device's state without taking it over, so that it can be asked while an update is under way.
pub(crate) fn status(config: &Config) -> Result<StatusReport> {
    let places = Places::of(config);
    durable_files::create_dir(&config.state_dir, 0o700)?;
    let journal = Journal::open_if_there(&places.journal)?;
    let memory = Memory::open(&places.memory);
    memory.demand_readable()?;
    let state = journal.as_ref().map_or(&State::Idle, Journal::state);
    let device = Device { root: config.root.clone(), scripts: config.scripts };
    // Not the agent's log: it may be writing there.
    let log = config.state_dir.join("status.log");
    let installed = Dpkg::new(device, log).installed()?;
    let in_transaction = state.transaction().into_iter().flat_map(Transaction::of_suite);
    let mut names = config.packages.clone();
    names.extend(in_transaction.map(|package| package.name.clone()));
    names.sort();
    names.dedup();
    let package = |name: PackageName| PackageStatus {
        installed: installed.iter().find(|found| found.name == name).map(|found| found.version.clone()),
        previous: memory.previous(&name).cloned(),
        name,
    };
    Ok(StatusReport {
        state: state.name(),
        suite: config.suite.clone(),
        packages: names.into_iter().map(package).collect(),
        waiting: waiting(config, |name, version| {
            installed.iter().any(|found| found.name == *name && found.version >= *version)
        }),
        last_failure: journal.as_ref().and_then(Journal::last_failure).map(FailureReport::from),
    })
}

impl fmt::Display for StatusReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "state: {} (suite {})", self.state, self.suite)?;
        for package in &self.packages {
            let installed = version_or(package.installed.as_ref(), "not installed");
            let before = package.previous.as_ref().map(|version| format!(", before it {version}"));
            writeln!(f, "{}: {installed}{}", package.name, before.unwrap_or_default())?;
        }
        if let Some(waiting) = &self.waiting {
            writeln!(f, "{waiting}")?;
        }
        if let Some(failure) = &self.last_failure {
            let what =
                if failure.packages.is_empty() { String::new() } else { format!(" ({})", a_few(&failure.packages)) };
            let how = match failure.outcome {
                Outcome::Refused => "last refused",
                Outcome::Abandoned => "last given up before anything was changed",
                Outcome::Postponed => "last postponed, and nothing was changed",
                Outcome::RolledBack => "last rolled back",
                Outcome::Stuck => "could not be rolled back",
            };
            writeln!(f, "{how}, {}{what}: {}", failure.at, failure.reason)?;
            if !failure.left_behind.is_empty() {
                writeln!(f, "changed meanwhile and not put back: {}", failure.left_behind.join(", "))?;
            }
        }
        Ok(())
    }
}

/// The first of a list, and how many more there are.
pub(super) fn a_few(list: &[String]) -> String {
    const FEW: usize = 4;
    let shown = list.iter().take(FEW).map(String::as_str).collect::<Vec<_>>().join(", ");
    if list.len() > FEW { format!("{shown} and {} more", list.len() - FEW) } else { shown }
}

fn version_or(version: Option<&Version>, otherwise: &str) -> String {
    version.map_or_else(|| otherwise.to_owned(), Version::to_string)
}
