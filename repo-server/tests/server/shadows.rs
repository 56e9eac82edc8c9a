//! Device shadows over REST, as AWS's clients ask for them.

use crate::backends::AT_SCALE;
use crate::running::{Answer, Server, Site, agent};
use fleet_protocol::access::{CreatedToken, Role};
use fleet_protocol::audit::AuditPage;
use fleet_protocol::shadow::{Deleted, ERROR_KIND, NamedShadows, Rejected};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const SHADOW: &str = "/things/lamp-1/shadow";
const NAMES: &str = "/api/things/shadow/ListNamedShadowsForThing/lamp-1";

impl Site {
    fn with_lamp() -> Self {
        let site = Self::new();
        site.change_database(
            "INSERT INTO things (name, id, attributes, version, created_at) VALUES ('lamp-1', 'a1', '{}', 1, 0)",
        );
        site
    }
}

impl Server {
    fn ask_shadow_as(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let (agent, url, bearer) = (agent(), self.url(path), format!("Bearer {token}"));
        Answer::of(match method {
            "GET" => agent.get(url).header("Authorization", bearer).call(),
            "DELETE" => agent.delete(url).header("Authorization", bearer).call(),
            _ => agent.post(url).header("Authorization", bearer).send(body),
        })
    }

    fn ask_shadow(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_shadow_as(&self.token, method, path, body)
    }

    fn shadow_token(&self, role: Role) -> String {
        let body = json!({"name": "t", "role": role}).to_string();
        let request = agent().post(self.url("/api/v1/tokens")).content_type("application/json");
        let answer = Answer::of(request.header("Authorization", format!("Bearer {}", self.token)).send(body));
        serde_json::from_slice::<CreatedToken>(&answer.body).unwrap().secret
    }
}

impl Answer {
    #[track_caller]
    fn shadow_accepted(&self) -> Value {
        assert_eq!((self.status, self.header("content-type")), (200, "application/json"), "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The error's kind and message, in the form that AWS's clients read.
    #[track_caller]
    fn shadow_rejected(&self) -> (String, String) {
        let rejected: Rejected = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(rejected.code, self.status);
        (self.header(ERROR_KIND).to_owned(), rejected.message)
    }
}

#[test]
fn a_shadow_is_made_changed_listed_and_deleted() {
    let site = Site::with_lamp();
    let server = site.start();
    let missing = server.ask_shadow("GET", SHADOW, "");
    let words = "No shadow exists with name: 'lamp-1'";
    assert_eq!((missing.status, missing.shadow_rejected()), (404, ("ResourceNotFoundException".into(), words.into())));

    let made = server
        .ask_shadow("POST", SHADOW, r#"{"state":{"desired":{"on":true,"hue":3}},"clientToken":"t"}"#)
        .shadow_accepted();
    assert_eq!((&made["version"], &made["clientToken"]), (&json!(1), &json!("t")));
    assert_eq!(made["state"], json!({"desired": {"on": true, "hue": 3}}));
    server
        .ask_shadow("POST", SHADOW, r#"{"state":{"reported":{"on":true},"desired":{"hue":null,"fan":{"rpm":9}}}}"#)
        .shadow_accepted();
    let got = server.ask_shadow("GET", SHADOW, "").shadow_accepted();
    assert_eq!(
        got["state"],
        json!({"desired": {"on": true, "fan": {"rpm": 9}}, "reported": {"on": true}, "delta": {"fan": {"rpm": 9}}})
    );
    assert!(got["metadata"]["reported"]["on"]["timestamp"].as_i64().unwrap() > 1_700_000_000);

    let stale = server.ask_shadow("POST", SHADOW, r#"{"state":{"desired":{"on":false}},"version":1}"#);
    assert_eq!((stale.status, stale.shadow_rejected()), (409, ("ConflictException".into(), "Version conflict".into())));
    server.ask_shadow("POST", SHADOW, r#"{"state":{"desired":{"on":false}},"version":2}"#).shadow_accepted();

    for name in ["network", "$package"] {
        let path = format!("{SHADOW}?name={name}");
        server.ask_shadow("POST", &path, r#"{"state":{"reported":{"hi":{"version":"1.3.0-1"}}}}"#).shadow_accepted();
    }
    let names = |query: &str| -> NamedShadows {
        serde_json::from_value(server.ask_shadow("GET", &format!("{NAMES}{query}"), "").shadow_accepted()).unwrap()
    };
    let all: BTreeSet<String> = names("").results.into_iter().map(String::from).collect();
    assert_eq!(all, ["$package".to_owned(), "network".to_owned()].into());
    let first = names("?pageSize=1");
    let second = names(&format!("?pageSize=1&nextToken={}", first.next_token.unwrap()));
    assert_eq!(second.next_token, None);
    let paged: BTreeSet<String> = first.results.into_iter().chain(second.results).map(String::from).collect();
    assert_eq!(paged, all);

    let gone: Deleted = serde_json::from_value(server.ask_shadow("DELETE", SHADOW, "").shadow_accepted()).unwrap();
    assert_eq!(gone.version, 3);
    assert_eq!(server.ask_shadow("DELETE", SHADOW, "").status, 404);
    let again = server.ask_shadow("POST", SHADOW, r#"{"state":{"desired":{"on":true}}}"#).shadow_accepted();
    assert_eq!(again["version"], 4, "a deleted shadow's version goes on");

    let log = agent().get(server.url("/api/v1/audit")).header("Authorization", format!("Bearer {}", site.token)).call();
    let log: AuditPage = serde_json::from_slice(&Answer::of(log).body).unwrap();
    let noted: Vec<(&str, &str)> =
        log.entries.iter().rev().map(|entry| (entry.action.as_str(), entry.subject.as_str())).collect();
    let update = ("shadow.update", "lamp-1");
    assert_eq!(
        noted[noted.len() - 7..],
        [
            update,
            update,
            update,
            ("shadow.update", "lamp-1/network"),
            ("shadow.update", "lamp-1/$package"),
            ("shadow.delete", "lamp-1"),
            update,
        ],
        "what was refused is no change"
    );
    assert_eq!(log.entries[0].detail, r#"version 4: {"desired":{"on":true}}"#);
}

#[test]
fn only_whoever_may_sees_and_changes_shadows() {
    let site = Site::with_lamp();
    let server = site.start_with(&["--http", "127.0.0.1:0"]);
    let change = r#"{"state":{"desired":{"on":true}}}"#;
    server.ask_shadow("POST", SHADOW, change).shadow_accepted();
    for (role, status) in [(Role::Operator, 200), (Role::Publisher, 403), (Role::Viewer, 403)] {
        let token = server.shadow_token(role);
        server.ask_shadow_as(&token, "GET", SHADOW, "").shadow_accepted();
        let changed = server.ask_shadow_as(&token, "POST", SHADOW, change);
        assert_eq!(changed.status, status, "{role}");
        if status == 403 {
            assert_eq!(changed.shadow_rejected().0, "ForbiddenException");
            assert_eq!(server.ask_shadow_as(&token, "DELETE", SHADOW, "").status, 403);
        }
    }
    for (method, path) in [("GET", SHADOW), ("POST", SHADOW), ("DELETE", SHADOW), ("GET", NAMES)] {
        let answer = server.ask_shadow_as("dft_wrong", method, path, change);
        assert_eq!(
            (answer.status, answer.shadow_rejected().0.as_str()),
            (401, "UnauthorizedException"),
            "{method} {path}"
        );
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"debfleet\"");
    }
    assert_eq!(Answer::of(agent().get(server.url(SHADOW)).call()).status, 401);
    assert_eq!(server.ask_shadow("GET", SHADOW, "").shadow_accepted()["version"], 2);
}

#[test]
fn what_is_no_request_about_a_shadow_is_refused_in_aws_form() {
    let site = Site::with_lamp();
    let server = site.start();
    let long = format!(r#"{{"state":{{"reported":{{"a":"{}"}}}}}}"#, "x".repeat(8 << 10));
    let longer = "x".repeat(100 << 10);
    let cases = [
        ("POST", SHADOW, "{", 400, "Invalid JSON"),
        ("POST", SHADOW, "", 400, "Invalid JSON"),
        ("POST", SHADOW, r#"{"state":{"desired":{"l":[null]}}}"#, 400, "invalid node: 'l'"),
        ("POST", SHADOW, long.as_str(), 413, "exceeds the maximum size"),
        ("POST", SHADOW, longer.as_str(), 413, ""),
        ("POST", "/things/lamp-1/shadow?name=", "{}", 400, "shadow's name"),
        ("POST", "/things/lamp-1/shadow?name=a%2Fb", "{}", 400, "shadow's name"),
        ("POST", "/things/lamp-1/shadow?name=$mine", r#"{"state":{}}"#, 400, "$package"),
        ("POST", "/things/lamp-1/shadow?name=$package", r#"{"state":{"reported":{"hi":"1"}}}"#, 400, "'hi'"),
        ("GET", "/things/lamp-1/shadow?nom=a", "", 400, "nom"),
        ("GET", "/things/a%2Fb/shadow", "", 400, "thing name"),
        ("GET", "/things/%ff/shadow", "", 400, ""),
        ("POST", "/things/fan/shadow", r#"{"state":{}}"#, 404, "Thing not found"),
        ("GET", "/api/things/shadow/ListNamedShadowsForThing/fan", "", 404, "Thing not found"),
        ("GET", "/api/things/shadow/ListNamedShadowsForThing/lamp-1?pageSize=0", "", 400, "1 to 100"),
        ("GET", "/api/things/shadow/ListNamedShadowsForThing/lamp-1?nextToken=%00", "", 400, "nextToken"),
    ];
    for (method, path, body, status, words) in cases {
        let answer = server.ask_shadow(method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        let (kind, message) = answer.shadow_rejected();
        assert!(kind.ends_with("Exception") && message.contains(words), "{method} {path}: {kind} {message}");
    }
    let not_text = agent().post(server.url(SHADOW)).header("Authorization", format!("Bearer {}", site.token));
    let not_text = Answer::of(not_text.send(&b"{\"state\":{\"desired\":{\"a\":\"\xff\"}}}"[..]));
    assert_eq!((not_text.status, not_text.shadow_rejected().0.as_str()), (415, "UnsupportedDocumentEncodingException"));
    let put = agent().put(server.url(SHADOW)).header("Authorization", format!("Bearer {}", site.token)).send("{}");
    let put = Answer::of(put);
    assert_eq!((put.status, put.shadow_rejected().0.as_str()), (405, "MethodNotAllowedException"));
    assert_eq!(server.ask_shadow("GET", SHADOW, "").status, 404, "nothing was made");
}

#[test]
fn of_two_who_write_one_version_one_is_told_of_the_conflict_and_no_free_update_is_lost() {
    let site = Site::with_lamp();
    let copy = site.data.with_file_name("copy");
    assert!(Command::new("cp").arg("-a").arg(&site.data).arg(&copy).status().unwrap().success());
    let one = site.start();
    // Where several processes may use the database, another one takes part.
    let other = AT_SCALE.then(|| site.start_on(&copy, &["--http", "127.0.0.1:0"]));
    let servers = [&one, other.as_ref().unwrap_or(&one)];
    let write = |n: usize, version: &str| {
        let body = format!(r#"{{"state":{{"reported":{{"k{n}":{n}}}}}{version}}}"#);
        servers[n % 2].ask_shadow("POST", SHADOW, &body)
    };
    std::thread::scope(|scope| {
        for n in 0..12 {
            scope.spawn(move || write(n, "").shadow_accepted());
        }
    });
    let got = one.ask_shadow("GET", SHADOW, "").shadow_accepted();
    assert_eq!((&got["version"], got["state"]["reported"].as_object().unwrap().len()), (&json!(12), 12));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..6).map(|n| scope.spawn(move || write(n, r#","version":12"#).status)).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let won = statuses.iter().filter(|status| **status == 200).count();
    assert!(won == 1 && statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
}

#[test]
fn amazons_own_client_works_for_a_device_with_its_certificate_and_for_no_other_thing() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/moto/bin/python");
    assert!(python.exists(), "{} is missing; `cargo xtask test` installs it", python.display());
    let site = Site::with_lamp();
    site.change_database(
        "INSERT INTO things (name, id, attributes, version, created_at) VALUES ('lamp-1-neighbour', 'a2', '{}', 1, 0)",
    );
    let identity = site.certify("lamp-1", &[0x5b, 0x3c]);
    let files = [("lamp-1.pem", &identity.pem), ("lamp-1.key", &identity.key)];
    let [certificate, key] = files.map(|(name, text)| site.file(name, text));
    let server = site.start_with(&["--https", "127.0.0.1:0"]);
    let device = site.device(&identity);
    let get = || Answer::of(device.get(server.url(SHADOW)).call());
    assert_eq!((get().status, get().shadow_rejected().0.as_str()), (403, "ForbiddenException"), "not registered");

    let admin = |method: &str, path: &str, body: Value| {
        let request = ureq::http::Request::builder().method(method).uri(server.url(path));
        let request = request.header("Authorization", format!("Bearer {}", site.token));
        let answer =
            Answer::of(device.run(request.header("Content-Type", "application/json").body(body.to_string()).unwrap()));
        assert!([200, 201].contains(&answer.status), "{method} {path}: {}", answer.text());
        serde_json::from_slice::<Value>(&answer.body).unwrap()
    };
    let registered = admin("POST", "/api/v1/certificates", json!({ "certificatePem": identity.pem }));
    let id = registered["certificateId"].as_str().unwrap();
    assert_eq!(get().status, 403, "it speaks for nothing");
    admin("PUT", &format!("/api/v1/things/lamp-1/principals/{id}"), json!({}));
    assert_eq!(get().status, 403, "no policy allows it");
    admin("PUT", &format!("/api/v1/policies/standard/targets/certificate/{id}"), json!({}));
    assert_eq!(get().status, 404, "now it may ask, and there is none");
    let mut client = Command::new(python);
    client.arg("-c").arg(include_str!("shadows/data_plane.py")).arg(&server.bases[0]);
    let told = client.arg(site.data.join("fleet-ca.pem")).args([&certificate, &key]).arg("lamp-1").output().unwrap();
    assert!(told.status.success() && told.stdout == b"done\n", "{}", String::from_utf8_lossy(&told.stderr));

    let log = admin("GET", "/api/v1/audit", json!({})).to_string();
    assert!(!log.contains("shadow.update"), "what devices do is not in the log of what people do: {log}");
    site.revoke(&certificate);
    assert_eq!((get().status, get().shadow_rejected().0.as_str()), (401, "UnauthorizedException"));
}

#[test]
fn a_dynamic_group_has_the_things_whose_shadow_is_as_it_asks() {
    let site = Site::with_lamp();
    let server = site.start();
    let group = "/api/v1/thing-groups/outdated";
    let query = json!({"queryString": "shadow.name.$package.reported.hi.version:1.2.0-1"}).to_string();
    let made = agent().post(server.url(group)).header("Authorization", format!("Bearer {}", site.token));
    let made = Answer::of(made.content_type("application/json").send(query));
    assert_eq!(made.status, 201, "{}", made.text());
    let members = || {
        let answer = server.ask_shadow("GET", &format!("{group}/things"), "").shadow_accepted();
        answer["things"].as_array().unwrap().len()
    };
    let shadow = format!("{SHADOW}?name=$package");
    for (version, expected) in [("1.2.0-1", 1), ("1.3.0-1", 0), ("1.2.0-1", 1)] {
        let body = json!({"state": {"reported": {"hi": {"version": version}}}}).to_string();
        server.ask_shadow("POST", &shadow, &body).shadow_accepted();
        assert_eq!(members(), expected, "{version}");
    }
    server.ask_shadow("DELETE", &shadow, "").shadow_accepted();
    assert_eq!(members(), 0, "without a shadow");
    server.ask_shadow("POST", SHADOW, r#"{"state":{"reported":{"on":true}}}"#).shadow_accepted();
    assert_eq!(server.ask_shadow("DELETE", "/api/v1/things/lamp-1", "").status, 200);
    site.change_database(
        "INSERT INTO things (name, id, attributes, version, created_at) VALUES ('lamp-1', 'a2', '{}', 1, 0)",
    );
    assert_eq!(server.ask_shadow("GET", SHADOW, "").status, 404, "another thing of that name has no shadow");
}
