//! What must be there after the connection has ended, and after the server was killed.

use super::clients::{Device, Packet, Wire, packet, publish_packet, subscribe_packet};
use super::talking::MQTTS;
use crate::running::{Server, Site};

const TOPIC: &str = "command/device/lamp-1";

/// Connects with a session that is kept, and says whether there was one.
fn resume(server: &Server, device: &Device, version: u8) -> (Wire, bool) {
    let mut wire = Wire::open(server, "mqtts", device, true, &[]).unwrap();
    wire.send(&super::clients::connect_packet(version, &device.name, false, None));
    let (first, body) = wire.receive().unwrap();
    assert_eq!((first, body[1]), (0x20, 0), "CONNACK");
    (wire, body[0] == 1)
}

/// A message's topic, flags, packet identifier and payload.
fn message(version: u8, (first, body): &Packet) -> (u8, u16, String) {
    assert_eq!(first & 0xf0, 0x30, "PUBLISH, not {first:x} {body:?}");
    let topic = usize::from(u16::from_be_bytes([body[0], body[1]])) + 2;
    let id = u16::from_be_bytes([body[topic], body[topic + 1]]);
    let properties = if version == 5 { usize::from(body[topic + 2]) + 1 } else { 0 };
    (*first, id, String::from_utf8(body[topic + 2 + properties..].to_vec()).unwrap())
}

fn puback(id: u16) -> Vec<u8> {
    packet(0x40, &id.to_be_bytes())
}

fn publish_all(server: &Server, operator: &Device, payloads: impl IntoIterator<Item = String>) {
    let mut wire = Wire::open(server, "mqtts", operator, true, &[]).unwrap();
    assert_eq!(wire.connect(4, "operator", true, None), Some(0));
    for (id, payload) in (1..).zip(payloads) {
        wire.send(&publish_packet(4, TOPIC, Some(id), payload.as_bytes()));
        assert_eq!(wire.receive(), Some((0x40, id.to_be_bytes().to_vec())), "PUBACK");
    }
}

#[test]
fn a_kept_session_gets_in_order_what_came_while_it_was_away_also_after_a_kill() {
    for version in [4, 5] {
        let site = Site::with_policy();
        let (lamp, operator) = (site.enrolled("lamp-1"), site.operator());
        let mut server = site.start_with(&MQTTS);
        let (mut wire, present) = resume(&server, &lamp, version);
        assert!(!present);
        wire.send(&subscribe_packet(version, 1, TOPIC));
        assert_eq!(wire.receive().unwrap().0, 0x90);
        // One is sent and not acknowledged; the others come while nobody is there.
        publish_all(&server, &operator, ["0".to_owned()]);
        let (_, first_id, payload) = message(version, &wire.receive().unwrap());
        assert_eq!(payload, "0");
        drop(wire);
        publish_all(&server, &operator, (1..5).map(|number| number.to_string()));
        let (mut wire, present) = resume(&server, &lamp, version);
        assert!(present);
        let (first, id, payload) = message(version, &wire.receive().unwrap());
        assert_eq!((first, id, payload.as_str()), (0x3a, first_id, "0"), "again, under its old number, as a duplicate");
        wire.send(&puback(id));
        let (_, id, payload) = message(version, &wire.receive().unwrap());
        assert_eq!(payload, "1");
        wire.send(&puback(id));
        // Its acknowledgement has arrived when the answer to what came behind it has.
        wire.send(&packet(0xc0, &[]));
        while wire.receive().unwrap().0 != 0xd0 {}
        publish_all(&server, &operator, (5..8).map(|number| number.to_string()));
        // The writer is told of acknowledgements in the order of everything else, and has written the last message.
        server.kill();

        let server = site.start_with(&MQTTS);
        // Before it is back: the session is there without its client.
        publish_all(&server, &operator, (8..10).map(|number| number.to_string()));
        let (mut wire, present) = resume(&server, &lamp, version);
        assert!(present, "the session survived the kill");
        for expected in 2..10 {
            let (_, id, payload) = message(version, &wire.receive().unwrap());
            assert_eq!(payload, expected.to_string());
            wire.send(&puback(id));
        }
        publish_all(&server, &operator, ["live".to_owned()]);
        assert_eq!(message(version, &wire.receive().unwrap()).2, "live", "and its subscription still holds");
        drop(wire);
        // A clean start ends it.
        let mut wire = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
        assert_eq!(wire.connect(version, "lamp-1", true, None), Some(0));
        drop(wire);
        publish_all(&server, &operator, ["unheard".to_owned()]);
        let (_, present) = resume(&server, &lamp, version);
        assert!(!present);
    }
}

#[test]
fn no_acknowledged_message_is_lost_when_the_server_is_killed_in_the_middle() {
    let site = Site::with_policy();
    let (lamp, operator) = (site.enrolled("lamp-1"), site.operator());
    let mut server = site.start_with(&MQTTS);
    let (mut wire, _) = resume(&server, &lamp, 4);
    wire.send(&subscribe_packet(4, 1, TOPIC));
    assert_eq!(wire.receive().unwrap().0, 0x90);
    let mut acknowledged = 0;
    for round in 0..3 {
        drop(wire);
        let mut publisher = Wire::open(&server, "mqtts", &operator, true, &[]).unwrap();
        assert_eq!(publisher.connect(4, "operator", true, None), Some(0));
        // A hundred at once, as far as the protocol allows; the kill comes after some of the answers.
        for id in 1..=100_u16 {
            let payload = format!("{}", u32::from(id) + round * 1000);
            publisher.send(&publish_packet(4, TOPIC, Some(id), payload.as_bytes()));
        }
        let answers = 20 + 30 * round;
        for _ in 0..answers {
            assert_eq!(publisher.receive().unwrap().0, 0x40);
            acknowledged += 1;
        }
        server.kill();
        server = site.start_with(&MQTTS);
        (wire, _) = resume(&server, &lamp, 4);
        let mut received = Vec::new();
        wire.send(&packet(0xc0, &[]));
        // What was stored without an answer may come, too.
        while received.len() < usize::try_from(answers).unwrap() {
            let packet = wire.receive().unwrap();
            if packet.0 == 0xd0 {
                continue;
            }
            let (_, id, payload) = message(4, &packet);
            received.push(payload.parse::<u32>().unwrap() - round * 1000);
            wire.send(&puback(id));
        }
        let expected: Vec<u32> = (1..=answers).collect();
        assert_eq!(received, expected, "in round {round}");
        // The rest of this round, if there is any.
        let end = Wire::open(&server, "mqtts", &operator, true, &[]);
        drop(end);
        publish_all(&server, &operator, ["4000000".to_owned()]);
        loop {
            let packet = wire.receive().unwrap();
            if packet.0 == 0xd0 {
                continue;
            }
            let (_, id, payload) = message(4, &packet);
            wire.send(&puback(id));
            if payload == "4000000" {
                break;
            }
        }
        wire.send(&packet(0xc0, &[]));
        while wire.receive().unwrap().0 != 0xd0 {}
    }
    assert_eq!(acknowledged, 20 + 50 + 80);
}

#[test]
fn a_retained_message_is_there_for_whoever_comes_later_and_after_a_restart() {
    let site = Site::with_policy();
    let (lamp, operator) = (site.enrolled("lamp-1"), site.operator());
    let mut server = site.start_with(&MQTTS);
    for (topic, payload) in [(TOPIC, "old"), (TOPIC, "on"), ("command/device/all", "gone")] {
        let output = server.publish_message(&operator, topic, payload, &["-r", "-q", "1"]);
        assert!(output.status.success(), "{output:?}");
    }
    let output = server.publish_message(&operator, "command/device/all", "", &["-r", "-q", "1"]);
    assert!(output.status.success(), "{output:?}");
    for _ in 0..2 {
        for version in ["mqttv311", "mqttv5"] {
            let more = ["-q", "1", "-V", version, "-t", "command/device/all"];
            let mut device = server.subscribe(&lamp, TOPIC, &more);
            assert_eq!(device.next(), "1 1 command/device/lamp-1 on", "and it is told to be retained");
            // What was retained for all is there no more.
            let output = server.publish_message(&operator, "command/device/all", "now", &["-q", "1"]);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(device.next(), "0 1 command/device/all now");
        }
        server.kill();
        server = site.start_with(&MQTTS);
    }
}

#[test]
fn another_certificate_gets_nothing_of_what_waits_for_a_client_id() {
    let site = Site::with_policy();
    let operator = site.operator();
    // Two certificates with one common name, neither attached to a thing.
    let one = site.register(&super::clients::Making::named("gateway"));
    let other = site.register(&super::clients::Making::named("gateway"));
    site.allow(&one, "everything");
    site.allow(&other, "everything");
    let server = site.start_with(&MQTTS);
    let (mut wire, _) = resume(&server, &one, 4);
    wire.send(&subscribe_packet(4, 1, TOPIC));
    assert_eq!(wire.receive().unwrap().0, 0x90);
    drop(wire);
    publish_all(&server, &operator, ["secret".to_owned()]);
    let (mut wire, present) = resume(&server, &other, 4);
    assert!(!present);
    wire.send(&packet(0xc0, &[]));
    assert_eq!(wire.receive(), Some((0xd0, vec![])), "nothing came before the answer to the ping");
}
