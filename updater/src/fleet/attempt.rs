//! An update that the fleet's server wishes: tried once, and its end remembered across restarts and power cuts.

use durable_files::DurableError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// What was wished, and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Attempt {
    /// The update document as it was wished.
    pub(super) update: Value,
    /// When it began.
    pub(super) at: Timestamp,
    /// None while it is under way.
    pub(super) outcome: Option<Outcome>,
}

/// How an attempt ended, as the device reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Outcome {
    /// `succeeded`, `failed`, `rolled-back` or `rejected`.
    status: Status,
    /// In plain words, where it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    /// The device is as wished.
    Succeeded,
    /// Nothing was changed.
    Failed,
    /// The new version did not work, and what was before is back.
    RolledBack,
    /// The document is none that this device carries out.
    Rejected,
}

/// The longest reason that is reported, in characters: a shadow is small.
const LONGEST_REASON: usize = 500;

impl Outcome {
    pub(crate) fn succeeded() -> Self {
        Self { status: Status::Succeeded, reason: None }
    }

    pub(crate) fn failed(reason: &str) -> Self {
        Self::because(Status::Failed, reason)
    }

    pub(crate) fn rolled_back(reason: &str) -> Self {
        Self::because(Status::RolledBack, reason)
    }

    pub(crate) fn rejected(reason: &str) -> Self {
        Self::because(Status::Rejected, reason)
    }

    fn because(status: Status, reason: &str) -> Self {
        Self { status, reason: Some(reason.chars().take(LONGEST_REASON).collect()) }
    }
}

/// The last attempt, and where it is kept.
#[derive(Debug)]
pub(super) struct Attempts {
    path: PathBuf,
    last: Option<Attempt>,
}

impl Attempts {
    /// A file that cannot be read means at worst that an update is tried again.
    pub(super) fn open(path: &Path) -> Self {
        let last = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { path: path.to_owned(), last }
    }

    pub(super) fn last(&self) -> Option<&Attempt> {
        self.last.as_ref()
    }

    /// Notes that an update begins now.
    pub(super) fn begin(&mut self, update: &Value, now: Timestamp) -> Result<(), DurableError> {
        self.keep(Attempt { update: update.clone(), at: now, outcome: None })
    }

    /// It did not come to be, and may be tried again.
    pub(super) fn forget(&mut self) -> Result<(), DurableError> {
        self.last = None;
        durable_files::remove(&self.path)
    }

    pub(super) fn end(&mut self, outcome: Outcome) -> Result<(), DurableError> {
        match self.last.take() {
            Some(last) => self.keep(Attempt { outcome: Some(outcome), ..last }),
            None => Ok(()),
        }
    }

    /// What the device reports of it: the wish, once it has come to its end, and how.
    pub(super) fn report(&self) -> Map<String, Value> {
        let Some(Attempt { update, outcome: Some(outcome), .. }) = &self.last else { return Map::new() };
        let outcome = serde_json::to_value(outcome).unwrap_or_default();
        Map::from_iter([("update".to_owned(), update.clone()), ("outcome".to_owned(), outcome)])
    }

    fn keep(&mut self, attempt: Attempt) -> Result<(), DurableError> {
        let bytes = serde_json::to_vec_pretty(&attempt).unwrap_or_default();
        self.last = Some(attempt);
        durable_files::replace(&self.path, &bytes, 0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn how_a_wish_ended_is_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attempt.json");
        let wish = json!({"operation": "update"});
        Attempts::open(&path).begin(&wish, Timestamp::UNIX_EPOCH).unwrap();
        let mut after_power_cut = Attempts::open(&path);
        assert!(after_power_cut.report().is_empty(), "it has not ended");
        assert_eq!(after_power_cut.last().unwrap().outcome, None);
        after_power_cut.end(Outcome::rolled_back("hi.service did not come up")).unwrap();
        let report = Value::Object(Attempts::open(&path).report());
        assert_eq!(report["update"], wish);
        assert_eq!(report["outcome"], json!({"status": "rolled-back", "reason": "hi.service did not come up"}));
        after_power_cut.forget().unwrap();
        assert!(Attempts::open(&path).last().is_none());
    }
}
