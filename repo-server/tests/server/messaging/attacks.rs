//! Clients that want what is not theirs. Each is refused and logged, and the others are served meanwhile.

use super::clients::{Device, Making, Wire, connect_packet, packet, publish_packet, subscribe_packet, text};
use super::talking::MQTTS;
use crate::running::{Server, Site};
use std::net::TcpStream;

/// Whether the connection comes to nothing: in its handshake, or at the latest before a CONNACK that says yes.
fn is_refused(server: &Server, device: &Device, client_id: &str) -> bool {
    match Wire::open(server, "mqtts", device, true, &[]) {
        Ok(mut wire) => wire.connect(4, client_id, true, None) != Some(0),
        Err(_) => true,
    }
}

#[track_caller]
fn is_served(server: &Server, device: &Device) {
    let mut wire = Wire::open(server, "mqtts", device, true, &[]).unwrap();
    assert_eq!(wire.connect(4, &device.name, true, None), Some(0));
    wire.send(&publish_packet(4, &format!("sensor/device/{}", device.name), Some(1), b"ok"));
    assert_eq!(wire.receive(), Some((0x40, vec![0, 1])));
}

#[test]
fn a_certificate_that_proves_nothing_gets_nowhere() {
    let site = Site::with_policy();
    let honest = site.enrolled("lamp-1");
    let named = Making::named;
    let cases = [
        ("none-registered", site.make_certificate(&named("lamp-2")), "not registered"),
        ("self-signed", site.make_certificate(&Making { self_signed: true, ..named("lamp-1") }), "certificate"),
        ("ended", site.register(&Making { not_after: (2024, 1, 1), ..named("lamp-1") }), "certificate"),
        ("without-name", site.register(&Making { common_name: None, ..named("") }), "common name"),
        ("plus", site.register(&named("+")), "common name"),
        ("hash", site.register(&named("lamp/#")), "common name"),
        ("slash", site.register(&named("lamp-1/x")), "common name"),
        ("empty", site.register(&named("")), "common name"),
    ];
    let mut server = site.start_logging(&MQTTS);
    for (case, device, logged) in &cases {
        assert!(is_refused(&server, device, "lamp-1"), "{case}");
        let line = server.logged("refused an MQTT client");
        assert!(line.contains(logged), "{case}: {line}");
    }
    let without = Wire::open(&server, "mqtts", &honest, false, &[]);
    // In TLS 1.3 a client learns of it only when it listens.
    assert!(without.map_or(true, |mut wire| wire.connect(4, "lamp-1", true, None).is_none()), "without a certificate");
    is_served(&server, &honest);
}

#[test]
fn nobody_takes_anothers_client_id_or_speaks_in_anothers_name() {
    let site = Site::with_policy();
    let (thief, victim) = (site.enrolled("lamp-1"), site.enrolled("lamp-2"));
    let mut server = site.start_logging(&MQTTS);
    let mut held = Wire::open(&server, "mqtts", &victim, true, &[]).unwrap();
    assert_eq!(held.connect(4, "lamp-2", true, None), Some(0));
    for client_id in ["lamp-2", "lamp-1x", "lamp", "lamp-1/#", "lamp-1/+", ""] {
        assert!(is_refused(&server, &thief, client_id), "{client_id:?}");
        server.logged("refused an MQTT client");
    }
    // The username says nothing, whatever it says.
    let mut body = text("MQTT");
    body.extend([4, 0b1100_0010, 0, 60]);
    for part in ["lamp-2", "lamp-2", "secret"] {
        body.extend(text(part));
    }
    let mut wire = Wire::open(&server, "mqtts", &thief, true, &[]).unwrap();
    wire.send(&packet(0x10, &body));
    assert_eq!(wire.receive(), Some((0x20, vec![0, 5])), "not authorized");
    for version in [4, 5] {
        for will in ["sensor/device/lamp-2", "sensor/device/+", "$aws/things/lamp-1/shadow/update", "#"] {
            let mut wire = Wire::open(&server, "mqtts", &thief, true, &[]).unwrap();
            assert_ne!(wire.connect(version, "lamp-1", true, Some(will)), Some(0), "{will}");
            server.logged(will);
        }
    }
    held.send(&packet(0xc0, &[]));
    assert_eq!(held.receive(), Some((0xd0, vec![])), "the other one was not disturbed");
}

#[test]
fn everything_is_too_much_to_subscribe_to() {
    let site = Site::with_policy();
    let device = site.enrolled("lamp-1");
    let server = site.start_with(&MQTTS);
    let filters = [
        "#",
        "+/#",
        "command/device/+",
        "command/#",
        "$aws/#",
        "$aws/things/+/shadow/#",
        "$share/g/command/device/all",
    ];
    for filter in filters {
        let mut wire = Wire::open(&server, "mqtts", &device, true, &[]).unwrap();
        assert_eq!(wire.connect(4, "lamp-1", true, None), Some(0));
        wire.send(&subscribe_packet(4, 1, filter));
        let answer = wire.receive();
        assert!(answer.is_none() || answer == Some((0x90, vec![0, 1, 0x80])), "{filter}: {answer:?}");
    }
    is_served(&server, &device);
}

#[test]
fn packets_that_are_too_large_or_make_no_sense_end_their_connection_only() {
    let site = Site::with_policy();
    let device = site.enrolled("lamp-1");
    let server = site.start_with(&MQTTS);
    let topic = "sensor/device/lamp-1";
    let large = publish_packet(4, topic, Some(1), &vec![b'x'; 200 << 10]);
    let over = publish_packet(4, topic, Some(1), &vec![b'x'; (128 << 10) + 1]);
    let two = packet(0x34, &[text(topic), vec![0, 1], b"x".to_vec()].concat());
    let no_utf8 = packet(0x30, &[&[0, 2, 0xc3, 0x28][..], b"x"].concat());
    let wildcard = publish_packet(4, "sensor/device/+", Some(1), b"x");
    let deep = publish_packet(4, &"a/".repeat(20), Some(1), b"x");
    for (case, bytes) in [
        ("large", large),
        ("payload", over),
        ("QoS 2", two),
        ("no UTF-8", no_utf8),
        ("wildcard", wildcard),
        ("deep", deep),
        ("QoS 3", packet(0x36, &[text(topic), vec![0, 1]].concat())),
        ("packet id 0", publish_packet(4, topic, Some(0), b"x")),
        ("empty SUBSCRIBE", packet(0x82, &[0, 1])),
        ("second CONNECT", connect_packet(4, "lamp-1", true, None)),
        ("unknown type", packet(0x00, b"x")),
        ("endless length", vec![0x30, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("length of 256 MB", vec![0x30, 0xff, 0xff, 0xff, 0x7f, 0]),
    ] {
        let mut wire = Wire::open(&server, "mqtts", &device, true, &[]).unwrap();
        assert_eq!(wire.connect(4, "lamp-1", true, None), Some(0), "{case}");
        wire.send(&bytes);
        assert_eq!(wire.receive(), None, "{case}");
    }
    for (case, bytes) in [
        ("no CONNECT", publish_packet(4, topic, None, b"x")),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("unknown version", packet(0x10, &[text("MQTT"), vec![9, 2, 0, 60], text("lamp-1")].concat())),
        ("cut off", packet(0x10, &[0, 4, b'M'])),
    ] {
        let mut wire = Wire::open(&server, "mqtts", &device, true, &[]).unwrap();
        wire.send(&bytes);
        if case != "cut off" {
            assert!(wire.receive().is_none_or(|(first, body)| first == 0x20 && body[1] != 0), "{case}");
        }
    }
    is_served(&server, &device);
    assert!(server.resident() < 300 << 20, "{}", server.resident());
}

#[test]
fn strangers_that_never_finish_take_no_place_from_others() {
    let site = Site::with_policy();
    let device = site.enrolled("lamp-1");
    let mut server = site.start_logging(&MQTTS);
    let port = server.port("mqtts");
    let silent: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    // And some that say who they are and then nothing.
    let mute: Vec<Wire> = (0..20).map(|_| Wire::open(&server, "mqtts", &device, true, &[]).unwrap()).collect();
    is_served(&server, &device);
    drop((silent, mute));
    assert!(server.logged("did not finish their TLS handshakes").contains("127.0.0.1"));
}
