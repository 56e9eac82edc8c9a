//! What the device must not forget between transactions, each change durable.

use debian_formats::names::SuiteName;
use debian_formats::{PackageName, Version};
use durable_files::DurableError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Facts {
    /// The newest Release Date accepted for each suite.
    newest_release: BTreeMap<SuiteName, Timestamp>,
    /// No version below may be installed; a package key signed it.
    rollback_floor: BTreeMap<PackageName, Version>,
    /// Floors of a version on trial; they count once it is committed.
    proposed_floor: BTreeMap<PackageName, Version>,
    /// Versions that were rolled back here; not tried again unless somebody asks anew.
    rolled_back: BTreeMap<PackageName, BTreeSet<String>>,
    /// The version of each package before its last committed update.
    previous: BTreeMap<PackageName, Version>,
    /// Paths that a version of a package changed without saying so, found after a rollback.
    left_behind: BTreeMap<PackageName, BTreeSet<String>>,
    /// SHA-256 of the databases that others change too, when the last transaction was committed.
    committed_databases: Option<String>,
    /// When the transaction began that was committed last.
    last_committed: Option<Timestamp>,
    /// How often a version was interrupted on its way, without a word about the version itself.
    interrupted: BTreeMap<PackageName, Interruptions>,
    /// What a later version of the updater noted here: kept for the day when it comes back.
    #[serde(flatten)]
    of_later_versions: BTreeMap<String, serde_json::Value>,
}

/// So many packages may have changed what they did not declare, and each so many paths.
const MAX_PACKAGES: usize = 100;
const MAX_LEFT_BEHIND: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Interruptions {
    version: String,
    times: u32,
}

/// A version that is interrupted as often as this may itself be what cuts the power.
const MAX_INTERRUPTIONS: u32 = 3;

/// The facts and where they are kept.
#[derive(Debug)]
pub(crate) struct Memory {
    path: PathBuf,
    facts: Facts,
    /// Why the file cannot be read; then it is not written either.
    problem: Option<String>,
}

/// Why the facts cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MemoryError {
    #[error(transparent)]
    Write(#[from] DurableError),
    #[error("{path} cannot be read: {problem}; it guards against old releases, so nothing is installed without it")]
    Unreadable { path: PathBuf, problem: String },
    #[error("{path} cannot be written as JSON: {cause}")]
    Encode { path: PathBuf, cause: serde_json::Error },
}

impl Memory {
    /// Reads the facts, or begins with none. Damaged ones stop every change of them and whoever calls
    /// [`Memory::demand_readable`], and not the end of an interrupted update.
    pub(crate) fn open(path: &Path) -> Self {
        let read = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Facts::default()),
            Err(error) => Err(error.to_string()),
        };
        let (facts, problem) = match read {
            Ok(facts) => (facts, None),
            Err(problem) => (Facts::default(), Some(problem)),
        };
        Self { path: path.to_owned(), facts, problem }
    }

    /// Whether what it answers is what was once written.
    pub(crate) fn demand_readable(&self) -> Result<(), MemoryError> {
        match &self.problem {
            None => Ok(()),
            Some(problem) => Err(MemoryError::Unreadable { path: self.path.clone(), problem: problem.clone() }),
        }
    }

    /// Paths to copy away, too, before a package is updated: an attempt that was rolled back changed them.
    pub(crate) fn left_behind(&self, name: &PackageName) -> impl Iterator<Item = &String> {
        self.facts.left_behind.get(name).into_iter().flatten()
    }

    /// Remembers what an attempt to update a package changed and what was not put back, up to a bound.
    pub(crate) fn note_left_behind(&mut self, name: &PackageName, paths: &[String]) -> Result<(), MemoryError> {
        if paths.iter().all(|path| self.left_behind(name).any(|known| known == path)) {
            return Ok(());
        }
        self.change(|facts| {
            if facts.left_behind.len() < MAX_PACKAGES || facts.left_behind.contains_key(name) {
                let known = facts.left_behind.entry(name.clone()).or_default();
                known.extend(paths.iter().take(MAX_LEFT_BEHIND.saturating_sub(known.len())).cloned());
            }
        })
    }

    /// The newest Date accepted for a suite.
    pub(crate) fn newest_release(&self, suite: &SuiteName) -> Option<Timestamp> {
        self.facts.newest_release.get(suite).copied()
    }

    /// Remembers an accepted Release; never goes back.
    pub(crate) fn saw_release(&mut self, suite: &SuiteName, date: Timestamp) -> Result<(), MemoryError> {
        self.change(|facts| {
            let newest = facts.newest_release.entry(suite.clone()).or_insert(date);
            *newest = date.max(*newest);
        })
    }

    /// The lowest version of a package that may be installed.
    pub(crate) fn rollback_floor(&self, package: &PackageName) -> Option<&Version> {
        self.facts.rollback_floor.get(package)
    }

    /// Notes the floor of a version on trial.
    pub(crate) fn propose_rollback_floor(&mut self, package: &PackageName, floor: &Version) -> Result<(), MemoryError> {
        self.change(|facts| {
            facts.proposed_floor.insert(package.clone(), floor.clone());
        })
    }

    /// The version on trial was committed: its floor counts from now on. A floor is never lowered.
    pub(crate) fn confirm_rollback_floor(&mut self, package: &PackageName) -> Result<(), MemoryError> {
        self.change(|facts| {
            if let Some(proposed) = facts.proposed_floor.remove(package) {
                let floor = facts.rollback_floor.entry(package.clone()).or_insert_with(|| proposed.clone());
                if *floor < proposed {
                    *floor = proposed;
                }
            }
        })
    }

    /// The version on trial was rolled back: its floor never counted.
    pub(crate) fn drop_proposed_floor(&mut self, package: &PackageName) -> Result<(), MemoryError> {
        self.change(|facts| {
            facts.proposed_floor.remove(package);
        })
    }

    /// Whether this version was rolled back here.
    pub(crate) fn was_rolled_back(&self, package: &PackageName, version: &Version) -> bool {
        self.facts.rolled_back.get(package).is_some_and(|versions| versions.contains(version.as_str()))
    }

    /// Remembers that a version did not work here.
    pub(crate) fn note_rolled_back(&mut self, package: &PackageName, version: &Version) -> Result<(), MemoryError> {
        self.change(|facts| {
            facts.rolled_back.entry(package.clone()).or_default().insert(version.as_str().to_owned());
        })
    }

    /// Remembers that a version was interrupted. One that never gets to its end counts as one that does not work.
    pub(crate) fn note_interrupted(&mut self, package: &PackageName, version: &Version) -> Result<(), MemoryError> {
        self.change(|facts| {
            let version = version.as_str();
            let known = facts.interrupted.remove(package).filter(|known| known.version == version);
            let times = known.map_or(0, |known| known.times).saturating_add(1);
            if times >= MAX_INTERRUPTIONS {
                facts.rolled_back.entry(package.clone()).or_default().insert(version.to_owned());
            } else {
                facts.interrupted.insert(package.clone(), Interruptions { version: version.to_owned(), times });
            }
        })
    }

    /// Whether the transaction that began then was committed, and is the last one that was.
    pub(crate) fn is_last_committed(&self, began: Timestamp) -> bool {
        self.facts.last_committed == Some(began)
    }

    /// Remembers the transaction that was committed last.
    pub(crate) fn note_committed(&mut self, began: Timestamp) -> Result<(), MemoryError> {
        self.change(|facts| facts.last_committed = Some(began))
    }

    /// A version that works after all is no longer held back.
    pub(crate) fn forget_rolled_back(&mut self, package: &PackageName, version: &Version) -> Result<(), MemoryError> {
        self.change(|facts| {
            if let Some(versions) = facts.rolled_back.get_mut(package) {
                versions.remove(version.as_str());
            }
            facts.rolled_back.retain(|_, versions| !versions.is_empty());
            facts.interrupted.remove(package);
        })
    }

    /// The version before the last committed update.
    pub(crate) fn previous(&self, package: &PackageName) -> Option<&Version> {
        self.facts.previous.get(package)
    }

    /// Remembers which version a committed update replaced; none for a first installation.
    pub(crate) fn note_previous(
        &mut self,
        package: &PackageName,
        previous: Option<&Version>,
    ) -> Result<(), MemoryError> {
        self.change(|facts| {
            match previous {
                Some(previous) => facts.previous.insert(package.clone(), previous.clone()),
                None => facts.previous.remove(package),
            };
        })
    }

    /// SHA-256 of the databases that others change too, at the last commit.
    pub(crate) fn committed_databases(&self) -> Option<&str> {
        self.facts.committed_databases.as_deref()
    }

    /// Remembers the databases that others change too, at a commit.
    pub(crate) fn note_committed_databases(&mut self, sha256: Option<String>) -> Result<(), MemoryError> {
        self.change(|facts| facts.committed_databases = sha256)
    }

    fn change(&mut self, change: impl FnOnce(&mut Facts)) -> Result<(), MemoryError> {
        self.demand_readable()?;
        let mut facts = self.facts.clone();
        change(&mut facts);
        if facts != self.facts {
            let bytes = serde_json::to_vec_pretty(&facts)
                .map_err(|cause| MemoryError::Encode { path: self.path.clone(), cause })?;
            durable_files::replace(&self.path, &bytes, 0o600)?;
            self.facts = facts;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_and_dates_never_go_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory.json");
        let (hi, stable): (PackageName, SuiteName) = ("hi".parse().unwrap(), "stable".parse().unwrap());
        let time = |seconds| Timestamp::from_second(seconds).unwrap();
        let mut memory = Memory::open(&path);
        for (floor, seconds) in [("2.0", 20), ("1.0", 10)] {
            memory.propose_rollback_floor(&hi, &floor.parse().unwrap()).unwrap();
            memory.confirm_rollback_floor(&hi).unwrap();
            memory.saw_release(&stable, time(seconds)).unwrap();
        }
        let memory = Memory::open(&path);
        assert_eq!(memory.rollback_floor(&hi).unwrap().as_str(), "2.0");
        assert_eq!(memory.newest_release(&stable), Some(time(20)));
    }

    #[test]
    fn a_version_that_is_interrupted_again_and_again_is_held_back_and_another_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut memory = Memory::open(&folder.path().join("memory.json"));
        let hi: PackageName = "hi".parse().unwrap();
        let version = |text: &str| text.parse::<Version>().unwrap();
        for expected in [false, false, true] {
            memory.note_interrupted(&hi, &version("2")).unwrap();
            assert_eq!(memory.was_rolled_back(&hi, &version("2")), expected);
        }
        memory.note_interrupted(&hi, &version("3")).unwrap();
        assert!(!memory.was_rolled_back(&hi, &version("3")));
    }

    /// The updater itself may be rolled back, and come back later.
    #[test]
    fn what_a_later_version_noted_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory.json");
        durable_files::replace(&path, br#"{"moon-phase":"full"}"#, 0o600).unwrap();
        let mut memory = Memory::open(&path);
        memory.note_committed(Timestamp::UNIX_EPOCH).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("moon-phase"));
    }

    #[test]
    fn damaged_facts_are_an_error_and_not_an_empty_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory.json");
        durable_files::replace(&path, b"{", 0o600).unwrap();
        let mut memory = Memory::open(&path);
        assert!(matches!(memory.demand_readable(), Err(MemoryError::Unreadable { .. })));
        memory.note_committed_databases(Some("x".into())).unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"{");
    }
}
