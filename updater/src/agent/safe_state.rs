//! Where a device stands whose journal cannot be read.

use super::Places;
use crate::memory::Memory;
use crate::snapshot;
use crate::transaction::{Cause, Journal, JournalError, State};
use anyhow::Result;

/// Opens the journal. One that nobody can read is kept aside, and the state is chosen that cannot leave the device in
/// between: a snapshot that belongs to no committed update is put back.
pub(super) fn open_journal(places: &Places, memory: &Memory) -> Result<Journal> {
    let problem = match Journal::open(&places.journal) {
        Err(problem @ (JournalError::Unreadable { .. } | JournalError::Schema { .. })) => problem,
        other => return Ok(other?),
    };
    // First what is needed to decide: if that cannot be read either, the journal stays where it is.
    let kept = snapshot::load(&places.snapshot)?;
    let (mut journal, aside) = Journal::set_aside(&places.journal)?;
    tracing::error!("{problem}; it is kept as {}", aside.display());
    let Some(manifest) = kept else { return Ok(journal) };
    let transaction = manifest.transaction;
    if memory.is_last_committed(transaction.began) {
        journal.enter(State::Committed { transaction })?;
    } else {
        let reason = format!("{problem}; the update that it told of may have been half done");
        let cause = Cause::Interrupted;
        journal.enter(State::RollingBack { transaction, reason, attempts: 0, cause })?;
    }
    Ok(journal)
}
