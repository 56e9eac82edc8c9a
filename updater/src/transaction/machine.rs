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
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;
    use std::fmt::Write;

    fn transaction() -> Transaction {
        Transaction { began: Timestamp::UNIX_EPOCH, packages: Vec::new(), removed: Vec::new(), from_server: false }
    }

    fn boot(number: usize) -> BootId {
        BootId(number.to_string())
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
            Event::Installed(boot(0)),
            Event::Healthy,
        ]
    }

    fn rebooting() -> Vec<Event> {
        let mut events = flawless()[..4].to_vec();
        events.push(Event::RebootNeeded(boot(0)));
        events
    }

    #[test]
    fn a_flawless_update_is_committed() {
        assert_eq!(after(&flawless()), (State::Committed { transaction: transaction() }, Some(Action::Settle)));
    }

    #[test]
    fn trouble_before_dpkg_changes_nothing_and_after_it_restores() {
        for trouble in [Event::Failed("x".into()), Event::Started(boot(0)), Event::Booted(boot(0))] {
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
    fn a_power_cut_on_trial_leads_to_another_trial() {
        let mut events = flawless()[..5].to_vec();
        events.extend([Event::Booted(boot(1)), Event::Started(boot(1))]);
        let (state, action) = after(&events);
        assert!(matches!(state, State::Probation { boots: 1, .. }), "{state:?}");
        assert_eq!(action, Some(Action::CheckHealth));
    }

    #[test]
    fn a_reboot_that_was_asked_for_is_tried_in_the_next_boot() {
        let mut events = rebooting();
        assert_eq!(after(&events).1, Some(Action::Reboot));
        events.push(Event::Started(boot(0)));
        assert_eq!(after(&events).1, Some(Action::Reboot), "the machine did not go down yet");
        events.push(Event::Booted(boot(1)));
        assert_eq!(after(&events).1, None, "services do not run yet");
        events.push(Event::Started(boot(1)));
        assert_eq!(after(&events).1, Some(Action::CheckHealth));
        events.push(Event::Healthy);
        assert!(matches!(after(&events).0, State::Committed { .. }));
    }

    #[test]
    fn three_boots_that_do_not_come_up_roll_back_before_services_start() {
        for tried in [false, true] {
            let mut events = rebooting();
            for number in 1..=3 {
                events.push(Event::Booted(boot(number)));
                assert_eq!(after(&events).1, None, "boot {number}");
                if tried {
                    events.push(Event::Started(boot(number)));
                }
            }
            events.push(Event::Booted(boot(4)));
            let (state, action) = after(&events);
            assert!(matches!(&state, State::RollingBack { cause: Cause::Failed, .. }), "{state:?}");
            assert_eq!(action, Some(Action::Restore));
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
        events.push(Event::Started(boot(0)));
        events.push(Event::Restored);
        assert!(matches!(after(&events).0, State::RolledBack { .. }));
    }

    #[test]
    fn a_second_update_cannot_begin_in_the_middle_of_one() {
        for done in 1..=5 {
            let (state, _) = after(&flawless()[..done]);
            assert!(transition(state, Event::Plan(transaction())).is_err(), "after {done}");
        }
        assert!(transition(after(&rebooting()).0, Event::Plan(transaction())).is_err());
    }

    proptest! {
        /// Wherever the power goes, and however often, boots and starts end at rest, and dpkg is never started twice.
        #[test]
        fn every_interruption_ends_at_rest(
            done in 0usize..=6, needs_reboot: bool, cuts in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..12)
        ) {
            let mut events = flawless()[..done].to_vec();
            if needs_reboot && done > 4 {
                events = rebooting();
            }
            let mut number = 0;
            let mut last = after(&events);
            for (power, is_early) in cuts {
                number += usize::from(power);
                let event = if is_early { Event::Booted(boot(number)) } else { Event::Started(boot(number)) };
                last = transition(last.0, event).unwrap();
                prop_assert!(!matches!(last.1, Some(Action::Install | Action::Download)), "{:?}", last);
                if last.1 == Some(Action::Restore) {
                    last = transition(last.0, Event::Restored).unwrap();
                }
            }
            for _ in 0..=MAX_BOOTS {
                number += 1;
                last = transition(last.0, Event::Started(boot(number))).unwrap();
                if last.1 == Some(Action::Restore) {
                    last = transition(last.0, Event::Restored).unwrap();
                }
            }
            prop_assert!(last.0.is_at_rest(), "{:?}", last.0);
        }
    }

    /// Every state once; of those with a count, the first and the last.
    fn states() -> Vec<(String, State)> {
        let (transaction, reason) = (transaction, || "r".to_owned());
        let probation = |boots| State::Probation { transaction: transaction(), boots, boot: boot(1) };
        let rebooting = |boots, at| State::Rebooting { transaction: transaction(), boots, boot: boot(at) };
        let rolling_back = |attempts| State::RollingBack {
            transaction: transaction(),
            reason: reason(),
            attempts,
            cause: Cause::Failed,
        };
        let plain = [
            State::Idle,
            State::Planned { transaction: transaction() },
            State::Downloaded { transaction: transaction() },
            State::Snapshotted { transaction: transaction() },
            State::Installing { transaction: transaction() },
        ];
        let mut states: Vec<(String, State)> = plain.map(|state| (state.name().to_owned(), state)).into();
        states.push(("rebooting, still in the boot before".into(), rebooting(0, 1)));
        states.push(("rebooting, this boot counted".into(), rebooting(1, 1)));
        states.push(("rebooting, this boot not yet counted".into(), rebooting(1, 0)));
        states.push((format!("rebooting, {MAX_BOOTS} boots before this"), rebooting(MAX_BOOTS, 0)));
        states.push(("probation, in this boot".into(), probation(0)));
        let before = State::Probation { transaction: transaction(), boots: 0, boot: boot(0) };
        states.push(("probation, in the boot before".into(), before));
        states.push(("rolling-back".into(), rolling_back(1)));
        states.push((format!("rolling-back, attempt {MAX_RESTORE_ATTEMPTS}"), rolling_back(MAX_RESTORE_ATTEMPTS)));
        let ended = [
            State::Committed { transaction: transaction() },
            State::RolledBack { transaction: transaction(), reason: reason(), cause: Cause::Failed },
            State::Abandoned { transaction: transaction(), reason: reason() },
            State::Postponed { transaction: transaction(), reason: reason() },
            State::Stuck { transaction: transaction(), reason: reason() },
        ];
        states.extend(ended.map(|state| (state.name().to_owned(), state)));
        states
    }

    fn events() -> Vec<(&'static str, Event)> {
        vec![
            ("plan", Event::Plan(transaction())),
            ("verified", Event::Verified),
            ("inhibited", Event::Inhibited("r".into())),
            ("snapshot taken", Event::SnapshotTaken),
            ("install starts", Event::InstallStarts),
            ("installed", Event::Installed(boot(1))),
            ("reboot needed", Event::RebootNeeded(boot(1))),
            ("healthy", Event::Healthy),
            ("failed", Event::Failed("r".into())),
            ("restored", Event::Restored),
            ("commit asked", Event::CommitAsked),
            ("trial ended by hand", Event::TrialEnded),
            ("rollback asked", Event::RollbackAsked(transaction())),
            ("booted", Event::Booted(boot(1))),
            ("started", Event::Started(boot(1))),
        ]
    }

    /// The table and the picture as `docs/transaction.md` holds them.
    fn drawing() -> String {
        let mut rows = String::from("| state | event | next state | action |\n| --- | --- | --- | --- |\n");
        let mut arrows = std::collections::BTreeMap::<(&str, &str), Vec<&str>>::new();
        for (name, state) in states() {
            for (event_name, event) in events() {
                let Ok((next, action)) = transition(state.clone(), event) else { continue };
                let action = action.map_or("–".to_owned(), |action| format!("{action:?}"));
                writeln!(rows, "| {name} | {event_name} | {} | {action} |", next.name()).unwrap();
                if next.name() != state.name() {
                    let labels = arrows.entry((state.name(), next.name())).or_default();
                    if !labels.contains(&event_name) {
                        labels.push(event_name);
                    }
                }
            }
        }
        let mut picture = String::from("```mermaid\nstateDiagram-v2\n    [*] --> idle\n");
        for ((from, to), labels) in arrows {
            let id = |name: &str| name.replace('-', "_");
            writeln!(picture, "    {} --> {}: {}", id(from), id(to), labels.join(", ")).unwrap();
        }
        format!("{picture}```\n\n{rows}")
    }

    /// `DEBFLEET_DRAW=1 cargo test -p updater drawn` draws it anew.
    #[test]
    fn the_docs_are_drawn_from_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/transaction.md");
        let docs = std::fs::read_to_string(path).unwrap();
        let (begin, end) = ("<!-- drawn from the code -->\n", "<!-- end of the drawing -->\n");
        let (before, rest) = docs.split_once(begin).unwrap();
        let (drawn, after) = rest.split_once(end).unwrap();
        let expected = format!("\n{}\n", drawing());
        if std::env::var_os("DEBFLEET_DRAW").is_some() {
            let text = format!("{before}{begin}{expected}{end}{after}");
            durable_files::replace(std::path::Path::new(path), text.as_bytes(), 0o644).unwrap();
        } else {
            assert!(drawn == expected, "draw it anew: DEBFLEET_DRAW=1 cargo test -p updater drawn");
        }
    }
}
