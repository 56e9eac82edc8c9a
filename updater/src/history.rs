//! What was tried on this device, newest last, bounded.

use crate::transaction::{Outcome, Transaction};
use debian_formats::{PackageName, Version};
use durable_files::DurableError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const MAX_ENTRIES: usize = 100;
const MAX_REASON: usize = 2 << 10;
const MAX_PACKAGES: usize = 50;
/// Of a file that somebody else may have written; ours stays far below.
const MAX_BYTES: u64 = 4 << 20;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ended {
    Committed,
    RolledBack,
    Abandoned,
    Postponed,
    Refused,
    Stuck,
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Refused => Self::Refused,
            Outcome::Abandoned => Self::Abandoned,
            Outcome::Postponed => Self::Postponed,
            Outcome::RolledBack => Self::RolledBack,
            Outcome::Stuck => Self::Stuck,
        }
    }
}

/// One package of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Change {
    pub(crate) name: PackageName,
    /// None: it was not installed.
    pub(crate) from: Option<Version>,
    pub(crate) to: Version,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Entry {
    pub(crate) began: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) outcome: Ended,
    /// Those that were asked for first.
    pub(crate) packages: Vec<Change>,
    /// `name version` of what had to go.
    #[serde(default)]
    pub(crate) removed: Vec<String>,
    /// Why it did not end in a commit.
    pub(crate) reason: Option<String>,
    /// Paths that changed meanwhile and were not put back.
    #[serde(default)]
    pub(crate) left_behind: Vec<String>,
}

impl Entry {
    pub(crate) fn new(transaction: &Transaction, ended: Timestamp, outcome: Ended) -> Self {
        let packages = transaction.asked_first().take(MAX_PACKAGES);
        let removed = transaction.removed.iter().take(MAX_PACKAGES);
        let change = |package: &crate::transaction::PlannedPackage| Change {
            name: package.name.clone(),
            from: package.from.clone(),
            to: package.to.clone(),
        };
        Self {
            began: transaction.began,
            ended,
            outcome,
            packages: packages.map(change).collect(),
            removed: removed.map(|package| format!("{} {}", package.name, package.version)).collect(),
            reason: None,
            left_behind: Vec::new(),
        }
    }

    pub(crate) fn because(mut self, reason: &str, left_behind: &[String]) -> Self {
        let end = reason.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_REASON).last().unwrap_or(0);
        let reason = if reason.len() > MAX_REASON { format!("{}…", &reason[..end]) } else { reason.to_owned() };
        self.reason = Some(reason);
        self.left_behind = left_behind.iter().take(20).cloned().collect();
        self
    }

    /// The same attempt, told again by a second start; or one that is put off again and again.
    fn repeats(&self, last: &Self) -> bool {
        let same_attempt = self.began == last.began && self.outcome == last.outcome;
        let put_off_again = [self, last].iter().all(|entry| entry.outcome == Ended::Postponed)
            && self.packages == last.packages
            && self.reason == last.reason;
        same_attempt || put_off_again
    }
}

/// The file of attempts.
#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
}

impl History {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// All attempts, the oldest first. A file that cannot be read guards nothing: it counts as none.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let read = || -> Option<Vec<Entry>> {
            if self.path.metadata().ok()?.len() > MAX_BYTES {
                return None;
            }
            serde_json::from_slice(&std::fs::read(&self.path).ok()?).ok()
        };
        read().unwrap_or_default()
    }

    /// Adds an attempt, durably; false if it was there already.
    pub(crate) fn add(&self, entry: Entry) -> Result<bool, DurableError> {
        let mut entries = self.entries();
        if entries.last().is_some_and(|last| entry.repeats(last)) {
            return Ok(false);
        }
        entries.push(entry);
        let surplus = entries.len().saturating_sub(MAX_ENTRIES);
        entries.drain(..surplus);
        let bytes = serde_json::to_vec(&entries).unwrap_or_default();
        durable_files::replace(&self.path, &bytes, 0o600).map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: i64, outcome: Ended) -> Entry {
        let began = Timestamp::from_second(second).unwrap();
        Entry::new(&Transaction { began, packages: Vec::new(), removed: Vec::new(), from_server: true }, began, outcome)
    }

    #[test]
    fn it_is_bounded_and_tells_an_attempt_once() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path().join("history.json"));
        for second in 0..150 {
            for _ in 0..2 {
                history.add(entry(second, Ended::Committed)).unwrap();
            }
        }
        let entries = history.entries();
        assert_eq!(entries.len(), MAX_ENTRIES);
        assert_eq!(entries.last().unwrap().began.as_second(), 149);
    }

    #[test]
    fn an_update_that_is_put_off_every_hour_does_not_fill_it() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path().join("history.json"));
        history.add(entry(0, Ended::Committed)).unwrap();
        for second in 1..10 {
            history.add(entry(second, Ended::Postponed).because("the lamp is on", &[])).unwrap();
        }
        assert_eq!(history.entries().len(), 2);
    }

    #[test]
    fn a_damaged_file_is_no_obstacle_and_a_long_reason_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path().join("history.json"));
        durable_files::replace(&history.path, b"[{", 0o600).unwrap();
        history.add(entry(1, Ended::RolledBack).because(&"ä".repeat(10_000), &[])).unwrap();
        assert!(history.entries()[0].reason.as_ref().unwrap().len() < MAX_REASON + 8);
    }
}
