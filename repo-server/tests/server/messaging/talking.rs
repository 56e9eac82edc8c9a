//! What devices and those who command them say to each other.

use super::clients::{Making, UPGRADE, Wire, frame, packet, publish_packet, subscribe_packet, text, unframed};
use crate::running::Site;

pub(super) const MQTTS: [&str; 4] = ["--mqtts", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];

impl Site {
    /// Somebody who may publish and receive everything.
    pub(super) fn operator(&self) -> super::clients::Device {
        let operator = self.register(&Making::named("operator"));
        self.allow(&operator, "everything");
        operator
    }
}

#[test]
fn devices_and_operators_talk_in_both_versions() {
    let site = Site::with_policy();
    let (lamp, operator) = (site.enrolled("lamp-1"), site.operator());
    let server = site.start_with(&MQTTS);
    for (version, tls) in [("mqttv311", "tlsv1.3"), ("mqttv5", "tlsv1.2")] {
        let more = ["-V", version, "-q", "1", "--tls-version", tls];
        let mut device = server.subscribe(&lamp, "command/device/lamp-1", &more);
        let output = server.publish_message(&operator, "command/device/lamp-1", "on", &more);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(device.next(), "0 1 command/device/lamp-1 on");
        let mut watching = server.subscribe(&operator, "sensor/#", &more);
        drop(device);
        let output = server.publish_message(&lamp, "sensor/device/lamp-1", "21", &more);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(watching.next(), "0 1 sensor/device/lamp-1 21");
    }
    assert_eq!(server.metric("debfleet_mqtt_messages_total{direction=\"in\"}"), Some(4.0));
    assert_eq!(server.metric("debfleet_mqtt_messages_total{direction=\"out\"}"), Some(4.0));
}

#[test]
fn what_the_policy_does_not_allow_disconnects_or_is_refused_with_a_reason() {
    let site = Site::with_policy();
    let (lamp, operator) = (site.enrolled("lamp-1"), site.operator());
    let mut server = site.start_with(&MQTTS);
    let mut watching = server.subscribe(&operator, "#", &[]);
    // MQTT 3.1.1: the connection ends without a PUBACK.
    let mut wire = Wire::open(&server, "mqtts", &lamp, true, &["mqtt"]).unwrap();
    assert_eq!(wire.connect(4, "lamp-1", true, None), Some(0));
    wire.send(&publish_packet(4, "sensor/device/lamp-2", Some(1), b"forged"));
    assert_eq!(wire.receive(), None);
    // MQTT 5: it is told why, 135 being not authorized.
    for forbidden in [publish_packet(5, "sensor/device/lamp-2", Some(1), b"forged"), subscribe_packet(5, 1, "#")] {
        let mut wire = Wire::open(&server, "mqtts", &lamp, true, &["x-amzn-mqtt-ca"]).unwrap();
        assert_eq!(wire.connect(5, "lamp-1", true, None), Some(0));
        wire.send(&forbidden);
        let mut last = None;
        while let Some(packet) = wire.receive() {
            last = Some(packet);
        }
        assert_eq!(last, Some((0xe0, vec![135, 0])));
    }
    assert!(server.metric("debfleet_mqtt_refused_total{reason=\"policy\"}") >= Some(3.0));
    server.kill();

    let server = site.start_with(&[&MQTTS[..], &["--mqtt-violations", "reason-code"]].concat());
    let mut wire = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
    assert_eq!(wire.connect(5, "lamp-1", true, None), Some(0));
    wire.send(&publish_packet(5, "sensor/device/lamp-2", Some(7), b"forged"));
    let (first, body) = wire.receive().unwrap();
    assert_eq!((first, &body[..3]), (0x40, &[0, 7, 135][..]), "PUBACK, not authorized");
    wire.send(&subscribe_packet(5, 8, "#"));
    assert_eq!(wire.receive(), Some((0x90, vec![0, 8, 0, 135])), "SUBACK, not authorized");
    wire.send(&publish_packet(5, "sensor/device/lamp-1", Some(9), b"own"));
    assert_eq!(wire.receive().unwrap().0, 0x40, "and the connection goes on");
    // Nothing of it reached anybody.
    drop(server);
    assert!(!watching.rest().contains("forged"));
}

#[test]
fn coming_and_going_is_told_as_on_aws() {
    let site = Site::with_policy();
    let (lamp, operator) = (site.enrolled("lamp-1"), site.operator());
    let server = site.start_with(&MQTTS);
    let mut watching = server.subscribe(&operator, "$aws/events/presence/+/lamp-1", &["-q", "1"]);
    let mut event = |what: &str| -> serde_json::Value {
        let line = watching.next();
        let (topic, payload) = line.strip_prefix("0 1 ").unwrap().split_once(' ').unwrap();
        assert_eq!(topic, format!("$aws/events/presence/{what}/lamp-1"));
        serde_json::from_str(payload).unwrap()
    };
    let mut wire = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
    assert_eq!(wire.connect(4, "lamp-1", true, None), Some(0));
    let came = event("connected");
    assert_eq!(
        (&came["clientId"], &came["eventType"], &came["ipAddress"], &came["principalIdentifier"]),
        (&"lamp-1".into(), &"connected".into(), &"127.0.0.1".into(), &lamp.id.as_str().into())
    );
    wire.send(&packet(0xe0, &[]));
    assert_eq!(wire.receive(), None);
    let went = event("disconnected");
    assert_eq!(went["disconnectReason"], "CLIENT_INITIATED_DISCONNECT");
    assert_eq!((&went["clientInitiatedDisconnect"], &went["versionNumber"]), (&true.into(), &came["versionNumber"]));
    // Without a word, and then by another connection of its own.
    let mut wire = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
    assert_eq!(wire.connect(4, "lamp-1", true, None), Some(0));
    let came = event("connected");
    assert!(came["versionNumber"].as_i64() > went["versionNumber"].as_i64());
    drop(wire);
    assert_eq!(event("disconnected")["disconnectReason"], "CONNECTION_LOST");
    let mut first = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
    assert_eq!(first.connect(5, "lamp-1", true, None), Some(0));
    event("connected");
    let mut second = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
    assert_eq!(second.connect(5, "lamp-1", true, None), Some(0));
    assert_eq!(first.receive(), Some((0xe0, vec![142, 0])), "session taken over");
    assert_eq!(first.receive(), None);
    let mut reasons = vec![watching.next(), watching.next()];
    reasons.sort();
    assert!(reasons[0].contains("/connected/") && reasons[1].contains("DUPLICATE_CLIENTID"), "{reasons:?}");
}

#[test]
fn a_will_is_published_when_the_connection_breaks() {
    let site = Site::with_policy();
    let (lamp, operator) = (site.enrolled("lamp-1"), site.operator());
    let server = site.start_with(&MQTTS);
    let mut watching = server.subscribe(&operator, "sensor/device/#", &["-q", "1"]);
    for version in [4, 5] {
        let mut wire = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
        assert_eq!(wire.connect(version, "lamp-1", true, Some("sensor/device/lamp-1")), Some(0));
        drop(wire);
        assert_eq!(watching.next(), "0 1 sensor/device/lamp-1 gone");
    }
}

#[test]
fn a_server_that_stops_says_so() {
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let server = site.start_with(&MQTTS);
    let mut wire = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
    assert_eq!(wire.connect(5, "lamp-1", true, None), Some(0));
    assert!(server.stop());
    assert_eq!(wire.receive(), Some((0xe0, vec![139, 0])), "server shutting down");
    assert_eq!(wire.receive(), None);
}

#[test]
fn topics_with_a_dollar_in_the_middle_are_topics_as_others() {
    let site = Site::with_policy();
    let (lamp, operator) = (site.enrolled("lamp-1"), site.operator());
    let server = site.start_with(&MQTTS);
    let mut wire = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
    assert_eq!(wire.connect(5, "lamp-1", true, None), Some(0));
    wire.send(&subscribe_packet(5, 1, "$aws/things/lamp-1/jobs/$next/get/accepted"));
    assert_eq!(wire.receive(), Some((0x90, vec![0, 1, 0, 1])));
    let mut body = 2_u16.to_be_bytes().to_vec();
    body.push(0);
    body.extend(text("$aws/things/lamp-1/jobs/$next/get/accepted"));
    wire.send(&packet(0xa2, &body));
    assert_eq!(wire.receive(), Some((0xb0, vec![0, 2, 0, 0])), "UNSUBACK");
    // `$` at the beginning is the server's.
    for forbidden in ["$SYS/uptime", "$other/x"] {
        let output = server.publish_message(&operator, forbidden, "x", &["-q", "1", "-V", "mqttv5"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() || said.contains("RC:144"), "{forbidden}: {said}");
    }
}

#[test]
fn the_https_address_carries_mqtt_too() {
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let server = site.start_with(&["--https", "127.0.0.1:0"]);
    for protocol in ["mqtt", "x-amzn-mqtt-ca"] {
        let mut wire = Wire::open(&server, "https", &lamp, true, &[protocol]).unwrap();
        assert_eq!(wire.connect(5, "lamp-1", true, None), Some(0), "{protocol}");
    }
    let mut stranger = Wire::open(&server, "https", &lamp, false, &["mqtt"]).unwrap();
    assert_eq!(stranger.connect(5, "lamp-1", true, None), None, "without a certificate");

    let mut wire = Wire::open(&server, "https", &lamp, true, &["http/1.1"]).unwrap();
    wire.send(format!("{UPGRADE}Sec-WebSocket-Protocol: mqtt\r\n\r\n").as_bytes());
    let head = wire.head();
    assert!(
        head.starts_with("HTTP/1.1 101 ") && head.to_lowercase().contains("sec-websocket-protocol: mqtt\r\n"),
        "{head}"
    );
    // A packet in two frames, and two packets in one: messages do not end where packets do (MQTT 5 §6).
    let connect = super::clients::connect_packet(5, "lamp-1", true, None);
    wire.send(&frame(&connect[..5]));
    wire.send(&frame(&connect[5..]));
    let (first, body) = unframed(&wire.frame());
    assert_eq!((first, body[1]), (0x20, 0), "CONNACK");
    let ping = packet(0xc0, &[]);
    wire.send(&frame(&[ping.clone(), ping].concat()));
    let mut answers = wire.frame();
    while answers.len() < 4 {
        answers.extend(wire.frame());
    }
    assert_eq!(answers, [0xd0, 0, 0xd0, 0]);

    for (head, status) in
        [(format!("{UPGRADE}\r\n"), "400"), (format!("{UPGRADE}Sec-WebSocket-Protocol: chat\r\n\r\n"), "400")]
    {
        let mut wire = Wire::open(&server, "https", &lamp, true, &["http/1.1"]).unwrap();
        wire.send(head.as_bytes());
        let answer = wire.head();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    let mut wire = Wire::open(&server, "https", &lamp, false, &["http/1.1"]).unwrap();
    wire.send(format!("{UPGRADE}Sec-WebSocket-Protocol: mqtt\r\n\r\n").as_bytes());
    assert!(wire.head().starts_with("HTTP/1.1 101 "), "it may be a person");
    wire.send(&frame(&super::clients::connect_packet(5, "lamp-1", true, None)));
    assert_eq!(unframed(&wire.frame()).1[1], 134, "and shows no token");
}

#[test]
fn a_certificate_that_is_revoked_ends_its_connection_at_once() {
    let site = Site::with_policy();
    let (lamp, neighbour) = (site.enrolled("lamp-1"), site.enrolled("lamp-2"));
    let server = site.start_with(&MQTTS);
    let mut revoked = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
    assert_eq!(revoked.connect(5, "lamp-1", true, None), Some(0));
    let mut other = Wire::open(&server, "mqtts", &neighbour, true, &[]).unwrap();
    assert_eq!(other.connect(5, "lamp-2", true, None), Some(0));
    site.revoke(&lamp.pem);
    assert_eq!(revoked.receive(), Some((0xe0, vec![152, 0])), "administrative action");
    assert_eq!(revoked.receive(), None);
    other.send(&packet(0xc0, &[]));
    assert_eq!(other.receive(), Some((0xd0, vec![])));
    let mut again = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
    assert_eq!(again.connect(5, "lamp-1", true, None), None, "nor on a new connection");
}

#[test]
fn a_shadow_answers_the_device_and_tells_it_what_was_changed_over_rest() {
    let site = Site::with_policy();
    let (lamp, operator) = (site.enrolled("lamp-1"), site.operator());
    let server = site.start_with(&["--http", "127.0.0.1:0", "--mqtts", "127.0.0.1:0"]);
    let mut device = server.subscribe(&lamp, "$aws/things/lamp-1/shadow/#", &["-q", "1"]);
    // Under a second client id of the same thing.
    let update = r#"{"state":{"reported":{"on":false}},"clientToken":"t"}"#;
    let mut wire = Wire::open(&server, "mqtts", &operator, true, &[]).unwrap();
    assert_eq!(wire.connect(4, "operator", true, None), Some(0));
    wire.send(&publish_packet(4, "$aws/things/lamp-1/shadow/update", Some(1), update.as_bytes()));
    assert_eq!(wire.receive(), Some((0x40, vec![0, 1])));
    let accepted = device.next();
    assert!(accepted.starts_with("0 1 $aws/things/lamp-1/shadow/update/accepted {"), "{accepted}");
    assert!(accepted.contains(r#""clientToken":"t""#), "{accepted}");
    assert!(device.next().contains("/update/documents"));
    // A request reaches nobody but the server, and what only the server says nobody else can say.
    wire.send(&publish_packet(4, "$aws/things/lamp-1/shadow/update/delta", Some(2), b"forged"));
    assert_eq!(wire.receive(), Some((0x40, vec![0, 2])));
    let answer = server.change_shadow("lamp-1", r#"{"state":{"desired":{"on":true}}}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = [device.next(), device.next(), device.next()].join("\n");
    assert!(told.contains("/update/accepted") && told.contains("/update/delta"), "{told}");
    assert!(!told.contains("forged"), "{told}");
}
