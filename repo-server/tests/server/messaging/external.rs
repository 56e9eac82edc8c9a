//! A real Mosquitto as the fleet's broker, by the configuration that the server writes; and a client of AWS IoT Core.

use super::clients::{
    Device, Making, UPGRADE, Wire, connect_packet, frame, packet, publish_packet, subscribe_packet, unframed,
};
use crate::running::{Answer, Server, Site, agent};
use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// For what goes on in other processes; far more than it takes.
const PATIENCE: Duration = Duration::from_secs(30);

#[track_caller]
fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: it did not come about");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running Mosquitto.
struct Mosquitto {
    folder: PathBuf,
    port: u16,
    running: Option<Child>,
}

impl Mosquitto {
    fn start(&mut self) {
        let settings = self.folder.join("conf.d/test.conf");
        // As root it would become another user, who reads nothing of the test's.
        durable_files::replace(&settings, b"user root\n", 0o644).unwrap();
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(self.folder.join("mosquitto.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        self.running = Some(command.spawn().unwrap());
        until("Mosquitto listens", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// As its service does: it writes down what it keeps.
    fn stop(&mut self) {
        let mut running = self.running.take().unwrap();
        let process = rustix::process::Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        running.wait().unwrap();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.kill();
            let _ = running.wait();
        }
    }
}

impl Site {
    fn mosquitto(&self) -> Mosquitto {
        Mosquitto { folder: self.data.with_file_name("mosquitto"), port: free_port(), running: None }
    }

    /// A server with this broker, which has connected to it.
    fn start_with_mosquitto(&self, mosquitto: &mut Mosquitto) -> Server {
        let server = self.start_beside(mosquitto, &[]);
        mosquitto.start();
        server.wait_for_broker();
        server
    }

    fn start_beside(&self, mosquitto: &Mosquitto, more: &[&str]) -> Server {
        let broker = format!("mosquitto://localhost:{}", mosquitto.port);
        let folder = mosquitto.folder.to_str().unwrap();
        let arguments = ["--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--broker", &broker];
        let mut server = self.start_with(&[&arguments[..], &["--broker-folder", folder], more].concat());
        server.bases.push(format!("mqtts://localhost:{}", mosquitto.port));
        server
    }
}

impl Server {
    fn wait_for_broker(&self) {
        until("the server connects to its broker", || (self.body("/readyz") == b"ready\n").then_some(()));
    }

    fn read(&self, path: &str) -> Value {
        let answer = self.get(path, &[("Authorization", &format!("Bearer {}", self.token))]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The things that a query finds.
    fn finds(&self, query: &str) -> Vec<String> {
        let found = self.read(&format!("/api/v1/search/things?query={query}"));
        let things = found["things"].as_array().unwrap();
        things.iter().map(|thing| thing["thingName"].as_str().unwrap().to_owned()).collect()
    }

    /// What Mosquitto says to a message of a client of MQTT 5: 0 that it took it, 135 that nobody allows it.
    fn publishes(&self, device: &Device, topic: &str) -> u8 {
        let mut wire = Wire::open(self, "mqtts", device, true, &[]).unwrap();
        assert_eq!(wire.connect(5, &device.name, true, None), Some(0));
        wire.send(&publish_packet(5, topic, Some(7), b"{}"));
        let (first, body) = wire.receive().unwrap();
        assert_eq!(first, 0x40, "PUBACK");
        // 16: nobody subscribed.
        body.get(2).copied().filter(|reason| *reason != 16).unwrap_or_default()
    }
}

#[test]
fn over_mosquitto_devices_talk_and_their_shadows_answer() {
    let site = Site::with_policy();
    let (lamp, operator) = (site.enrolled("lamp-1"), site.operator());
    let mut mosquitto = site.mosquitto();
    let server = site.start_with_mosquitto(&mut mosquitto);
    assert_eq!(server.metric("debfleet_broker_connected{broker=\"mosquitto\"}"), Some(1.0));
    let mut watching = server.subscribe(&operator, "sensor/#", &["-q", "1", "-t", "$aws/events/presence/+/lamp-1"]);
    let mut device = server.subscribe(&lamp, "$aws/things/lamp-1/shadow/#", &["-q", "1"]);
    let came = watching.next();
    let came: Value =
        serde_json::from_str(came.strip_prefix("0 1 $aws/events/presence/connected/lamp-1 ").unwrap()).unwrap();
    assert_eq!((&came["clientId"], &came["principalIdentifier"]), (&"lamp-1".into(), &lamp.id.as_str().into()));
    // Which one localhost is differs.
    assert!(came["ipAddress"].as_str().unwrap().parse::<std::net::IpAddr>().unwrap().is_loopback(), "{came}");
    assert_eq!(server.finds("connectivity.connected:true"), ["lamp-1"]);

    let answer = server.change_shadow("lamp-1", r#"{"state":{"desired":{"on":true}}}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = [device.next(), device.next(), device.next()].join("\n");
    assert!(told.contains("/update/accepted") && told.contains("/update/delta"), "{told}");
    drop(device);
    assert!(watching.next().contains("$aws/events/presence/disconnected/lamp-1 "));
    // The device itself, over both versions.
    for (version, value) in [(4, "1"), (5, "2")] {
        let mut wire = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
        assert_eq!(wire.connect(version, "lamp-1", true, Some("sensor/device/lamp-1")), Some(0));
        wire.send(&subscribe_packet(version, 1, "$aws/things/lamp-1/shadow/update/accepted"));
        assert_eq!(wire.receive().unwrap().0, 0x90, "SUBACK");
        let update = format!(r#"{{"state":{{"reported":{{"n":{value}}}}},"clientToken":"t{value}"}}"#);
        wire.send(&publish_packet(version, "$aws/things/lamp-1/shadow/update", Some(2), update.as_bytes()));
        let mut answers = [wire.receive().unwrap(), wire.receive().unwrap()];
        answers.sort();
        assert_eq!([answers[0].0 & 0xf0, answers[1].0 & 0xf0], [0x30, 0x40], "the answer, and PUBACK");
        assert!(String::from_utf8_lossy(&answers[0].1).contains(&format!(r#""clientToken":"t{value}""#)));
        drop(wire);
        watching.wait_for("got 0 1 sensor/device/lamp-1 gone");
    }
}

#[test]
fn over_mosquitto_nobody_speaks_or_listens_where_no_policy_allows_it() {
    let site = Site::with_policy();
    let (lamp, thief, operator) = (site.enrolled("lamp-1"), site.enrolled("lamp-2"), site.operator());
    let stranger = site.make_certificate(&Making::named("lamp-1/x"));
    let odd = site.register(&Making::named("+"));
    site.allow(&odd, "everything");
    let impostor = site.register(&Making::named("debfleet-server"));
    site.allow(&impostor, "everything");
    let mut mosquitto = site.mosquitto();
    let server = site.start_with_mosquitto(&mut mosquitto);
    let mut held = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
    assert_eq!(held.connect(5, "lamp-1", true, None), Some(0));
    let mut watching = server.subscribe(&operator, "#", &["-q", "1", "-t", "$aws/things/+/shadow/+/+"]);
    assert_eq!(server.publishes(&thief, "sensor/device/lamp-2"), 0);
    assert_eq!(watching.next(), "0 1 sensor/device/lamp-2 {}");
    for topic in [
        "sensor/device/lamp-1",
        "$aws/things/lamp-1/shadow/update",
        "$aws/things/lamp-1/shadow/name/debfleet/update",
        "command/device/lamp-1",
        // Nor for the service, of itself or of others.
        "$aws/things/lamp-2/shadow/update/accepted",
        "$aws/things/lamp-2/shadow/update/delta",
        "$aws/events/presence/disconnected/lamp-1",
        "$aws/certificates/create-from-csr/json",
        "$SYS/broker/log/N",
    ] {
        assert_eq!(server.publishes(&thief, topic), 135, "{topic}");
    }
    assert_eq!(server.publishes(&operator, "$aws/things/lamp-1/shadow/update/delta"), 135, "whatever its policy says");
    for nobody in [&stranger, &odd] {
        assert_eq!(server.publishes(nobody, "sensor/device/lamp-1"), 135, "{}", nobody.name);
    }
    // Whoever asks for everything is sent what is theirs.
    let mut wire = Wire::open(&server, "mqtts", &thief, true, &[]).unwrap();
    assert_eq!(wire.connect(4, "lamp-1", true, None), Some(0));
    for (id, filter) in [(1, "#"), (2, "$aws/#"), (3, "$SYS/#"), (4, "command/#")] {
        wire.send(&subscribe_packet(4, id, filter));
        assert_eq!(wire.receive().unwrap().0, 0x90, "SUBACK");
    }
    for topic in ["command/device/lamp-1", "command/device/lamp-2"] {
        assert!(server.publish_message(&operator, topic, "x", &["-q", "1", "-i", "o2"]).status.success());
    }
    server.change_shadow("lamp-1", r#"{"state":{"desired":{"on":true}}}"#);
    server.change_shadow("lamp-2", r#"{"state":{"desired":{"on":true}}}"#);
    let mut seen = Vec::new();
    while !seen.iter().any(|text: &String| text.contains("lamp-2/shadow/update/delta")) {
        let (first, body) = wire.receive().unwrap();
        assert_eq!(first & 0xf0, 0x30, "PUBLISH");
        seen.push(String::from_utf8_lossy(&body).into_owned());
    }
    assert!(seen[0].contains("command/device/lamp-2") && !seen.iter().any(|text| text.contains("lamp-1")), "{seen:?}");
    // The other one's id was asked for all the time, and it is still there.
    held.send(&packet(0xc0, &[]));
    assert_eq!(held.receive(), Some((0xd0, vec![])));
    let acl = std::fs::read_to_string(mosquitto.folder.join("acl")).unwrap();
    assert!(acl.contains("\"+\"") && acl.contains("the server's own"), "who has no rights is told: {acl}");
    assert_eq!(acl.matches("user debfleet-server").count(), 1);
}

#[test]
fn over_mosquittos_websocket_the_same_rights_hold() {
    let site = Site::with_policy();
    let (lamp, operator) = (site.enrolled("lamp-1"), site.operator());
    let mut mosquitto = site.mosquitto();
    let port = free_port();
    let mut server = site.start_beside(&mosquitto, &["--broker-websockets", &port.to_string()]);
    server.bases.push(format!("wss://localhost:{port}"));
    mosquitto.start();
    server.wait_for_broker();
    let mut watching = server.subscribe(&operator, "sensor/#", &["-q", "1"]);
    let upgraded = |shown| {
        let mut wire = Wire::open(&server, "wss", &lamp, shown, &["http/1.1"]).unwrap();
        wire.send(format!("{UPGRADE}Sec-WebSocket-Protocol: mqtt\r\n\r\n").as_bytes());
        wire
    };
    let mut wire = upgraded(true);
    let head = wire.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    wire.send(&frame(&connect_packet(5, "lamp-1", true, None)));
    let (first, body) = unframed(&wire.frame());
    assert_eq!((first, body[1]), (0x20, 0), "CONNACK");
    for (topic, reason) in [("sensor/device/lamp-2", 135), ("sensor/device/lamp-1", 0)] {
        wire.send(&frame(&publish_packet(5, topic, Some(7), b"{}")));
        let (first, body) = unframed(&wire.frame());
        assert_eq!((first, body.get(2).copied().unwrap_or_default()), (0x40, reason), "PUBACK, {topic}");
    }
    assert_eq!(watching.next(), "0 1 sensor/device/lamp-1 {}");
    assert_eq!(upgraded(false).any_frame(), None, "without a certificate");
}

#[test]
fn mosquitto_refuses_a_revoked_certificate_and_follows_policies() {
    let site = Site::with_policy();
    let (lamp, neighbour) = (site.enrolled("lamp-1"), site.enrolled("lamp-2"));
    let mut mosquitto = site.mosquitto();
    let server = site.start_with_mosquitto(&mut mosquitto);
    let mut open = Wire::open(&server, "mqtts", &lamp, true, &[]).unwrap();
    assert_eq!(open.connect(5, "lamp-1", true, None), Some(0));
    site.revoke(&lamp.pem);
    let refused = || {
        let mut wire = Wire::open(&server, "mqtts", &lamp, true, &[]).ok()?;
        wire.connect(5, "lamp-1", true, None)
    };
    until("a new connection is refused", || refused().is_none().then_some(()));
    // The connection that there was has no rights any more.
    open.send(&publish_packet(5, "sensor/device/lamp-1", Some(7), b"x"));
    assert!(open.receive().is_none_or(|(first, body)| first == 0x40 && body.get(2) == Some(&135)));
    assert_eq!(server.publishes(&neighbour, "sensor/device/lamp-2"), 0);

    let bearer = format!("Bearer {}", server.token);
    let attached = server.url(&format!("/api/v1/policies/fleet/targets/certificate/{}", neighbour.id));
    let answer = Answer::of(agent().delete(&attached).header("Authorization", &bearer).call());
    assert_eq!(answer.status, 200, "{}", answer.text());
    until("without a policy there are no rights", || {
        (server.publishes(&neighbour, "sensor/device/lamp-2") == 135).then_some(())
    });
    let answer = Answer::of(agent().put(&attached).header("Authorization", &bearer).send_empty());
    assert_eq!(answer.status, 200, "{}", answer.text());
    until("and with it there are", || (server.publishes(&neighbour, "sensor/device/lamp-2") == 0).then_some(()));
}

#[test]
fn what_is_said_while_mosquitto_is_away_is_told_when_it_is_back() {
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let mut mosquitto = site.mosquitto();
    let server = site.start_with_mosquitto(&mut mosquitto);
    let mut device = server.subscribe(&lamp, "$aws/things/lamp-1/shadow/update/delta", &["-q", "1", "-c"]);
    mosquitto.stop();
    until("the server notices", || server.get("/readyz", &[]).text().contains("no connection").then_some(()));
    for n in 1..=20 {
        let answer = server.change_shadow("lamp-1", &format!(r#"{{"state":{{"desired":{{"n":{n}}}}}}}"#));
        assert_eq!(answer.status, 200, "the API goes on: {}", answer.text());
    }
    assert_eq!(server.metric("debfleet_broker_connected{broker=\"mosquitto\"}"), Some(0.0));
    mosquitto.start();
    server.wait_for_broker();
    for n in 1..=20 {
        let told = device.next();
        assert!(told.contains(&format!(r#""n":{n}}}"#)), "{n}: {told}");
    }
    // What devices ask while the server is away waits for it, too.
    let mut server = server;
    server.kill();
    drop(device);
    let update = r#"{"state":{"reported":{"asked":"meanwhile"}}}"#;
    let sent = server.publish_message(&lamp, "$aws/things/lamp-1/shadow/update", update, &["-q", "1"]);
    assert!(sent.status.success(), "{sent:?}");
    let server = site.start_beside(&mosquitto, &[]);
    until("it is answered", || {
        let shadow = server.read("/things/lamp-1/shadow");
        (shadow["state"]["reported"]["asked"] == "meanwhile").then_some(())
    });
}

#[test]
fn a_broker_that_is_not_ours_or_says_nothing_hinders_nobody_else() {
    let site = Site::with_policy();
    let mut mosquitto = site.mosquitto();
    // It takes connections and never says a word.
    let silent = TcpListener::bind(("127.0.0.1", mosquitto.port)).unwrap();
    let server = site.start_beside(&mosquitto, &[]);
    let (_stream, _) = silent.accept().unwrap();
    assert!(server.get("/readyz", &[]).text().starts_with("ready\nno connection to the broker mosquitto://localhost"));
    server.check_suite();
    assert!(server.stop(), "and it stops when it is told to");
    drop(silent);

    mosquitto.start();
    let other = site.make_certificate(&Making { self_signed: true, ..Making::named("other CA") });
    let broker = format!("mosquitto://localhost:{}", mosquitto.port);
    let trusting_another = ["--http", "127.0.0.1:0", "--broker", &broker, "--broker-ca", other.pem.to_str().unwrap()];
    let mut server = site.start_logging(&trusting_another);
    let told = server.logged("no connection to the broker");
    assert!(told.contains("UnknownIssuer"), "{told}");
    server.check_suite();
    drop(server);
    let told = site.fail(&["--http", "127.0.0.1:0", "--broker", &broker, "--broker-folder", "/proc/m"]);
    assert!(told.contains("broker-folder"), "{told}");
}

/// A request as mosquitto-go-auth's HTTP backend sends it; the token is the password in its `http_host`.
fn ask(server: &Server, what: &str, token: &str, kind: &str, body: &str) -> Answer {
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("mosquitto:{token}"));
    let request = agent().post(server.url(&format!("/api/v1/mqtt/auth/{what}")));
    let request = request.header("Authorization", format!("Basic {basic}")).header("User-Agent", "mosquitto-2.0.11");
    Answer::of(request.content_type(kind).send(body))
}

#[test]
fn an_authorisation_plugin_is_told_what_policies_say() {
    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let unregistered = site.make_certificate(&Making::named("lamp-9"));
    let server = site.start();
    let token = &site.token;
    for (name, topic, acc, status) in [
        ("lamp-1", "sensor/device/lamp-1", 2, 200),
        ("lamp-1", "sensor/device/lamp-2", 2, 403),
        ("lamp-1", "command/device/all", 1, 200),
        ("lamp-1", "command/device/lamp-2", 1, 403),
        ("lamp-1", "command/device/all", 4, 200),
        ("lamp-1", "#", 4, 403),
        ("lamp-1", "sensor/device/lamp-1", 3, 403),
        ("lamp-1", "$aws/things/lamp-1/shadow/update", 2, 200),
        ("lamp-1", "$aws/things/lamp-1/shadow/update/delta", 2, 403),
        ("lamp-1", "$aws/things/lamp-1/shadow/#", 4, 200),
        (&unregistered.name, "sensor/device/lamp-9", 2, 403),
        ("", "sensor/device/lamp-1", 2, 403),
        ("debfleet-server", "$aws/things/lamp-1/shadow/update/delta", 2, 200),
    ] {
        let body = json!({"username": name, "clientid": "lamp-1", "topic": topic, "acc": acc}).to_string();
        let answer = ask(&server, "acl", token, JSON, &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), "private, max-age=2");
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((&said["ok"], said["error"] == ""), (&json!(status == 200), status == 200));
        let encoded: String = topic.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let form = format!("acc={acc}&clientid=lamp-1&topic={encoded}&username={name}");
        assert_eq!(ask(&server, "acl", token, FORM, &form).status, status, "{form}");
    }
    let question = json!({"username": "lamp-1", "topic": "command/device/all", "acc": 4, "clientid": "x"}).to_string();
    let text = ask(&server, "acl?answer=text", token, JSON, &question);
    assert_eq!((text.status, text.body.as_slice()), (200, &b"ok"[..]));
    for (what, name, status) in
        [("superuser", "lamp-1", 403), ("superuser", "debfleet-server", 200), ("user", "lamp-1", 403)]
    {
        let body = json!({"username": name, "password": token, "clientid": name}).to_string();
        assert_eq!(ask(&server, what, token, JSON, &body).status, status, "{what} {name}");
    }
    for (body, status) in [("{", 400), (r#"{"username":"lamp-1","topic":"a","acc":9}"#, 400), (r#"{"acc":1}"#, 400)] {
        assert_eq!(ask(&server, "acl", token, JSON, body).status, status, "{body}");
    }
    assert_eq!(ask(&server, "acl", "dft_wrong", JSON, &question).status, 401);
    assert_eq!(Answer::of(agent().post(server.url("/api/v1/mqtt/auth/acl")).send(&question)).status, 401);
    for (length, status) in [(1024, 403), (1025, 400), (70_000, 413)] {
        let long = json!({"username": "a".repeat(length), "topic": "a", "acc": 1}).to_string();
        assert_eq!(ask(&server, "acl", token, JSON, &long).status, status, "{length}");
    }
    site.revoke(&lamp.pem);
    assert_eq!(ask(&server, "acl", token, JSON, &question).status, 403, "at once");
}

/// Mosquitto in place of AWS IoT Core: it takes any certificate of the site's authority, and allows everything.
fn stand_in(site: &Site) -> Mosquitto {
    let mut mosquitto = site.mosquitto();
    // Its certificate is what the server would give to a Mosquitto of its own.
    drop(site.start_beside(&mosquitto, &[]));
    let at = |name: &str| mosquitto.folder.join(name).display().to_string();
    let conf = format!(
        "listener {}\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\nuse_identity_as_username true\n\
         allow_anonymous false\ninclude_dir {}\n",
        mosquitto.port,
        at("fleet-ca.pem"),
        at("broker.pem"),
        at("broker.key"),
        at("conf.d")
    );
    durable_files::replace(&mosquitto.folder.join("mosquitto.conf"), conf.as_bytes(), 0o644).unwrap();
    mosquitto.start();
    mosquitto
}

/// The rules themselves are stood in for by a client that publishes what they would: `SELECT topic() AS topic,
/// encode(*, 'base64') AS data`.
#[test]
fn of_aws_the_registry_learns_by_rules_who_is_connected_and_what_is_installed() {
    use base64::Engine as _;
    let site = Site::with_policy();
    let operator = site.operator();
    let lamp = site.enrolled("lamp-1");
    let identity = site.make_certificate(&Making::named("debfleet"));
    let aws = stand_in(&site);
    let (broker, ca) = (format!("aws://localhost:{}", aws.port), site.data.join("fleet-ca.pem"));
    let [ca, certificate, key] = [&ca, &identity.pem, &identity.key].map(|path| path.to_str().unwrap());
    let mut server = site.start_with(&[
        "--http",
        "127.0.0.1:0",
        "--broker",
        &broker,
        "--broker-ca",
        ca,
        "--broker-cert",
        certificate,
        "--broker-key",
        key,
    ]);
    server.bases.push(format!("mqtts://localhost:{}", aws.port));
    server.wait_for_broker();
    let rule = |name: &str, topic: &str, message: &Value| {
        let data = base64::engine::general_purpose::STANDARD.encode(message.to_string());
        let made = json!({"topic": topic, "data": data}).to_string();
        let output = server.publish_message(&operator, &format!("debfleet/rules/{name}"), &made, &["-q", "1"]);
        assert!(output.status.success(), "{output:?}");
    };
    let event = |what: &str, number: i64| {
        let mut event = json!({
            "clientId": "lamp-1", "timestamp": 1_573_002_230_757_i64, "eventType": what, "sessionIdentifier": "a4666d2a",
            "principalIdentifier": lamp.id, "versionNumber": number
        });
        match what {
            "connected" => event["ipAddress"] = "192.0.2.1".into(),
            _ => {
                event["clientInitiatedDisconnect"] = true.into();
                event["disconnectReason"] = "CLIENT_INITIATED_DISCONNECT".into();
            }
        }
        rule("presence", &format!("$aws/events/presence/{what}/lamp-1"), &event);
    };
    event("connected", 3);
    until("the thing is connected", || (server.finds("connectivity.connected:true") == ["lamp-1"]).then_some(()));
    // Of an earlier connection, and late.
    event("disconnected", 2);
    let accepted = "$aws/things/lamp-1/shadow/name/$package/update/accepted";
    rule(
        "packages",
        accepted,
        &json!({"state": {"reported": {"hi": {"version": "1.3.0-1"}}}, "version": 9, "timestamp": 1}),
    );
    let query = "shadow.name.$package.reported.hi.version:1.3.0-1";
    until("what is installed is known", || (server.finds(query) == ["lamp-1"]).then_some(()));
    assert_eq!(server.finds("connectivity.connected:true"), ["lamp-1"]);
    event("disconnected", 3);
    until("the thing is gone", || server.finds("connectivity.connected:true").is_empty().then_some(()));

    // On AWS's topics nobody but AWS speaks, and its shadows are changed there.
    let refused = server.change_shadow("lamp-1", r#"{"state":{"desired":{"on":true}}}"#);
    assert_eq!(refused.status, 409, "{}", refused.text());
    for garbage in
        ["", "{", r#"{"topic":"a","data":"?"}"#, r#"{"topic":"$aws/events/presence/connected/x","data":"e30="}"#]
    {
        server.publish_message(&operator, "debfleet/rules/x", garbage, &["-q", "1"]);
    }
    event("connected", 4);
    until("it goes on", || (server.finds("connectivity.connected:true") == ["lamp-1"]).then_some(()));
}
