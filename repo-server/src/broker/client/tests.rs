use super::*;
use crate::broker::link::example_link;
use crate::broker::message::example;

fn kept() -> State {
    let session =
        KeptSession { client: "lamp".into(), owner: "thing lamp".to_owned(), expiry: 3600, disconnected_at: None };
    State { kept: Some(KeptState::new(session)), ..State::default() }
}

fn item(message: i64) -> Item {
    Item {
        body: Body::Here(Arc::new(example(message, "a"))),
        at_least_once: true,
        retain: false,
        identifiers: Vec::new(),
        costs_nothing: false,
    }
}

fn copy() -> Copy {
    Copy { client: "lamp".into(), retain: false, identifiers: Vec::new() }
}

/// Sends what may be sent, and gives what was sent under which packet identifier.
fn send_all(state: &mut State, number: i64) -> Vec<(i64, u16, bool)> {
    let mut sent = Vec::new();
    loop {
        match state.next(number) {
            Next::Nothing => return sent,
            Next::Message(message, item) => {
                assert!(item.at_least_once);
                let (packet_id, again) = state.begin(number, message.id).unwrap();
                sent.push((message.id, packet_id.get(), again));
            }
            Next::OnDisk { first, last } => {
                let found = (first..=last).map(|id| (Arc::new(example(id, "a")), copy())).collect();
                state.fill(number, last, found);
            }
        }
    }
}

fn acknowledge(state: &mut State, number: i64, packet_id: u16) -> Option<i64> {
    state.acknowledge(number, NonZeroU16::new(packet_id).unwrap())
}

#[test]
fn a_client_gets_no_more_than_it_takes_at_a_time() {
    let mut state = State::default();
    state.seat(example_link(1), 2);
    for message in 1..=4 {
        assert_eq!(state.hand_over(item(message)), Handed::Over);
    }
    assert_eq!(send_all(&mut state, 1), [(1, 1, false), (2, 2, false)]);
    assert_eq!(acknowledge(&mut state, 1, 9), None, "nothing was sent as this");
    assert!(send_all(&mut state, 1).is_empty());
    acknowledge(&mut state, 1, 2);
    assert_eq!(send_all(&mut state, 1), [(3, 3, false)]);
    assert!(send_all(&mut state, 7).is_empty(), "another connection has no part in it");
}

#[test]
fn what_was_not_acknowledged_comes_again_in_order_and_under_its_old_number() {
    let mut state = kept();
    state.seat(example_link(1), 2);
    for message in 1..=3 {
        assert_eq!(state.add_pending(message, false), None);
        assert_eq!(state.hand_over(item(message)), Handed::Over);
        assert_eq!(state.hand_over(item(message)), Handed::NotNow, "it has it");
    }
    assert_eq!(send_all(&mut state, 1), [(1, 1, false), (2, 2, false)]);
    assert_eq!(acknowledge(&mut state, 1, 1), Some(1));
    assert_eq!(send_all(&mut state, 1), [(3, 3, false)]);
    state.unseat();
    assert!(state.lacks(4) && !state.lacks(2));
    state.add_pending(4, false);
    assert_eq!(state.hand_over(item(4)), Handed::NotNow, "it is not there");
    state.seat(example_link(2), 3);
    assert_eq!(state.hand_over(item(4)), Handed::NotNow, "it gets it with the others");
    assert_eq!(send_all(&mut state, 2), [(2, 2, true), (3, 3, true), (4, 1, false)], "2 and 3 are taken");
    assert_eq!(acknowledge(&mut state, 1, 2), None, "the old connection has nothing to say");
    for (packet_id, message) in [(3, 3), (2, 2), (1, 4)] {
        assert_eq!(acknowledge(&mut state, 2, packet_id), Some(message));
    }
    state.unseat();
    state.seat(example_link(3), 3);
    assert!(send_all(&mut state, 3).is_empty());
}

#[test]
fn what_has_left_the_disk_is_not_sent() {
    let mut state = kept();
    for message in 1..=3 {
        state.add_pending(message, false);
    }
    state.seat(example_link(1), 100);
    let Next::OnDisk { first: 1, last: 3 } = state.next(1) else { panic!("all of them are on the disk") };
    state.fill(1, 3, vec![(Arc::new(example(2, "a")), copy())]);
    assert_eq!(send_all(&mut state, 1), [(2, 1, false)]);
    assert!(state.lacks(1) && !state.lacks(2), "it is forgotten");
}

#[test]
fn a_session_that_is_full_loses_its_oldest() {
    let mut state = kept();
    for message in 0..1000 {
        assert_eq!(state.add_pending(message, false), None);
    }
    assert_eq!(state.add_pending(1000, false), Some(0));
    assert_eq!(state.add_pending(1001, false), Some(1));
}

#[test]
fn a_client_that_takes_nothing_is_cut_off_and_what_is_kept_waits() {
    let mut state = kept();
    let link = example_link(1);
    state.seat(link.clone(), 1);
    let large = |message| {
        let mut large = example(message, "a");
        large.publish.payload = vec![b'x'; 1 << 20].into();
        Item { body: Body::Here(Arc::new(large)), ..item(message) }
    };
    let mut handed = 0;
    for message in 1..=20 {
        state.add_pending(message, false);
        handed += usize::from(state.hand_over(large(message)) == Handed::Over);
    }
    assert!((8..=9).contains(&handed), "{handed}");
    assert_eq!(link.reason(), Some(DisconnectReasonCode::QuotaExceeded));
    state.unseat();
    state.seat(example_link(2), 100);
    assert_eq!(send_all(&mut state, 2).len(), 20);
}

#[test]
fn packet_identifiers_begin_anew_and_are_never_used_twice_at_a_time() {
    let mut state = State::default();
    state.seat(example_link(1), 100);
    let (first, _) = state.begin(1, 0).unwrap();
    assert_eq!(first.get(), 1);
    for message in 1..70_000 {
        let (packet_id, _) = state.begin(1, message).unwrap();
        assert_ne!(packet_id, first);
        state.acknowledge(1, packet_id);
    }
}

#[test]
fn only_a_session_without_its_client_ends() {
    let mut state = kept();
    assert!(!state.is_expired(i64::MAX), "it is not known to have left");
    state.kept.as_mut().unwrap().session.disconnected_at = Some(0);
    assert!(!state.is_expired(3_599_999) && state.is_expired(3_600_000));
    state.seat(example_link(1), 1);
    assert!(!state.is_expired(i64::MAX));
    assert!(state.is_kept_for("thing lamp") && !state.is_kept_for("thing other"));
}
