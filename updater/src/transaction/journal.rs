//! The durable record of the transaction, in two preallocated slots so that it can be written on a full disk.

use super::machine::State;
use super::plan::Transaction;
use durable_files::{DurableError, SlotFile};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Written; the ones before it are read, too: what came later has defaults.
const SCHEMA: u32 = 2;
const OLDEST_SCHEMA: u32 = 1;
const CAPACITY: usize = 128 << 10;
const MAX_REASON: usize = 8 << 10;
/// Journals that could not be read and are kept.
const MAX_ASIDE: u32 = 5;

/// How a failed attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// Refused before a transaction began.
    Refused,
    /// Given up before anything was changed.
    Abandoned,
    /// Put off before anything was changed.
    Postponed,
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

impl Record {
    const BLANK: Self = Self { schema: SCHEMA, current: State::Idle, last_failure: None };
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error(transparent)]
    Write(#[from] DurableError),
    #[error("could not read {path}: {cause}")]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("the journal's record cannot be written as JSON: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("{path}: written by a later version of the updater (schema {found}, this one knows {SCHEMA})")]
    Schema { path: PathBuf, found: u64 },
    #[error("{path}: the journal cannot be read: {reason}")]
    Unreadable { path: PathBuf, reason: String },
}

/// The journal of one device.
#[derive(Debug)]
pub(crate) struct Journal {
    slots: SlotFile,
    record: Record,
}

impl Journal {
    /// Moves a journal that cannot be read aside, for a person to look at, and makes an empty one. Gives its new place.
    pub(crate) fn set_aside(path: &Path) -> Result<(Self, PathBuf), JournalError> {
        let free = |number: &u32| path.with_extension(format!("unreadable-{number}"));
        let aside = (1..MAX_ASIDE).map(|number| free(&number)).find(|aside| !aside.exists());
        // The last place is used again and again: what is kept must not fill the disk.
        let aside = aside.unwrap_or_else(|| free(&MAX_ASIDE));
        durable_files::rename(path, &aside)?;
        Ok((Self::open(path)?, aside))
    }

    /// Opens the journal, or makes an empty one.
    pub(crate) fn open(path: &Path) -> Result<Self, JournalError> {
        let (slots, bytes) = SlotFile::open(path, CAPACITY)?;
        let record = match bytes {
            None => demand_blank(path).map(|()| Record::BLANK)?,
            Some(bytes) => parse(&bytes).map_err(|problem| problem.at(path))?,
        };
        Ok(Self { slots, record })
    }

    /// Opens the journal to look at it; none if no update was ever begun. It makes no file: that would take the
    /// place of one which an agent has just begun to write.
    pub(crate) fn open_if_there(path: &Path) -> Result<Option<Self>, JournalError> {
        if path.exists() { Self::open(path).map(Some) } else { Ok(None) }
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

    /// Writes to both slots: should the disk lose one of them later, the other still says the same.
    fn write(&mut self, mut record: Record) -> Result<(), JournalError> {
        bound(&mut record);
        let mut bytes = serde_json::to_vec(&record)?;
        while bytes.len() > CAPACITY && shorten(&mut record) {
            bytes = serde_json::to_vec(&record)?;
        }
        self.slots.write(&bytes)?;
        self.record = record;
        Ok(self.slots.write(&bytes)?)
    }
}

/// Keeps the record within its slot whatever a script printed.
fn bound(record: &mut Record) {
    if let Some(failure) = &mut record.last_failure {
        failure.left_behind.truncate(50);
    }
    for reason in reasons(record) {
        cut(reason, MAX_REASON);
    }
}

/// Gives up some of what is told of a failure: long paths, and bytes that JSON writes as six. False if nothing is
/// left to give up.
fn shorten(record: &mut Record) -> bool {
    if let Some(failure) = record.last_failure.as_mut().filter(|failure| !failure.left_behind.is_empty()) {
        failure.left_behind.truncate(failure.left_behind.len() / 2);
        return true;
    }
    let longest = reasons(record).into_iter().max_by_key(|reason| reason.len()).filter(|reason| reason.len() > 64);
    longest.map(|reason| cut(reason, reason.len() / 2)).is_some()
}

fn reasons(record: &mut Record) -> Vec<&mut String> {
    let current = match &mut record.current {
        State::RollingBack { reason, .. }
        | State::RolledBack { reason, .. }
        | State::Abandoned { reason, .. }
        | State::Postponed { reason, .. }
        | State::Stuck { reason, .. } => Some(reason),
        _ => None,
    };
    current.into_iter().chain(record.last_failure.as_mut().map(|failure| &mut failure.reason)).collect()
}

fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

/// A journal without a record is believed only if one of its slots was never written: the other was cut off in the
/// first write of all. Otherwise both are damaged, and nobody knows what is half done.
fn demand_blank(path: &Path) -> Result<(), JournalError> {
    let bytes = std::fs::read(path).map_err(|cause| JournalError::Read { path: path.to_owned(), cause })?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let is_blank = |slot: &[u8]| slot.len() > CAPACITY && slot.iter().all(|byte| *byte == 0);
    if is_blank(first) || is_blank(second) {
        return Ok(());
    }
    Err(JournalError::Unreadable { path: path.to_owned(), reason: "both of its records are damaged".to_owned() })
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
    if schema > u64::from(SCHEMA) {
        return Err(ReadProblem::Schema(schema));
    }
    if schema < u64::from(OLDEST_SCHEMA) {
        return Err(ReadProblem::Unreadable("it names no schema".to_owned()));
    }
    let record: Record = serde_json::from_value(value).map_err(unreadable)?;
    Ok(Record { schema: SCHEMA, ..record })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::{Cause, Transaction};

    fn rolled_back(reason: String) -> State {
        let transaction =
            Transaction { began: Timestamp::UNIX_EPOCH, packages: Vec::new(), removed: Vec::new(), from_server: false };
        State::RolledBack { transaction, reason, cause: Cause::Failed }
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
    fn long_paths_and_bytes_that_json_writes_as_six_still_fit() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&folder.path().join("journal")).unwrap();
        let reason = "\u{1}".repeat(MAX_REASON);
        journal.enter(rolled_back(reason.clone())).unwrap();
        let left_behind = vec!["/x".repeat(2000); 1000];
        let (at, outcome) = (Timestamp::UNIX_EPOCH, Outcome::RolledBack);
        journal.note_failure(Failure { at, outcome, reason, transaction: None, left_behind }).unwrap();
        assert!(!journal.last_failure().unwrap().reason.is_empty());
    }

    /// Where the slot `index` lies, overwritten with something that is no record.
    fn damage(path: &Path, index: usize) {
        let mut bytes = std::fs::read(path).unwrap();
        let half = bytes.len() / 2;
        bytes[index * half..(index + 1) * half].fill(0xa5);
        durable_files::replace(path, &bytes, 0o600).unwrap();
    }

    #[test]
    fn either_slot_may_be_damaged_and_both_are_not_taken_for_a_fresh_start() {
        for index in 0..2 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal");
            let mut journal = Journal::open(&path).unwrap();
            journal.enter(State::Idle).unwrap();
            journal.enter(rolled_back("why".into())).unwrap();
            damage(&path, index);
            assert_eq!(*Journal::open(&path).unwrap().state(), rolled_back("why".into()), "slot {index}");
            damage(&path, 1 - index);
            assert!(matches!(Journal::open(&path), Err(JournalError::Unreadable { .. })));
        }
    }

    #[test]
    fn the_very_first_write_may_be_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Journal::open(&path).unwrap();
        damage(&path, 1);
        assert_eq!(*Journal::open(&path).unwrap().state(), State::Idle);
    }

    #[test]
    fn an_emptied_journal_is_not_a_fresh_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Journal::open(&path).unwrap().enter(rolled_back("why".into())).unwrap();
        durable_files::replace(&path, b"", 0o600).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::Unreadable { .. })));
    }

    #[test]
    fn looking_makes_no_journal() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Journal::open_if_there(&folder.path().join("journal")).unwrap().is_none());
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_journal_of_the_future_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut slots, _) = SlotFile::open(&path, CAPACITY).unwrap();
        slots.write(br#"{"schema":99,"current":{"state":"levitating"}}"#).unwrap();
        drop(slots);
        assert!(matches!(Journal::open(&path), Err(JournalError::Schema { found: 99, .. })));
        let before = std::fs::read(&path).unwrap();
        let (journal, aside) = Journal::set_aside(&path).unwrap();
        assert_eq!(*journal.state(), State::Idle);
        assert_eq!(std::fs::read(aside).unwrap(), before, "a person can still look at it");
    }

    /// As the first version of the updater wrote it; it may be interrupted while it updates itself.
    #[test]
    fn a_journal_of_the_first_schema_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut slots, _) = SlotFile::open(&path, CAPACITY).unwrap();
        let transaction = r#"{"began":"1970-01-01T00:00:00Z","packages":[]}"#;
        for (state, expected) in [
            (format!(r#"{{"state":"probation","transaction":{transaction}}}"#), "probation"),
            (
                format!(r#"{{"state":"rolling-back","transaction":{transaction},"reason":"r","attempts":2}}"#),
                "rolling-back",
            ),
        ] {
            let record = format!(r#"{{"schema":1,"current":{state},"last-failure":null}}"#);
            slots.write(record.as_bytes()).unwrap();
            assert_eq!(Journal::open(&path).unwrap().state().name(), expected);
        }
    }
}
