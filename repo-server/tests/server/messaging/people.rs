//! People, who connect over WebSocket with a token: what they see, and what they are refused.

mod browser;

use super::clients::{Device, Making, Packet, Wire, connect_packet, packet, publish_packet, subscribe_packet, text};
use crate::backends::AT_SCALE;
use crate::people::anna;
use crate::running::{Server, Site};
use fleet_protocol::people::{MqttToken, user_path, user_sessions_path};
use serde_json::{Value, json};

const LISTENERS: [&str; 6] = ["--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--mqtts", "127.0.0.1:0"];

/// What a page sends in CONNECT.
#[derive(Clone, Copy)]
struct Knock<'a> {
    version: u8,
    client_id: &'a str,
    password: Option<&'a str>,
    clean: bool,
    will: Option<&'a str>,
}

impl<'a> Knock<'a> {
    fn with(token: &'a MqttToken) -> Self {
        Self { version: 5, client_id: &token.client_id, password: Some(&token.token), clean: true, will: None }
    }

    fn packet(self) -> Vec<u8> {
        let Self { version, client_id, password, clean, will } = self;
        let whole = connect_packet(version, client_id, clean, will);
        let Some(password) = password else { return whole };
        // The length takes one byte or two; then come the protocol's name and version, and the flags.
        let at = if whole[1] & 0x80 == 0 { 2 } else { 3 };
        let mut body = whole[at..].to_vec();
        body[7] |= 0b1100_0000;
        body.extend(text("anybody"));
        body.extend(text(password));
        packet(0x10, &body)
    }
}

/// A page's connection.
struct Page {
    wire: Wire,
    version: u8,
    came: Vec<u8>,
}

impl Page {
    /// Opens a WebSocket, with these headers besides; or the head of the answer that says no.
    fn open(server: &Server, ca: &Device, headers: &str) -> Result<Self, String> {
        let mut wire = Wire::open(server, "https", ca, false, &["http/1.1"]).unwrap();
        let head = format!(
            "GET /mqtt HTTP/1.1\r\nHost: localhost:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: mqtt\r\n{headers}\r\n"
        );
        wire.send(head.as_bytes());
        let answer = wire.head();
        if answer.starts_with("HTTP/1.1 101 ") { Ok(Self { wire, version: 5, came: Vec::new() }) } else { Err(answer) }
    }

    /// Connects, and gives the answer's reason code; none if there was no answer.
    fn knock(server: &Server, ca: &Device, knock: Knock<'_>) -> (Self, Option<u8>) {
        let mut page = Self::open(server, ca, "").unwrap();
        page.version = knock.version;
        page.send(&knock.packet());
        let code = page.receive().map(|(first, body)| {
            assert_eq!(first, 0x20, "CONNACK");
            body[1]
        });
        (page, code)
    }

    fn connected(server: &Server, ca: &Device, knock: Knock<'_>) -> Self {
        let (page, code) = Self::knock(server, ca, knock);
        assert_eq!(code, Some(0));
        page
    }

    /// In a frame that is masked with nothing.
    fn send(&mut self, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        self.wire.send(&[&[0x82, 0x80 | 126, length[0], length[1], 0, 0, 0, 0], bytes].concat());
    }

    /// The next packet; none when the server has ended the connection.
    fn receive(&mut self) -> Option<Packet> {
        loop {
            if let [first, length, ..] = self.came[..] {
                let (length, behind) = match length {
                    short @ 0..0x80 => (usize::from(short), 2),
                    long => (usize::from(long & 0x7f) | usize::from(*self.came.get(2)?) << 7, 3),
                };
                if self.came.len() >= behind + length {
                    let body = self.came[behind..behind + length].to_vec();
                    self.came.drain(..behind + length);
                    return Some((first, body));
                }
            }
            match self.wire.any_frame()? {
                (2, content) => self.came.extend(content),
                (8, _) => return None,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Subscribes, and gives the answer's reason code.
    fn subscribe(&mut self, filter: &str) -> u8 {
        self.send(&subscribe_packet(self.version, 7, filter));
        let (first, body) = self.receive().unwrap();
        assert_eq!(first, 0x90, "SUBACK");
        *body.last().unwrap()
    }

    /// Publishes at QoS 1, and gives the answer's reason code; none when it is disconnected.
    fn publish(&mut self, topic: &str, payload: &str) -> Option<u8> {
        self.send(&publish_packet(self.version, topic, Some(9), payload.as_bytes()));
        let (first, body) = self.receive()?;
        (first == 0x40).then(|| body.get(2).copied().unwrap_or(0))
    }

    /// The topic and payload of the next message.
    fn message(&mut self) -> (String, String) {
        let (first, body) = self.receive().unwrap();
        assert_eq!(first & 0xf0, 0x30, "PUBLISH");
        let (length, rest) = body.split_at(2);
        let (topic, rest) = rest.split_at(usize::from(u16::from_be_bytes([length[0], length[1]])));
        let mut rest = rest;
        if first & 0x06 != 0 {
            let answer = packet(0x40, &rest[..2]);
            rest = &rest[2..];
            let _ = std::str::from_utf8(topic).unwrap();
            self.send(&answer);
        }
        if self.version == 5 {
            rest = &rest[1 + usize::from(rest[0])..];
        }
        (String::from_utf8(topic.to_vec()).unwrap(), String::from_utf8_lossy(rest).into_owned())
    }
}

/// Two lamps of which `anna` sees the first, and a device that everybody may hear.
struct House {
    site: Site,
    server: Server,
    lamps: [Device; 2],
}

impl House {
    fn new(role: &str) -> Self {
        Self::with(role, &LISTENERS)
    }

    fn with(role: &str, listeners: &[&str]) -> Self {
        let site = Site::with_policy();
        let lamps = [site.enrolled("lamp-1"), site.enrolled("lamp-2")];
        let server = site.start_with(listeners);
        server.furnish(role, &["lamp-1"]);
        Self { site, server, lamps }
    }

    /// With a log that the test reads.
    fn logging(role: &str) -> Self {
        let house = Self::new(role);
        let Self { site, server, lamps } = house;
        assert!(server.stop());
        let server = site.start_logging(&LISTENERS);
        Self { site, server, lamps }
    }

    /// Has the lamps say something, one after the other.
    fn speak(&self, lamps: &[usize], payload: &str) {
        for lamp in lamps {
            let lamp = &self.lamps[*lamp];
            let said =
                self.server.publish_message(lamp, &format!("sensor/device/{}", lamp.name), payload, &["-q", "1"]);
            assert!(said.status.success(), "{said:?}");
        }
    }

    fn ask(&self, method: &str, path: &str) {
        let answer = self.server.ask(method, path, None);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn a_person_hears_the_things_of_their_groups_and_no_others() {
    let house = House::new("operator");
    let token = house.server.mqtt_token("");
    for version in [4, 5] {
        let mut page = Page::connected(&house.server, &house.lamps[0], Knock { version, ..Knock::with(&token) });
        // By MQTT 3.1.1 §3.8.4 what is granted is the QoS.
        for filter in ["sensor/device/+", "$aws/things/+/shadow/update/documents", "$aws/events/presence/+/+"] {
            assert_eq!(page.subscribe(filter), 1, "{filter}");
        }
        house.speak(&[1, 0], "21");
        // The second lamp's coming and going, too, is not theirs to know.
        let mut heard: Vec<String> = Vec::new();
        while heard.len() < 3 {
            heard.push(page.message().0);
        }
        heard.sort();
        assert_eq!(
            heard,
            [
                "$aws/events/presence/connected/lamp-1",
                "$aws/events/presence/disconnected/lamp-1",
                "sensor/device/lamp-1"
            ]
        );
        for lamp in ["lamp-2", "lamp-1"] {
            let answer = house.server.change_shadow(lamp, r#"{"state":{"desired":{"on":true}}}"#);
            assert!(matches!(answer.status, 200), "{}", answer.text());
        }
        assert_eq!(page.message().0, "$aws/things/lamp-1/shadow/update/documents");
        // What is changed for the person holds on the open connection at once.
        let mut page = Page::connected(&house.server, &house.lamps[0], Knock { version, ..Knock::with(&token) });
        assert_eq!(page.subscribe("sensor/device/+"), 1);
        house.ask("PUT", "/api/v1/thing-groups/kitchen/things/lamp-2");
        house.speak(&[1], "both");
        assert_eq!(page.message(), ("sensor/device/lamp-2".to_owned(), "both".to_owned()));
        house.ask("DELETE", "/api/v1/thing-groups/kitchen/things/lamp-1");
        house.speak(&[0, 1], "second");
        assert_eq!(page.message().0, "sensor/device/lamp-2");
        house.ask("DELETE", "/api/v1/users/anna/thing-groups/house");
        house.ask("PUT", "/api/v1/users/anna/things/lamp-1");
        house.speak(&[1, 0], "first");
        assert_eq!(page.message(), ("sensor/device/lamp-1".to_owned(), "first".to_owned()));
        for (method, path) in [
            ("DELETE", "users/anna/things/lamp-1"),
            ("PUT", "users/anna/thing-groups/house"),
            ("PUT", "thing-groups/kitchen/things/lamp-1"),
            ("DELETE", "thing-groups/kitchen/things/lamp-2"),
        ] {
            house.ask(method, &format!("/api/v1/{path}"));
        }
    }
}

#[test]
fn who_shows_no_good_token_or_asks_for_anothers_name_does_not_get_in() {
    let mut house = House::logging("admin");
    let token = house.server.mqtt_token("");
    let session = crate::people::session(&house.server);
    let good = Knock::with(&token);
    let changed = format!("{}0", &token.token[..token.token.len() - 1]);
    let wrong = if changed == token.token { format!("{}1", &changed[..changed.len() - 1]) } else { changed };
    let api_token = house.site.token.clone();
    let cases = [
        ("no password", Knock { password: None, ..good }, 134, "nor a token sent"),
        ("empty", Knock { password: Some(""), ..good }, 134, "none for MQTT"),
        ("wrong", Knock { password: Some(&wrong), ..good }, 134, "none for MQTT"),
        ("an API token", Knock { password: Some(&api_token), ..good }, 134, "none for MQTT"),
        ("a session", Knock { password: Some(&session), ..good }, 134, "none for MQTT"),
        ("a device's id", Knock { client_id: "lamp-1", ..good }, 135, "begins with $user/anna/"),
        ("below a device's id", Knock { client_id: "lamp-1/x", ..good }, 135, "begins with $user/anna/"),
        ("their bare name", Knock { client_id: "anna", ..good }, 135, "begins with $user/anna/"),
        ("another person", Knock { client_id: "$user/berta/1", ..good }, 135, "begins with $user/anna/"),
        ("a wildcard", Knock { client_id: "$user/anna/#", ..good }, 133, "a client id has"),
        ("none", Knock { client_id: "", ..good }, 133, "a client id has"),
        ("a session that lasts", Knock { clean: false, ..good }, 135, "ends with its connection"),
        ("a will", Knock { will: Some("sensor/device/lamp-1"), ..good }, 135, "leaves no will"),
        ("another's will", Knock { will: Some("sensor/device/lamp-2"), ..good }, 135, "leaves no will"),
    ];
    for (case, knock, code, logged) in cases {
        let (mut page, answer) = Page::knock(&house.server, &house.lamps[0], knock);
        assert_eq!(answer, Some(code), "{case}");
        assert_eq!(page.receive(), None, "{case}");
        let line = house.server.logged("refused an MQTT client");
        assert!(line.contains(logged), "{case}: {line}");
    }
    // MQTT 3.1.1 has one code for it, or two.
    let (_, answer) = Page::knock(&house.server, &house.lamps[0], Knock { version: 4, password: Some(&wrong), ..good });
    assert!(matches!(answer, Some(4 | 5)), "{answer:?}");
    house.server.logged("none for MQTT");
    // Nor does a device get a person's name.
    let named = house.site.register(&Making::named("$user"));
    let mut wire = Wire::open(&house.server, "mqtts", &named, true, &[]).unwrap();
    assert_ne!(wire.connect(5, "$user/anna/1", true, None), Some(0));
    assert!(house.server.logged("refused an MQTT client").contains("common name"));
    // And the token still opens the door that it is for.
    Page::connected(&house.server, &house.lamps[0], good);
}

#[test]
fn a_person_is_told_what_they_may_not_do_and_stays_connected_where_that_can_be_said() {
    let mut house = House::logging("viewer");
    let token = house.server.mqtt_token("");
    for version in [4, 5] {
        let knock = Knock { version, ..Knock::with(&token) };
        let mut page = Page::connected(&house.server, &house.lamps[0], knock);
        let refused = if version == 5 { 0x87 } else { 0x80 };
        for filter in [
            "#",
            "+/#",
            "sensor/#",
            "sensor/device/lamp-2",
            "$aws/things/lamp-2/shadow/#",
            "$aws/things/+/jobs/#",
            "command/device/lamp-1",
            "$aws/events/#",
        ] {
            assert_eq!(page.subscribe(filter), refused, "{filter}");
            let line = house.server.logged("refused what an MQTT client asked for");
            assert!(line.contains("$user/anna/") && line.contains(filter), "{line}");
        }
        assert_eq!(page.subscribe("$aws/things/lamp-1/shadow/#"), 1);
    }
    let mut page = Page::connected(&house.server, &house.lamps[0], Knock::with(&token));
    let update = r#"{"state":{"desired":{"on":true}}}"#;
    for topic in [
        "sensor/device/lamp-1",
        "command/device/lamp-1",
        "$aws/things/lamp-1/shadow/update",
        "$aws/things/lamp-1/shadow/delete",
        "$aws/things/lamp-2/shadow/get",
        "$aws/certificates/create-from-csr/json",
        "$aws/events/presence/connected/lamp-1",
    ] {
        assert_eq!(page.publish(topic, update), Some(0x87), "{topic}");
    }
    assert_eq!(page.publish("$aws/things/lamp-1/shadow/get", ""), Some(0));
    // At QoS 0, and by MQTT 3.1.1, nothing can be answered.
    page.send(&publish_packet(5, "sensor/device/lamp-1", None, b"x"));
    assert_eq!(page.receive(), Some((0xe0, vec![0x87, 0])));
    let mut page = Page::connected(&house.server, &house.lamps[0], Knock { version: 4, ..Knock::with(&token) });
    assert_eq!(page.publish("sensor/device/lamp-1", "x"), None);
    // An operator sets what is desired, in their own name, and reports nothing.
    assert_eq!(house.server.ask_to_patch(&user_path(&anna()), json!({ "role": "operator" })).status, 200);
    let mut page = Page::connected(&house.server, &house.lamps[0], Knock::with(&token));
    assert_eq!(page.subscribe("$aws/things/lamp-1/shadow/update/rejected"), 1);
    page.send(&publish_packet(
        5,
        "$aws/things/lamp-1/shadow/update",
        Some(1),
        br#"{"state":{"reported":{"on":true}}}"#,
    ));
    let mut told = [page.receive().unwrap(), page.receive().unwrap()];
    told.sort();
    let [(publish, body), (ack, _)] = told;
    assert!(publish & 0xf0 == 0x30 && ack == 0x40 && String::from_utf8_lossy(&body).contains("403"));
    assert_eq!(page.publish("$aws/things/lamp-1/shadow/update", update), Some(0));
    let log: Value = serde_json::from_slice(&house.server.ask("GET", "/api/v1/audit?limit=1", None).body).unwrap();
    assert_eq!((&log["entries"][0]["actor"], &log["entries"][0]["action"]), (&json!("anna"), &json!("shadow.update")));
    assert_eq!(page.publish("$aws/things/lamp-2/shadow/update", update), Some(0x87));
}

#[test]
fn a_connection_ends_with_its_token_and_the_token_does_not_come_back() {
    let house = House::new("viewer");
    let lamp = &house.lamps[0];
    let ends = |page: &mut Page, code: u8, why: &str| {
        assert_eq!(page.receive(), Some((0xe0, vec![code, 0])), "{why}");
        assert_eq!(page.receive(), None, "{why}");
    };
    let short = house.server.mqtt_token("?lifetimeSeconds=2");
    let mut page = Page::connected(&house.server, lamp, Knock::with(&short));
    ends(&mut page, 160, "its time is over");
    assert_eq!(Page::knock(&house.server, lamp, Knock::with(&short)).1, Some(134), "replayed");

    let token = house.server.mqtt_token("");
    let mut page = Page::connected(&house.server, lamp, Knock::with(&token));
    house.ask("DELETE", &user_sessions_path(&anna()));
    ends(&mut page, 152, "all sessions were ended");
    assert_eq!(Page::knock(&house.server, lamp, Knock::with(&token)).1, Some(134));

    let token = house.server.mqtt_token("");
    let mut page = Page::connected(&house.server, lamp, Knock::with(&token));
    assert_eq!(house.server.ask_to_patch(&user_path(&anna()), json!({ "enabled": false })).status, 200);
    ends(&mut page, 152, "the user was disabled");
    assert_eq!(Page::knock(&house.server, lamp, Knock::with(&token)).1, Some(134));

    assert_eq!(house.server.ask_to_patch(&user_path(&anna()), json!({ "enabled": true })).status, 200);
    let token = house.server.mqtt_token("");
    let mut page = Page::connected(&house.server, lamp, Knock::with(&token));
    house.ask("DELETE", &user_path(&anna()));
    ends(&mut page, 152, "the user was deleted");
}

#[test]
fn what_another_process_changes_holds_on_the_connections_of_this_one() {
    if !AT_SCALE {
        return;
    }
    let house = House::new("viewer");
    let token = house.server.mqtt_token("");
    let mut page = Page::connected(&house.server, &house.lamps[0], Knock::with(&token));
    let copy = house.site.data.with_file_name("copy");
    assert!(std::process::Command::new("cp").arg("-a").arg(&house.site.data).arg(&copy).status().unwrap().success());
    let other = house.site.start_on(&copy, &["--http", "127.0.0.1:0"]);
    assert_eq!(other.ask_to_patch(&user_path(&anna()), json!({ "enabled": false })).status, 200);
    assert_eq!(page.receive(), Some((0xe0, vec![152, 0])));
}

#[test]
fn a_page_from_elsewhere_opens_no_websocket() {
    let house = House::with("viewer", &[&LISTENERS[..], &["--web-origin", "https://app.example.org"]].concat());
    let lamp = &house.lamps[0];
    for origin in ["https://localhost:1", "https://app.example.org"] {
        assert!(Page::open(&house.server, lamp, &format!("Origin: {origin}\r\n")).is_ok(), "{origin}");
    }
    for origin in ["https://evil.example.org", "http://localhost:1", "https://localhost", "null"] {
        let head = Page::open(&house.server, lamp, &format!("Origin: {origin}\r\n")).err().unwrap();
        assert!(head.starts_with("HTTP/1.1 403 "), "{origin}: {head}");
    }
}

#[test]
fn strangers_that_say_nothing_take_no_place_from_devices_or_people() {
    let house = House::new("viewer");
    let token = house.server.mqtt_token("");
    let mut silent: Vec<Page> = (0..300).map(|_| Page::open(&house.server, &house.lamps[0], "").unwrap()).collect();
    assert_eq!(silent[0].receive(), None, "the oldest had to make room");
    Page::connected(&house.server, &house.lamps[0], Knock::with(&token));
    house.speak(&[0], "on");
}
