//! The device's transaction as one pure table.
//!
//! ```text
//!  Idle ─Plan─▶ Planned ─Verified─▶ Downloaded ─SnapshotTaken─▶ Snapshotted ─InstallStarts─▶ Installing
//!                  │                    │                           │                            │
//!                  └──────────── Failed, Interrupted ───────────────┘                        Installed
//!                                       ▼                                                        ▼
//!                                   Abandoned               RollingBack ◀─Failed, Interrupted─ Probation
//!                                (nothing changed)            │      ▲                           │
//!                                                          Restored  └─RollbackAsked─┐        Healthy
//!                                                             ▼                      │           ▼
//!                                                         RolledBack                 └────── Committed
//! ```
//!
//! Each state is written durably before the action that belongs to it begins, and an action's outcome comes back
//! as an event. `Interrupted` is what a start finds when the state at rest is not the last one written.

use super::plan::Transaction;
use serde::{Deserialize, Serialize};

/// Where the device is. Whatever is not true yet cannot be written down.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum State {
    /// No update was ever begun.
    #[default]
    Idle,
    /// The set is chosen from a verified index; nothing is downloaded yet.
    Planned { transaction: Transaction },
    /// Every package is here and verified.
    Downloaded { transaction: Transaction },
    /// What will change is copied away.
    Snapshotted { transaction: Transaction },
    /// dpkg may be at work: from here on only commit or rollback.
    Installing { transaction: Transaction },
    /// The new version is installed and on trial.
    Probation { transaction: Transaction },
    /// The new version stays.
    Committed { transaction: Transaction },
    /// The snapshot is being put back.
    RollingBack { transaction: Transaction, reason: String, attempts: u32 },
    /// Everything is as before the transaction.
    RolledBack { transaction: Transaction, reason: String },
    /// Given up before anything was changed.
    Abandoned { transaction: Transaction, reason: String },
    /// The snapshot could not be put back; a person must look.
    Stuck { transaction: Transaction, reason: String },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Plan(Transaction),
    Verified,
    SnapshotTaken,
    InstallStarts,
    Installed,
    Healthy,
    Failed(String),
    Restored,
    /// A person asks for the version before the committed one.
    RollbackAsked(Transaction),
    /// The updater was started and finds the last transaction in this state.
    Interrupted,
}

/// What is to be done now; its outcome is the next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Download,
    TakeSnapshot,
    /// Nothing but the announcement that dpkg comes next.
    AnnounceInstall,
    Install,
    CheckHealth,
    Restore,
    /// Tidy up and remember what follows from the end of a transaction. May be repeated.
    Settle,
}

/// A snapshot that could not be put back in this many attempts needs a person.
pub(crate) const MAX_RESTORE_ATTEMPTS: u32 = 5;

/// An event that makes no sense in a state: a mistake in the updater itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event {event} does not fit the state {state}; please report this as a bug")]
pub(crate) struct IllegalTransition {
    state: &'static str,
    event: String,
}

/// The whole table: (state, event) → (state, action).
pub(crate) fn transition(state: State, event: Event) -> Result<(State, Option<Action>), IllegalTransition> {
    use Action as A;
    use Event as E;
    use State as S;
    let interrupted = || "interrupted before anything was changed".to_owned();
    let next = match (state, event) {
        (S::Idle | S::Committed { .. } | S::RolledBack { .. } | S::Abandoned { .. }, E::Plan(transaction)) => {
            (S::Planned { transaction }, Some(A::Download))
        }

        (S::Planned { transaction }, E::Verified) => (S::Downloaded { transaction }, Some(A::TakeSnapshot)),
        (S::Downloaded { transaction }, E::SnapshotTaken) => (S::Snapshotted { transaction }, Some(A::AnnounceInstall)),
        (S::Snapshotted { transaction }, E::InstallStarts) => (S::Installing { transaction }, Some(A::Install)),
        (S::Installing { transaction }, E::Installed) => (S::Probation { transaction }, Some(A::CheckHealth)),
        (S::Probation { transaction }, E::Healthy) => (S::Committed { transaction }, Some(A::Settle)),

        (
            S::Planned { transaction } | S::Downloaded { transaction } | S::Snapshotted { transaction },
            E::Failed(reason),
        ) => (S::Abandoned { transaction, reason }, Some(A::Settle)),
        (
            S::Planned { transaction } | S::Downloaded { transaction } | S::Snapshotted { transaction },
            E::Interrupted,
        ) => (S::Abandoned { transaction, reason: interrupted() }, Some(A::Settle)),

        (S::Installing { transaction } | S::Probation { transaction }, E::Failed(reason)) => {
            (S::RollingBack { transaction, reason, attempts: 1 }, Some(A::Restore))
        }
        (S::Installing { transaction }, E::Interrupted) => {
            let reason = "interrupted while dpkg was at work".to_owned();
            (S::RollingBack { transaction, reason, attempts: 1 }, Some(A::Restore))
        }
        (S::Probation { transaction }, E::Interrupted) => {
            let reason = "interrupted before the health checks had passed".to_owned();
            (S::RollingBack { transaction, reason, attempts: 1 }, Some(A::Restore))
        }
        (S::Committed { .. } | S::Abandoned { .. }, E::RollbackAsked(transaction)) => {
            let reason = "rolled back by hand".to_owned();
            (S::RollingBack { transaction, reason, attempts: 1 }, Some(A::Restore))
        }

        (S::RollingBack { transaction, reason, .. }, E::Restored) => {
            (S::RolledBack { transaction, reason }, Some(A::Settle))
        }
        (S::RollingBack { transaction, reason, attempts }, E::Failed(why)) if attempts >= MAX_RESTORE_ATTEMPTS => {
            let reason = format!("{reason}; then the snapshot could not be put back in {attempts} attempts: {why}");
            (S::Stuck { transaction, reason }, None)
        }
        (S::RollingBack { transaction, reason, attempts }, E::Failed(_) | E::Interrupted) => {
            (S::RollingBack { transaction, reason, attempts: attempts.saturating_add(1) }, Some(A::Restore))
        }
        // A person starts the updater again after mending the cause.
        (S::Stuck { transaction, reason }, E::Interrupted) => {
            (S::RollingBack { transaction, reason, attempts: MAX_RESTORE_ATTEMPTS }, Some(A::Restore))
        }

        (state @ (S::Committed { .. } | S::RolledBack { .. } | S::Abandoned { .. }), E::Interrupted) => {
            (state, Some(A::Settle))
        }
        (S::Idle, E::Interrupted) => (S::Idle, None),

        (state, event) => return Err(IllegalTransition { state: state.name(), event: format!("{event:?}") }),
    };
    Ok(next)
}

impl State {
    /// The state's name, as `status` prints it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Planned { .. } => "planned",
            Self::Downloaded { .. } => "downloaded",
            Self::Snapshotted { .. } => "snapshotted",
            Self::Installing { .. } => "installing",
            Self::Probation { .. } => "probation",
            Self::Committed { .. } => "committed",
            Self::RollingBack { .. } => "rolling-back",
            Self::RolledBack { .. } => "rolled-back",
            Self::Abandoned { .. } => "abandoned",
            Self::Stuck { .. } => "stuck",
        }
    }

    /// The transaction that this state is about.
    pub(crate) fn transaction(&self) -> Option<&Transaction> {
        match self {
            Self::Idle => None,
            Self::Planned { transaction }
            | Self::Downloaded { transaction }
            | Self::Snapshotted { transaction }
            | Self::Installing { transaction }
            | Self::Probation { transaction }
            | Self::Committed { transaction }
            | Self::RollingBack { transaction, .. }
            | Self::RolledBack { transaction, .. }
            | Self::Abandoned { transaction, .. }
            | Self::Stuck { transaction, .. } => Some(transaction),
        }
    }

    /// Whether nothing is under way.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(
            self,
            Self::Idle | Self::Committed { .. } | Self::RolledBack { .. } | Self::Abandoned { .. } | Self::Stuck { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn transaction() -> Transaction {
        Transaction { began: Timestamp::UNIX_EPOCH, packages: Vec::new() }
    }

    /// Runs events from Idle and gives the last state and action.
    fn after(events: &[Event]) -> (State, Option<Action>) {
        events.iter().fold((State::Idle, None), |(state, _), event| transition(state, event.clone()).unwrap())
    }

    /// The events of a flawless update, one state further each.
    fn flawless() -> Vec<Event> {
        vec![
            Event::Plan(transaction()),
            Event::Verified,
            Event::SnapshotTaken,
            Event::InstallStarts,
            Event::Installed,
            Event::Healthy,
        ]
    }

    #[test]
    fn a_flawless_update_is_committed() {
        assert_eq!(after(&flawless()), (State::Committed { transaction: transaction() }, Some(Action::Settle)));
    }

    #[test]
    fn trouble_before_dpkg_changes_nothing_and_after_it_restores() {
        for trouble in [Event::Failed("x".into()), Event::Interrupted] {
            for done in 1..=5 {
                let mut events = flawless()[..done].to_vec();
                events.push(trouble.clone());
                let (state, action) = after(&events);
                if done <= 3 {
                    assert!(matches!(state, State::Abandoned { .. }), "{done}: {state:?}");
                    assert_eq!(action, Some(Action::Settle));
                } else {
                    assert!(matches!(state, State::RollingBack { attempts: 1, .. }), "{done}: {state:?}");
                    assert_eq!(action, Some(Action::Restore));
                }
            }
        }
    }

    #[test]
    fn a_restore_that_is_cut_off_starts_again_and_does_not_try_for_ever() {
        let mut events = flawless()[..4].to_vec();
        events.push(Event::Failed("postinst".into()));
        for _ in 1..MAX_RESTORE_ATTEMPTS {
            events.push(Event::Failed("disk".into()));
            assert_eq!(after(&events).1, Some(Action::Restore));
        }
        events.push(Event::Failed("disk".into()));
        let (state, action) = after(&events);
        assert!(matches!(state, State::Stuck { .. }) && action.is_none(), "{state:?}");
        events.push(Event::Interrupted);
        events.push(Event::Restored);
        assert!(matches!(after(&events).0, State::RolledBack { .. }));
    }

    #[test]
    fn a_second_update_cannot_begin_in_the_middle_of_one() {
        for done in 1..=5 {
            let (state, _) = after(&flawless()[..done]);
            assert!(transition(state, Event::Plan(transaction())).is_err(), "after {done}");
        }
    }

    proptest! {
        /// Wherever the power goes, starting again ends at rest, and dpkg is never started twice in a transaction.
        #[test]
        fn every_interruption_ends_at_rest(done in 0usize..=6, cuts in 0usize..4) {
            let mut events = flawless()[..done].to_vec();
            events.extend(std::iter::repeat_n(Event::Interrupted, cuts + 1));
            let (state, action) = after(&events);
            match action {
                Some(Action::Restore) => {
                    let (state, _) = transition(state, Event::Restored).unwrap();
                    let at_rest = matches!(state, State::RolledBack { .. });
                    prop_assert!(at_rest, "{:?}", state);
                }
                Some(Action::Settle) | None => prop_assert!(state.is_at_rest(), "{:?}", state),
                other => prop_assert!(false, "{:?} after an interruption", other),
            }
        }
    }
}
