//! What the protocol promises beyond the everyday, by packets made by hand.

use super::clients::{Device, Wire, connect_packet, packet, publish_packet, subscribe_packet, text};
use super::talking::MQTTS;
use crate::running::{Server, Site};
use std::time::Duration;

const COMMANDS: &str = "command/device/lamp-1";

/// CONNECT of MQTT 5 with these properties.
fn connect5(client_id: &str, clean: bool, properties: &[u8]) -> Vec<u8> {
    let mut body = text("MQTT");
    body.extend([5, u8::from(clean) << 1, 0, 60, u8::try_from(properties.len()).unwrap()]);
    body.extend(properties);
    body.extend(text(client_id));
    packet(0x10, &body)
}

/// PUBLISH of MQTT 5 at QoS 1 with these properties.
fn publish5(topic: &str, id: u16, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic);
    body.extend(id.to_be_bytes());
    body.push(u8::try_from(properties.len()).unwrap());
    body.extend(properties);
    body.extend(payload);
    packet(0x32, &body)
}

/// A message of MQTT 5 at QoS 1: its packet identifier, its properties, and its payload.
fn message5((first, body): &(u8, Vec<u8>)) -> (u16, Vec<u8>, String) {
    assert_eq!(first & 0xf6, 0x32, "PUBLISH, not {first:x} {body:?}");
    let topic = usize::from(u16::from_be_bytes([body[0], body[1]])) + 2;
    let properties = topic + 3;
    let payload = properties + usize::from(body[topic + 2]);
    let id = u16::from_be_bytes([body[topic], body[topic + 1]]);
    (id, body[properties..payload].to_vec(), String::from_utf8(body[payload..].to_vec()).unwrap())
}

fn property32(number: u8, value: u32) -> Vec<u8> {
    [&[number][..], &value.to_be_bytes()].concat()
}

/// Connects, and checks that the server says yes; gives the rest of its answer.
fn open(server: &Server, device: &Device, connect: &[u8]) -> (Wire, Vec<u8>) {
    let mut wire = Wire::open(server, "mqtts", device, true, &[]).unwrap();
    wire.send(connect);
    let (first, body) = wire.receive().unwrap();
    assert_eq!((first, body[1]), (0x20, 0), "CONNACK");
    (wire, body)
}

fn operator(server: &Server, site: &Site) -> Wire {
    open(server, &site.operator(), &connect_packet(5, "operator", true, None)).0
}

fn publish(wire: &mut Wire, bytes: &[u8]) {
    wire.send(bytes);
    assert_eq!(wire.receive().unwrap().0, 0x40, "PUBACK");
}

/// Whatever came before this has been dealt with when it returns.
fn ping(wire: &mut Wire) {
    wire.send(&packet(0xc0, &[]));
    assert_eq!(wire.receive(), Some((0xd0, vec![])), "nothing else came");
}

#[test]
fn what_a_publisher_says_about_its_message_is_passed_on() {
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let server = site.start_with(&MQTTS);
    let mut operator = operator(&server, &site);
    let (mut wire, connack) = open(&server, &lamp, &connect_packet(5, "lamp-1", true, None));
    // Receive maximum 100, maximum QoS 1, maximum packet size, topic alias maximum 8, no shared subscriptions.
    for property in [&[0x21, 0, 100][..], &[0x24, 1], &property32(0x27, 146 << 10), &[0x22, 0, 8], &[0x2a, 0]] {
        assert!(connack.windows(property.len()).any(|found| found == property), "{property:?} in {connack:?}");
    }
    // With a subscription identifier.
    let subscribe = [&[0, 1, 2, 0x0b, 7][..], &text(COMMANDS), &[1]].concat();
    wire.send(&packet(0x82, &subscribe));
    assert_eq!(wire.receive(), Some((0x90, vec![0, 1, 0, 1])));
    let told = [
        [&[0x03][..], &text("text/plain")].concat(),
        [&[0x08][..], &text("answers/here")].concat(),
        [&[0x09][..], &text("4711")].concat(),
        [&[0x26][..], &text("colour"), &text("red")].concat(),
        vec![0x01, 1],
        property32(0x02, 60),
    ];
    publish(&mut operator, &publish5(COMMANDS, 1, &told.concat(), b"on"));
    let (_, properties, payload) = message5(&wire.receive().unwrap());
    assert_eq!(payload, "on");
    for property in told.iter().chain([&vec![0x0b, 7]]) {
        assert!(properties.windows(property.len()).any(|found| found == property), "{property:?} in {properties:?}");
    }
    assert_eq!(properties.len(), told.concat().len() + 2, "and nothing else");
}

#[test]
fn a_topic_can_be_named_once_and_numbered_from_then_on() {
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let server = site.start_with(&MQTTS);
    let mut operator = operator(&server, &site);
    let (mut wire, _) = open(&server, &lamp, &connect_packet(5, "lamp-1", true, None));
    wire.send(&subscribe_packet(5, 1, COMMANDS));
    assert_eq!(wire.receive().unwrap().0, 0x90);
    publish(&mut operator, &publish5(COMMANDS, 1, &[0x23, 0, 8], b"first"));
    publish(&mut operator, &publish5("", 2, &[0x23, 0, 8], b"second"));
    for expected in ["first", "second"] {
        let (id, properties, payload) = message5(&wire.receive().unwrap());
        assert_eq!((properties.len(), payload.as_str()), (0, expected));
        wire.send(&packet(0x40, &id.to_be_bytes()));
    }
    for (case, wrong) in [("never said", 7), ("too high", 9)] {
        let (mut wire, _) = open(&server, &lamp, &connect_packet(5, "lamp-1", true, None));
        wire.send(&publish5("", 1, &[0x23, 0, wrong], b"x"));
        assert_eq!(wire.receive(), Some((0xe0, vec![0x94, 0])), "topic alias invalid: {case}");
        assert_eq!(wire.receive(), None);
    }
}

#[test]
fn a_message_whose_time_is_over_is_not_sent() {
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let server = site.start_with(&MQTTS);
    let mut operator = operator(&server, &site);
    let keep = connect5("lamp-1", false, &property32(0x11, 3600));
    let (mut wire, _) = open(&server, &lamp, &keep);
    wire.send(&subscribe_packet(5, 1, COMMANDS));
    assert_eq!(wire.receive().unwrap().0, 0x90);
    drop(wire);
    publish(&mut operator, &publish5(COMMANDS, 1, &property32(0x02, 1), b"short"));
    publish(&mut operator, &publish5(COMMANDS, 2, &property32(0x02, 3600), b"long"));
    // There is no other way to wait for the end of a time that the server measures.
    std::thread::sleep(Duration::from_millis(1100));
    let (mut wire, connack) = open(&server, &lamp, &keep);
    assert_eq!(connack[0], 1, "session present");
    let (_, properties, payload) = message5(&wire.receive().unwrap());
    assert_eq!((payload.as_str(), properties[0]), ("long", 0x02));
    let left = u32::from_be_bytes(properties[1..].try_into().unwrap());
    assert!((3500..3600).contains(&left), "{left}: it is counted down");
    ping(&mut wire);
}

#[test]
fn a_client_gets_no_more_unacknowledged_messages_than_it_takes() {
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let server = site.start_with(&MQTTS);
    let mut operator = operator(&server, &site);
    let (mut wire, _) = open(&server, &lamp, &connect5("lamp-1", true, &[0x21, 0, 2]));
    wire.send(&subscribe_packet(5, 1, COMMANDS));
    assert_eq!(wire.receive().unwrap().0, 0x90);
    for id in 1..=5 {
        publish(&mut operator, &publish_packet(5, COMMANDS, Some(id), id.to_string().as_bytes()));
    }
    let (first, _, _) = message5(&wire.receive().unwrap());
    message5(&wire.receive().unwrap());
    ping(&mut wire);
    wire.send(&packet(0x40, &first.to_be_bytes()));
    assert_eq!(message5(&wire.receive().unwrap()).2, "3");
    ping(&mut wire);
}

#[test]
fn a_packet_that_a_client_does_not_take_is_not_sent() {
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let server = site.start_with(&MQTTS);
    let mut operator = operator(&server, &site);
    let (mut wire, _) = open(&server, &lamp, &connect5("lamp-1", true, &property32(0x27, 100)));
    wire.send(&subscribe_packet(5, 1, COMMANDS));
    assert_eq!(wire.receive().unwrap().0, 0x90);
    publish(&mut operator, &publish_packet(5, COMMANDS, Some(1), &[b'x'; 100]));
    publish(&mut operator, &publish_packet(5, COMMANDS, Some(2), b"short"));
    assert_eq!(message5(&wire.receive().unwrap()).2, "short");
}

#[test]
fn a_session_has_at_most_a_thousand_messages_and_loses_the_oldest() {
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let server = site.start_with(&MQTTS);
    let mut operator = operator(&server, &site);
    let keep = connect_packet(5, "lamp-1", false, None);
    let (mut wire, _) = open(&server, &lamp, &keep);
    wire.send(&subscribe_packet(5, 1, COMMANDS));
    assert_eq!(wire.receive().unwrap().0, 0x90);
    drop(wire);
    for id in 1..=1010_u16 {
        operator.send(&publish_packet(5, COMMANDS, Some(id), id.to_string().as_bytes()));
        if id % 50 == 0 || id == 1010 {
            (0..if id == 1010 { 10 } else { 50 }).for_each(|_| assert_eq!(operator.receive().unwrap().0, 0x40));
        }
    }
    let (mut wire, _) = open(&server, &lamp, &keep);
    for expected in 11..=1010 {
        let (id, _, payload) = message5(&wire.receive().unwrap());
        assert_eq!(payload, expected.to_string());
        wire.send(&packet(0x40, &id.to_be_bytes()));
    }
    ping(&mut wire);
    assert_eq!(server.metric("debfleet_mqtt_dropped_total{reason=\"session-full\"}"), Some(10.0));
}

#[test]
fn a_client_that_takes_nothing_is_cut_off_and_its_session_has_its_messages_later() {
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let server = site.start_with(&MQTTS);
    let mut operator = operator(&server, &site);
    // It says that it takes many and does not listen.
    let keep = connect_packet(5, "lamp-1", false, None);
    let (mut deaf, _) = open(&server, &lamp, &keep);
    deaf.send(&subscribe_packet(5, 1, COMMANDS));
    assert_eq!(deaf.receive().unwrap().0, 0x90);
    let payload = vec![b'x'; 100 << 10];
    let mut sent = 0_u16;
    while server.metric("debfleet_mqtt_dropped_total{reason=\"slow-client\"}").is_none() {
        sent += 1;
        assert!(sent < 400, "it is never cut off");
        publish(&mut operator, &publish_packet(5, COMMANDS, Some(sent), &payload));
    }
    assert!(server.resident() < 300 << 20, "{}", server.resident());
    let (mut wire, connack) = open(&server, &lamp, &keep);
    assert_eq!(connack[0], 1, "session present");
    for _ in 0..sent {
        let (first, body) = wire.receive().unwrap();
        assert_eq!(first & 0xf6, 0x32, "PUBLISH");
        let id = text(COMMANDS).len();
        wire.send(&packet(0x40, &body[id..id + 2]));
    }
    ping(&mut wire);
}

#[test]
fn a_session_lasts_as_long_as_its_client_said_last() {
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let server = site.start_with(&MQTTS);
    let keep = |seconds| connect5("lamp-1", false, &property32(0x11, seconds));
    let (wire, connack) = open(&server, &lamp, &keep(u32::MAX));
    let week = property32(0x11, 7 * 24 * 3600);
    assert!(connack.windows(5).any(|found| found == week), "no session is kept for longer: {connack:?}");
    drop(wire);
    let (mut wire, connack) = open(&server, &lamp, &keep(3600));
    assert_eq!(connack[0], 1);
    // DISCONNECT with a session expiry of nothing.
    wire.send(&packet(0xe0, &[&[0, 5][..], &property32(0x11, 0)].concat()));
    assert_eq!(wire.receive(), None);
    let (mut wire, connack) = open(&server, &lamp, &keep(0));
    assert_eq!(connack[0], 0, "it has ended");
    // One that was to end cannot be kept after all.
    wire.send(&packet(0xe0, &[&[0, 5][..], &property32(0x11, 60)].concat()));
    assert_eq!(wire.receive(), Some((0xe0, vec![0x82, 0])), "protocol error");
    let (_, connack) = open(&server, &lamp, &keep(3600));
    assert_eq!(connack[0], 0);
}

/// CONNECT of `lamp-1`, whose session lasts an hour, with a will after so many seconds.
fn connect_with_will(delay: u32, will: &str) -> Vec<u8> {
    let mut body = text("MQTT");
    body.extend([5, 0b0000_1100, 0, 60, 5]);
    body.extend(property32(0x11, 3600));
    body.extend(text("lamp-1"));
    body.push(5);
    body.extend(property32(0x18, delay));
    body.extend(text("sensor/device/lamp-1"));
    body.extend(text(will));
    packet(0x10, &body)
}

/// What waits for the operator's session, or comes to it, next.
fn heard(server: &Server, operator: &Device) -> String {
    let (mut wire, connack) = open(server, operator, &connect5("operator", false, &property32(0x11, 3600)));
    assert_eq!(connack[0], 1, "session present");
    let (first, body) = wire.receive().unwrap();
    assert_eq!(first & 0xf6, 0x32, "PUBLISH");
    let id = text("sensor/device/lamp-1").len();
    wire.send(&packet(0x40, &body[id..id + 2]));
    ping(&mut wire);
    // A length of properties, which are none, stands before the payload.
    String::from_utf8(body[id + 3..].to_vec()).unwrap()
}

#[test]
fn a_will_that_waits_survives_the_server() {
    let site = Site::with_policy();
    let (lamp, operator) = (site.enrolled("lamp-1"), site.operator());
    let mut server = site.start_logging(&MQTTS);
    let (mut wire, _) = open(&server, &operator, &connect5("operator", false, &property32(0x11, 3600)));
    wire.send(&subscribe_packet(5, 1, "sensor/device/#"));
    assert_eq!(wire.receive().unwrap().0, 0x90, "SUBACK");
    drop(wire);
    drop(open(&server, &lamp, &connect_with_will(1, "gone")));
    server.logged("disconnected client=lamp-1");
    server.kill();
    let server = site.start_with(&MQTTS);
    assert_eq!(heard(&server, &operator), "gone");
    // And one whose client is back in time is not published, by this server or the next.
    drop(open(&server, &lamp, &connect_with_will(3600, "early")));
    let (mut wire, connack) = open(&server, &lamp, &connect_with_will(1, "later"));
    assert_eq!(connack[0], 1, "session present");
    ping(&mut wire);
    assert!(server.stop(), "its client is cut off then");
    assert_eq!(heard(&site.start_with(&MQTTS), &operator), "later");
}

#[test]
fn a_will_with_a_delay_is_for_a_client_that_does_not_come_back() {
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let server = site.start_with(&MQTTS);
    let mut watching = server.subscribe(&site.operator(), "sensor/device/#", &["-q", "1"]);
    let connect = connect_with_will;
    // It is back before its time.
    let (wire, _) = open(&server, &lamp, &connect(1, "early"));
    drop(wire);
    let (mut wire, _) = open(&server, &lamp, &connect(1, "late"));
    // Nor when the client leaves by itself.
    wire.send(&packet(0xe0, &[]));
    assert_eq!(wire.receive(), None);
    let (wire, _) = open(&server, &lamp, &connect(1, "gone"));
    drop(wire);
    assert_eq!(watching.next(), "0 1 sensor/device/lamp-1 gone");
    // With reason 4 it leaves by itself and wants its will, which waits until the session is ended.
    let (mut wire, _) = open(&server, &lamp, &connect(3600, "wanted"));
    wire.send(&packet(0xe0, &[4]));
    assert_eq!(wire.receive(), None);
    drop(open(&server, &lamp, &connect_packet(5, "lamp-1", true, None)));
    assert_eq!(watching.next(), "0 1 sensor/device/lamp-1 wanted");
}

#[test]
fn what_makes_no_sense_in_mqtt_5_is_answered_with_its_reason() {
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let server = site.start_with(&MQTTS);
    let topic = "sensor/device/lamp-1";
    for (case, bytes, reason) in [
        ("a second CONNECT", connect_packet(5, "lamp-1", true, None), 0x82),
        ("AUTH", packet(0xf0, &[0, 0]), 0x82),
        ("PUBREL", packet(0x62, &[0, 1]), 0x82),
        ("CONNACK", packet(0x20, &[0, 0, 0]), 0x82),
        ("no filter", packet(0x82, &[0, 1, 0]), 0x82),
        ("no topic", publish5("", 1, &[], b"x"), 0x82),
        ("type 0", packet(0, &[]), 0x81),
        ("QoS 3", packet(0x36, &[&text(topic)[..], &[0, 1, 0]].concat()), 0x81),
        ("QoS 2", packet(0x34, &[&text(topic)[..], &[0, 1, 0]].concat()), 0x9b),
        ("packet id 0", publish5(topic, 0, &[], b"x"), 0x81),
        ("an unknown property", publish5(topic, 1, &[0x7f, 1], b"x"), 0x81),
        ("too large", publish5(topic, 1, &[], &[b'x'; 150 << 10]), 0x95),
    ] {
        let (mut wire, _) = open(&server, &lamp, &connect_packet(5, "lamp-1", true, None));
        wire.send(&bytes);
        assert_eq!(wire.receive(), Some((0xe0, vec![reason, 0])), "{case}");
        assert_eq!(wire.receive(), None, "{case}");
    }
    for (case, bytes, reason) in [
        ("a method", connect5("lamp-1", true, &[&[0x15][..], &text("GSSAPI")].concat()), 0x8c),
        ("no client id", connect5("", true, &[]), 0x85),
        ("another's client id", connect5("lamp-2", true, &[]), 0x87),
        ("a malformed property", connect5("lamp-1", true, &[0x7f, 1]), 0x81),
    ] {
        let mut wire = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
        wire.send(&bytes);
        let (first, body) = wire.receive().unwrap();
        assert_eq!((first, body[1]), (0x20, reason), "{case}");
        assert_eq!(wire.receive(), None, "{case}");
    }
    let (mut wire, _) = open(&server, &lamp, &connect_packet(5, "lamp-1", true, None));
    let filters: Vec<u8> = (0..51).flat_map(|_| [&text(COMMANDS)[..], &[1]].concat()).collect();
    wire.send(&packet(0x82, &[&[0, 1, 0][..], &filters].concat()));
    assert_eq!(wire.receive().unwrap().1[3..], [1; 51], "one filter is one subscription");
    wire.send(&packet(0x82, &[&[0, 2, 0][..], &text("$share/g/a"), &[1], &text("command/#/x"), &[1]].concat()));
    assert_eq!(wire.receive(), Some((0x90, vec![0, 2, 0, 0x9e, 0x8f])));
    wire.send(&packet(0xa2, &[&[0, 3, 0][..], &text(COMMANDS), &text("never/subscribed")].concat()));
    assert_eq!(wire.receive(), Some((0xb0, vec![0, 3, 0, 0, 0x11])));
}

#[test]
fn a_subscription_has_retained_messages_sent_as_it_wants() {
    let site = Site::with_policy();
    let lamp = site.operator();
    let server = site.start_with(&MQTTS);
    let (mut wire, _) = open(&server, &lamp, &connect_packet(5, "operator", true, None));
    publish(&mut wire, &packet(0x33, &[&text("a/b")[..], &[0, 1, 0], b"kept"].concat()));
    let mut subscribe = |id: u16, options: u8| {
        wire.send(&packet(0x82, &[&id.to_be_bytes()[..], &[0], &text("a/+"), &[options]].concat()));
        assert_eq!(wire.receive().unwrap().0, 0x90);
        wire.send(&packet(0xc0, &[]));
        let mut payloads = Vec::new();
        loop {
            let packet = wire.receive().unwrap();
            if packet.0 == 0xd0 {
                return payloads;
            }
            assert_eq!(packet.0, 0x33, "retained, at QoS 1");
            payloads.push(message5(&packet).2);
        }
    };
    assert!(subscribe(1, 0b10_0001).is_empty(), "never");
    assert!(subscribe(2, 0b01_0001).is_empty(), "only when the subscription is new");
    assert_eq!(subscribe(3, 0b00_0001), ["kept"]);
    // No local: its own messages do not come back.
    assert_eq!(subscribe(4, 0b00_0101), ["kept"]);
    publish(&mut wire, &publish_packet(5, "a/b", Some(9), b"own"));
    ping(&mut wire);
}
