//! One update from plan to commit or rollback: the pure state machine, and the journal that makes it durable.

mod journal;
mod machine;
mod plan;

pub(crate) use journal::{Failure, Journal, JournalError, Outcome};
pub(crate) use machine::{Action, BootId, Cause, Event, State, transition};
pub(crate) use plan::{PlannedPackage, RemovedPackage, Transaction};
