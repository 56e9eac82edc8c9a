//! Policies over the API, and what a client may do by them.

use crate::backends::AT_SCALE;
use crate::running::{Answer, Server, Site, agent};
use fleet_protocol::names::{CertificateId, PolicyName};
use fleet_protocol::policies::{
    AuthorizationAnswer, POLICIES_PATH, PolicyInfo, PolicyPage, PolicyTarget, PolicyTargetPage, PolicyVersion,
    TEST_AUTHORIZATION_PATH, default_version_path, policy_path, policy_target_path, policy_targets_path,
    policy_version_path, policy_versions_path,
};
use fleet_protocol::policy::Verdict;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Of Twilio's Microvisor MQTT demo.
const MICROVISOR: &str = include_str!("../../../examples/policies/microvisor.json");

fn name(text: &str) -> PolicyName {
    text.parse().unwrap()
}

fn certificate(digit: char) -> CertificateId {
    digit.to_string().repeat(64).parse().unwrap()
}

fn read<T: DeserializeOwned>(status: u16, answer: &Answer) -> T {
    assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap()
}

/// Allows to publish to one topic.
fn document(topic: &str) -> String {
    let statement =
        json!({ "Effect": "Allow", "Action": "iot:Publish", "Resource": format!("arn:aws:iot:::topic/{topic}") });
    json!({ "Version": "2012-10-17", "Statement": statement }).to_string()
}

/// The certificate `a` is attached to the thing `lamp` of the group `kitchen`, which is in the group `house`.
fn furnish(site: &Site, server: &Server) {
    let id = certificate('a');
    site.tamper(&[&format!(
        "INSERT INTO certificates (id, pem, serial, subject, kind, status, not_before, not_after, created_at) \
         VALUES ('{id}', '', '1', '', 'device', 'ACTIVE', 0, 0, 0)"
    )]);
    for (method, path, body) in [
        ("POST", "/api/v1/things/lamp", json!({})),
        ("POST", "/api/v1/thing-groups/house", json!({})),
        ("POST", "/api/v1/thing-groups/kitchen", json!({ "parentGroupName": "house" })),
        ("PUT", "/api/v1/thing-groups/kitchen/things/lamp", json!(null)),
        ("PUT", &format!("/api/v1/things/lamp/principals/{id}"), json!(null)),
    ] {
        let answer = server.ask(method, path, Some(body));
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text());
    }
}

fn test(server: &Server, test: Value) -> AuthorizationAnswer {
    read(200, &server.ask("POST", TEST_AUTHORIZATION_PATH, Some(test)))
}

fn publishes(server: &Server, topic: &str) -> Verdict {
    test(server, json!({ "thingName": "lamp", "action": "iot:Publish", "resource": topic })).decision
}

#[test]
fn a_policy_is_made_attached_changed_and_deleted() {
    let site = Site::new();
    let server = site.start();
    furnish(&site, &server);
    let new = json!({ "policyName": "demo", "policyDocument": MICROVISOR });
    let made: PolicyInfo = read(201, &server.ask("POST", POLICIES_PATH, Some(new.clone())));
    assert_eq!((made.document.as_str(), made.policy.default_version, made.versions.len()), (MICROVISOR, 1, 1));
    let again: PolicyInfo = read(200, &server.ask("POST", POLICIES_PATH, Some(new)));
    assert_eq!(again, made);
    let other =
        server.ask("POST", POLICIES_PATH, Some(json!({ "policyName": "demo", "policyDocument": document("x") })));
    assert!(other.problem().detail.contains("policy version create demo"), "{}", other.problem().detail);
    assert_eq!((other.status, publishes(&server, "sensor/device/lamp")), (409, Verdict::ImplicitDeny));

    let house = PolicyTarget::Group { name: "house".parse().unwrap() };
    let cert = PolicyTarget::Certificate { id: certificate('a') };
    for target in [&house, &cert, &house] {
        let attached: PolicyTarget = read(200, &server.ask("PUT", &policy_target_path(&name("demo"), target), None));
        assert_eq!(attached, *target);
    }
    let targets: PolicyTargetPage = read(200, &server.ask("GET", &policy_targets_path(&name("demo")), None));
    assert_eq!(targets, PolicyTargetPage { targets: vec![cert.clone(), house.clone()], next: None });
    let first = format!("{}?limit=1", policy_targets_path(&name("demo")));
    let first: PolicyTargetPage = read(200, &server.ask("GET", &first, None));
    let rest = format!("{}?after={}", policy_targets_path(&name("demo")), first.next.unwrap().replace(' ', "%20"));
    let rest: PolicyTargetPage = read(200, &server.ask("GET", &rest, None));
    assert_eq!((first.targets, rest.targets), (vec![cert.clone()], vec![house.clone()]));

    let told = test(&server, json!({ "thingName": "lamp", "action": "subscribe", "resource": "command/device/all" }));
    assert_eq!((told.decision, told.thing.clone()), (Verdict::Allowed, Some("lamp".parse().unwrap())));
    assert_eq!(told.reason, "allowed by statement 3 of the policy demo, version 1");
    assert_eq!(told.policies.len(), 2, "by the certificate, and by the parent of its group: {told:?}");
    assert_eq!(publishes(&server, "sensor/device/lamp2"), Verdict::ImplicitDeny);
    let as_other =
        json!({ "certificateId": certificate('a'), "clientId": "lamp2", "action": "connect", "resource": "lamp2" });
    let told = test(&server, as_other);
    assert!(told.findings[0].reason.contains("no value for ${iot:Connection.Thing.ThingName}"), "{told:?}");

    let (in_kitchen, with_cert) =
        ("/api/v1/thing-groups/kitchen/things/lamp", policy_target_path(&name("demo"), &cert));
    assert_eq!(server.ask("DELETE", &with_cert, None).status, 200);
    for (method, expected) in [("DELETE", Verdict::ImplicitDeny), ("PUT", Verdict::Allowed)] {
        assert!((200..300).contains(&server.ask(method, in_kitchen, None).status));
        assert_eq!(publishes(&server, "sensor/device/lamp"), expected, "{method}: at once");
    }
    assert_eq!(server.ask("PUT", &with_cert, None).status, 200);

    let versions = policy_versions_path(&name("demo"));
    let second = json!({ "policyDocument": document("second"), "setAsDefault": true });
    let second: PolicyVersion = read(201, &server.ask("POST", &versions, Some(second)));
    assert_eq!((second.version.version, second.version.is_default), (2, true));
    assert_eq!(
        (publishes(&server, "second"), publishes(&server, "sensor/device/lamp")),
        (Verdict::Allowed, Verdict::ImplicitDeny)
    );
    let back = server.ask("PUT", &default_version_path(&name("demo")), Some(json!({ "versionId": 1 })));
    assert_eq!(read::<PolicyInfo>(200, &back).document, MICROVISOR);
    assert_eq!(publishes(&server, "sensor/device/lamp"), Verdict::Allowed);
    let old: PolicyVersion = read(200, &server.ask("GET", &policy_version_path(&name("demo"), 2), None));
    assert_eq!(old.document, document("second"));
    assert_eq!(server.ask("DELETE", &policy_version_path(&name("demo"), 1), None).problem().status, 409);
    assert_eq!(server.ask("DELETE", &policy_version_path(&name("demo"), 2), None).status, 200);
    assert_eq!(server.ask("GET", &policy_version_path(&name("demo"), 2), None).problem().status, 404);

    let in_use = server.ask("DELETE", &policy_path(&name("demo")), None).problem();
    assert!(in_use.detail.contains("is attached to the certificate"), "{}", in_use.detail);
    for target in [&house, &cert, &cert] {
        assert_eq!(server.ask("DELETE", &policy_target_path(&name("demo"), target), None).status, 200);
    }
    assert_eq!(publishes(&server, "sensor/device/lamp"), Verdict::ImplicitDeny);
    assert_eq!(server.ask("DELETE", &policy_path(&name("demo")), None).status, 200);
    assert_eq!(server.ask("GET", &policy_path(&name("demo")), None).problem().status, 404);
    let audit = server.ask("GET", "/api/v1/audit", None).text();
    for action in ["create", "attach", "version.create", "version.default", "version.delete", "detach", "delete"] {
        assert_eq!(
            audit.matches(&format!("\"policy.{action}\"")).count(),
            if action.ends_with("tach") { 3 } else { 1 },
            "{action}"
        );
    }
}

#[test]
fn what_is_no_policy_and_what_is_not_there_is_refused_with_a_reason() {
    let site = Site::new();
    let server = site.start();
    let refused = |method: &str, path: &str, body: Option<Value>, status: u16, reason: &str| {
        let problem = server.ask(method, path, body).problem();
        assert!(problem.status == status && problem.detail.contains(reason), "{method} {path}: {problem:?}");
    };
    let new = |name: &str, document: &str| Some(json!({ "policyName": name, "policyDocument": document }));
    refused("POST", POLICIES_PATH, new("p", "{}"), 422, "missing field `Statement`");
    refused("POST", POLICIES_PATH, new("p", &document("${iot:Nothing}")), 422, "statement 1: `${iot:Nothing}`");
    refused("POST", POLICIES_PATH, new("p", &document(&"x".repeat(2048))), 422, "longer than 2048");
    refused("POST", POLICIES_PATH, new("..", &document("x")), 422, "addresses");
    refused("POST", POLICIES_PATH, new("a b", &document("x")), 400, "policy's name");
    refused("GET", "/api/v1/policies/none", None, 404, "there is no policy none");
    refused("GET", "/api/v1/policies/a%20b", None, 404, "policy's name");
    refused("GET", "/api/v1/policies/standard/versions/7", None, 404, "no version 7");
    refused("GET", "/api/v1/policies/standard/versions/01", None, 404, "no version of this number");
    refused("PUT", "/api/v1/policies/standard/targets/group/none", None, 404, "no such target: the group none");
    refused("PUT", "/api/v1/policies/standard/targets/certificate/x", None, 404, "certificate id");
    refused("PUT", "/api/v1/policies/standard/targets/lamp/x", None, 404, "not to a \"lamp\"");
    refused("PUT", "/api/v1/policies/none/targets/group/verified", None, 404, "there is no policy none");
    refused("DELETE", "/api/v1/policies/standard", None, 409, "come into the fleet with");
    let ask =
        |body: Value, status: u16, reason: &str| refused("POST", TEST_AUTHORIZATION_PATH, Some(body), status, reason);
    ask(json!({ "action": "iot:Publish", "resource": "x" }), 422, "name who wants to do it");
    ask(json!({ "thingName": "none", "action": "iot:Publish", "resource": "x" }), 404, "there is no thing none");
    ask(json!({ "thingName": "none", "action": "iot:Fly", "resource": "x" }), 422, "there is no action \"iot:Fly\"");
    let unknown = json!({ "certificateId": certificate('f'), "clientId": "x", "action": "connect", "resource": "x" });
    ask(unknown, 404, "there is no certificate ffff");
    let page: PolicyPage = read(200, &server.ask("GET", POLICIES_PATH, None));
    let names: Vec<&str> = page.policies.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["initial", "intermediate", "people", "people-operators", "standard"]);
}

#[test]
fn only_an_admin_changes_what_devices_may_do() {
    let site = Site::new();
    let server = site.start();
    let made = server.ask("POST", "/api/v1/tokens", Some(json!({ "name": "op", "role": "operator" }))).text();
    let secret = serde_json::from_str::<Value>(&made).unwrap()["secret"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {secret}");
    assert_eq!(server.get(POLICIES_PATH, &[("Authorization", &bearer)]).status, 200);
    let body = json!({ "policyName": "p", "policyDocument": document("x") }).to_string();
    let send = |request: ureq::RequestBuilder<ureq::typestate::WithBody>, body: &str| {
        Answer::of(request.header("Authorization", &bearer).content_type("application/json").send(body))
    };
    assert_eq!(send(agent().post(server.url(POLICIES_PATH)), &body).problem().status, 403);
    let version = json!({ "policyDocument": document("x") }).to_string();
    let versions = server.url(&policy_versions_path(&name("standard")));
    assert_eq!(send(agent().post(versions), &version).problem().status, 403);
    let target = server.url("/api/v1/policies/standard/targets/group/verified");
    assert_eq!(send(agent().put(&target), "").problem().status, 403);
    assert_eq!(Answer::of(agent().delete(&target).header("Authorization", &bearer).call()).problem().status, 403);
    assert_eq!(server.get(POLICIES_PATH, &[]).problem().status, 401);
}

#[test]
fn another_process_sees_a_change_within_two_seconds() {
    if !AT_SCALE {
        return;
    }
    let site = Site::new();
    let copy = site.data.with_file_name("copy");
    assert!(std::process::Command::new("cp").arg("-a").arg(&site.data).arg(&copy).status().unwrap().success());
    let server = site.start();
    let other = site.start_on(&copy, &["--http", "127.0.0.1:0"]);
    furnish(&site, &server);
    server.ask("POST", POLICIES_PATH, Some(json!({ "policyName": "p", "policyDocument": document("x") })));
    assert_eq!(publishes(&other, "x"), Verdict::ImplicitDeny);
    server.ask("PUT", "/api/v1/policies/p/targets/group/kitchen", None);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while publishes(&other, "x") != Verdict::Allowed {
        assert!(std::time::Instant::now() < deadline, "it never saw the change");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
