//! The durable record of the transaction, in two preallocated slots so that it can be written on a full disk.

use super::machine::{State, Transaction};
use durable_files::{DurableError, SlotFile};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const SCHEMA: u32 = 1;
const CAPACITY: usize = 128 << 10;
const MAX_REASON: usize = 8 << 10;

/// How a failed attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// Refused before a transaction began.
    Refused,
    /// Given up before anything was changed.
    Abandoned,
    /// Everything put back.
    RolledBack,
    /// Could not be put back.
    Stuck,
}

/// The last attempt that did not end in a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Failure {
    pub(crate) at: Timestamp,
    pub(crate) outcome: Outcome,
    pub(crate) reason: String,
    /// None if it was refused before a transaction began.
    pub(crate) transaction: Option<Transaction>,
    /// Paths that changed meanwhile and lie outside what a rollback restores.
    #[serde(default)]
    pub(crate) left_behind: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Record {
    schema: u32,
    current: State,
    last_failure: Option<Failure>,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error(transparent)]
    Write(#[from] DurableError),
    #[error("the journal's record cannot be written as JSON: {0}")]
    Encode(#[from] serde_json::Error),
    #[error(
        "{path}: written by another version of the updater (schema {found}, this one knows {SCHEMA}); install that version again, it can finish what it began"
    )]
    Schema { path: PathBuf, found: u64 },
    #[error("{path}: the journal cannot be read: {reason}; keep the file and ask for help, an update may be half done")]
    Unreadable { path: PathBuf, reason: String },
}

/// The journal of one device.
#[derive(Debug)]
pub(crate) struct Journal {
    slots: SlotFile,
    record: Record,
}

impl Journal {
    /// Opens the journal, or makes an empty one.
    pub(crate) fn open(path: &Path) -> Result<Self, JournalError> {
        let (slots, bytes) = SlotFile::open(path, CAPACITY)?;
        let record = match bytes {
            None => Record { schema: SCHEMA, current: State::Idle, last_failure: None },
            Some(bytes) => parse(&bytes).map_err(|problem| problem.at(path))?,
        };
        Ok(Self { slots, record })
    }

    /// The state last written.
    pub(crate) fn state(&self) -> &State {
        &self.record.current
    }

    /// Why the last failed attempt failed.
    pub(crate) fn last_failure(&self) -> Option<&Failure> {
        self.record.last_failure.as_ref()
    }

    /// Writes a state; when this returns, a power cut cannot undo it.
    pub(crate) fn enter(&mut self, state: State) -> Result<(), JournalError> {
        self.write(Record { current: state, ..self.record.clone() })
    }

    /// Remembers why an attempt failed.
    pub(crate) fn note_failure(&mut self, failure: Failure) -> Result<(), JournalError> {
        self.write(Record { last_failure: Some(failure), ..self.record.clone() })
    }

    fn write(&mut self, mut record: Record) -> Result<(), JournalError> {
        bound(&mut record);
        let bytes = serde_json::to_vec(&record)?;
        self.slots.write(&bytes)?;
        self.record = record;
        Ok(())
    }
}

/// Keeps the record within its slot whatever a script printed.
fn bound(record: &mut Record) {
    let reason = match &mut record.current {
        State::RollingBack { reason, .. }
        | State::RolledBack { reason, .. }
        | State::Abandoned { reason, .. }
        | State::Stuck { reason, .. } => Some(reason),
        _ => None,
    };
    let failure = record.last_failure.as_mut();
    if let Some(failure) = failure {
        cut(&mut failure.reason);
        failure.left_behind.truncate(50);
    }
    if let Some(reason) = reason {
        cut(reason);
    }
}

fn cut(text: &mut String) {
    if text.len() > MAX_REASON {
        let end = (0..=MAX_REASON).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

enum ReadProblem {
    Schema(u64),
    Unreadable(String),
}

impl ReadProblem {
    fn at(self, path: &Path) -> JournalError {
        let path = path.to_owned();
        match self {
            Self::Schema(found) => JournalError::Schema { path, found },
            Self::Unreadable(reason) => JournalError::Unreadable { path, reason },
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Record, ReadProblem> {
    let unreadable = |error: serde_json::Error| ReadProblem::Unreadable(error.to_string());
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(unreadable)?;
    let schema = value.get("schema").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if schema != u64::from(SCHEMA) {
        return Err(ReadProblem::Schema(schema));
    }
    serde_json::from_value(value).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::Transaction;

    fn rolled_back(reason: String) -> State {
        let transaction = Transaction { began: Timestamp::UNIX_EPOCH, packages: Vec::new() };
        State::RolledBack { transaction, reason }
    }

    #[test]
    fn a_state_is_read_back_by_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Journal::open(&path).unwrap().enter(rolled_back("why".into())).unwrap();
        assert_eq!(*Journal::open(&path).unwrap().state(), rolled_back("why".into()));
    }

    #[test]
    fn an_endless_reason_still_fits() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&folder.path().join("journal")).unwrap();
        journal.enter(rolled_back("ä".repeat(1 << 20))).unwrap();
    }

    #[test]
    fn a_journal_of_the_future_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut slots, _) = SlotFile::open(&path, CAPACITY).unwrap();
        slots.write(br#"{"schema":2,"current":{"state":"levitating"}}"#).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::Schema { found: 2, .. })));
    }
}
