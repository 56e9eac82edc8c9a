//! The table's promises, and its drawing.

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
    let rolling_back =
        |attempts| State::RollingBack { transaction: transaction(), reason: reason(), attempts, cause: Cause::Failed };
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
