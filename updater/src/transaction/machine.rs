//! The device's transaction as one pure table; `docs/transaction.md` is drawn from it.
//!
//! Each state is written durably before the action that belongs to it begins, and an action's outcome comes back
//! as an event. `Booted` and `Started` are what a start finds when the state at rest is not the last one written.

use super::plan::Transaction;
use serde::{Deserialize, Serialize};

/// Which boot of the machine, as the kernel names it (`/proc/sys/kernel/random/boot_id`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct BootId(pub(crate) String);

/// Why the old version comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cause {
    /// The new version could not be installed, or did not work.
    #[default]
    Failed,
    /// Power or the updater went in the middle: nothing is said about the version.
    Interrupted,
    /// A person asked for it.
    ByHand,
}

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
    /// The new version is installed and is tried in a boot of its own; `boots` have begun since, the last is `boot`.
    Rebooting { transaction: Transaction, boots: u32, boot: BootId },
    /// The new version is installed and on trial in this boot; `boots` have begun since it was installed.
    Probation {
        transaction: Transaction,
        #[serde(default)]
        boots: u32,
        #[serde(default)]
        boot: BootId,
    },
    /// The new version stays.
    Committed { transaction: Transaction },
    /// The snapshot is being put back.
    RollingBack {
        transaction: Transaction,
        reason: String,
        attempts: u32,
        #[serde(default)]
        cause: Cause,
    },
    /// Everything is as before the transaction.
    RolledBack {
        transaction: Transaction,
        reason: String,
        #[serde(default)]
        cause: Cause,
    },
    /// Given up before anything was changed.
    Abandoned { transaction: Transaction, reason: String },
    /// Downloaded, and not now: the installed version said so. Nothing was changed.
    Postponed { transaction: Transaction, reason: String },
    /// The snapshot could not be put back; a person must look.
    Stuck { transaction: Transaction, reason: String },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Plan(Transaction),
    Verified,
    /// The installed version does not want to be replaced now.
    Inhibited(String),
    SnapshotTaken,
    InstallStarts,
    /// All is installed, and on trial in this boot.
    Installed(BootId),
    /// All is installed, and needs a boot to be tried; this is the boot before it.
    RebootNeeded(BootId),
    Healthy,
    Failed(String),
    Restored,
    /// A person takes the version on trial as it is.
    CommitAsked,
    /// A person does not want the version on trial.
    TrialEnded,
    /// A person asks for the version before the committed one.
    RollbackAsked(Transaction),
    /// The machine boots; nothing but what is needed to put files back runs yet.
    Booted(BootId),
    /// The updater was started in this boot.
    Started(BootId),
}

/// What is to be done now; its outcome is the next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Download,
    TakeSnapshot,
    /// Nothing but the announcement that dpkg comes next.
    AnnounceInstall,
    Install,
    /// Boot the machine. What follows is a start in another boot.
    Reboot,
    CheckHealth,
    Restore,
    /// Tidy up and remember what follows from the end of a transaction. May be repeated.
    Settle,
}

/// A snapshot that could not be put back in this many attempts needs a person.
pub(crate) const MAX_RESTORE_ATTEMPTS: u32 = 5;

/// A version that was not found healthy in this many boots is rolled back.
pub(crate) const MAX_BOOTS: u32 = 3;

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
        (
            S::Idle | S::Committed { .. } | S::RolledBack { .. } | S::Abandoned { .. } | S::Postponed { .. },
            E::Plan(transaction),
        ) => (S::Planned { transaction }, Some(A::Download)),

        (S::Planned { transaction }, E::Verified) => (S::Downloaded { transaction }, Some(A::TakeSnapshot)),
        (S::Downloaded { transaction }, E::Inhibited(reason)) => {
            (S::Postponed { transaction, reason }, Some(A::Settle))
        }
        (S::Downloaded { transaction }, E::SnapshotTaken) => (S::Snapshotted { transaction }, Some(A::AnnounceInstall)),
        (S::Snapshotted { transaction }, E::InstallStarts) => (S::Installing { transaction }, Some(A::Install)),
        (S::Installing { transaction }, E::Installed(boot)) => {
            (S::Probation { transaction, boots: 0, boot }, Some(A::CheckHealth))
        }
        (S::Installing { transaction }, E::RebootNeeded(boot)) => {
            (S::Rebooting { transaction, boots: 0, boot }, Some(A::Reboot))
        }
        (S::Probation { transaction, .. }, E::Healthy) => (S::Committed { transaction }, Some(A::Settle)),
        (S::Probation { transaction, .. } | S::Rebooting { transaction, .. }, E::CommitAsked) => {
            (S::Committed { transaction }, Some(A::Settle))
        }

        // Before dpkg was at work, nothing has changed.
        (
            S::Planned { transaction } | S::Downloaded { transaction } | S::Snapshotted { transaction },
            E::Failed(reason),
        ) => (S::Abandoned { transaction, reason }, Some(A::Settle)),
        (
            S::Planned { transaction } | S::Downloaded { transaction } | S::Snapshotted { transaction },
            E::Booted(_) | E::Started(_),
        ) => (S::Abandoned { transaction, reason: interrupted() }, Some(A::Settle)),

        // From then on, whatever goes wrong brings the old version back.
        (
            S::Installing { transaction } | S::Probation { transaction, .. } | S::Rebooting { transaction, .. },
            E::Failed(reason),
        ) => roll_back(transaction, reason, Cause::Failed),
        (S::Installing { transaction }, E::Booted(_) | E::Started(_)) => {
            roll_back(transaction, "interrupted while dpkg was at work".to_owned(), Cause::Interrupted)
        }
        (S::Probation { transaction, .. } | S::Rebooting { transaction, .. }, E::TrialEnded) => {
            roll_back(transaction, "rolled back by hand while it was on trial".to_owned(), Cause::ByHand)
        }
        (S::Committed { .. } | S::Abandoned { .. } | S::Postponed { .. }, E::RollbackAsked(transaction)) => {
            roll_back(transaction, "rolled back by hand".to_owned(), Cause::ByHand)
        }

        // The updater died while it checked, and the machine did not: the new version may have done that.
        (S::Probation { transaction, boot, .. }, E::Booted(now) | E::Started(now)) if boot == now => {
            let reason = "interrupted before the health checks had passed".to_owned();
            roll_back(transaction, reason, Cause::Interrupted)
        }
        // Still the boot that asked for another one.
        (state @ S::Rebooting { boots: 0, .. }, E::Started(now)) if state.is_of_boot(&now) => (state, Some(A::Reboot)),
        (state @ S::Rebooting { .. }, E::Booted(now)) if state.is_of_boot(&now) => (state, None),
        // The early service has counted this boot.
        (S::Rebooting { transaction, boots, boot }, E::Started(now)) if boot == now => {
            (S::Probation { transaction, boots, boot }, Some(A::CheckHealth))
        }
        // A boot that nobody has counted yet.
        (
            S::Probation { transaction, boots, .. } | S::Rebooting { transaction, boots, .. },
            E::Booted(_) | E::Started(_),
        ) if boots >= MAX_BOOTS => {
            let reason = format!("the device was booted {boots} times, and the health checks never passed");
            roll_back(transaction, reason, Cause::Failed)
        }
        (S::Probation { transaction, boots, .. } | S::Rebooting { transaction, boots, .. }, E::Booted(boot)) => {
            (S::Rebooting { transaction, boots: boots.saturating_add(1), boot }, None)
        }
        (S::Probation { transaction, boots, .. } | S::Rebooting { transaction, boots, .. }, E::Started(boot)) => {
            (S::Probation { transaction, boots: boots.saturating_add(1), boot }, Some(A::CheckHealth))
        }

        (S::RollingBack { transaction, reason, cause, .. }, E::Restored) => {
            (S::RolledBack { transaction, reason, cause }, Some(A::Settle))
        }
        (S::RollingBack { transaction, reason, attempts, .. }, E::Failed(why)) if attempts >= MAX_RESTORE_ATTEMPTS => {
            let reason = format!("{reason}; then the snapshot could not be put back in {attempts} attempts: {why}");
            (S::Stuck { transaction, reason }, None)
        }
        (S::RollingBack { transaction, reason, attempts, cause }, E::Failed(_) | E::Booted(_) | E::Started(_)) => {
            (S::RollingBack { transaction, reason, attempts: attempts.saturating_add(1), cause }, Some(A::Restore))
        }
        // A person starts the updater again after mending the cause.
        (S::Stuck { transaction, reason }, E::Booted(_) | E::Started(_)) => (
            S::RollingBack { transaction, reason, attempts: MAX_RESTORE_ATTEMPTS, cause: Cause::Failed },
            Some(A::Restore),
        ),

        (
            state @ (S::Committed { .. } | S::RolledBack { .. } | S::Abandoned { .. } | S::Postponed { .. }),
            E::Booted(_) | E::Started(_),
        ) => (state, Some(A::Settle)),
        (S::Idle, E::Booted(_) | E::Started(_)) => (S::Idle, None),

        (state, event) => return Err(IllegalTransition { state: state.name(), event: format!("{event:?}") }),
    };
    Ok(next)
}

fn roll_back(transaction: Transaction, reason: String, cause: Cause) -> (State, Option<Action>) {
    (State::RollingBack { transaction, reason, attempts: 1, cause }, Some(Action::Restore))
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
            Self::Rebooting { .. } => "rebooting",
            Self::Probation { .. } => "probation",
            Self::Committed { .. } => "committed",
            Self::RollingBack { .. } => "rolling-back",
            Self::RolledBack { .. } => "rolled-back",
            Self::Abandoned { .. } => "abandoned",
            Self::Postponed { .. } => "postponed",
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
            | Self::Rebooting { transaction, .. }
            | Self::Probation { transaction, .. }
            | Self::Committed { transaction }
            | Self::RollingBack { transaction, .. }
            | Self::RolledBack { transaction, .. }
            | Self::Abandoned { transaction, .. }
            | Self::Postponed { transaction, .. }
            | Self::Stuck { transaction, .. } => Some(transaction),
        }
    }

    /// Whether nothing is under way.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(
            self,
            Self::Idle
                | Self::Committed { .. }
                | Self::RolledBack { .. }
                | Self::Abandoned { .. }
                | Self::Postponed { .. }
                | Self::Stuck { .. }
        )
    }

    fn is_of_boot(&self, now: &BootId) -> bool {
        matches!(self, Self::Rebooting { boot, .. } if boot == now)
    }
}

#[cfg(test)]
mod tests;
