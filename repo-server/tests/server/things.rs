//! Things and groups over the API, on each database.

use crate::running::{Answer, Server, Site};
use fleet_protocol::things::{GroupMembers, Registered, SearchPage, Thing, ThingPage};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn told<T: DeserializeOwned>(answer: &Answer) -> T {
    assert!(answer.status < 300, "{} {}", answer.status, String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap()
}

fn url_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

impl Server {
    fn make_group(&self, name: &str, body: Value) {
        assert_eq!(self.ask("POST", &format!("/api/v1/thing-groups/{name}"), Some(body)).status, 201, "{name}");
    }

    fn held(&self, group: &str) -> Vec<String> {
        let page: GroupMembers =
            told(&self.ask("GET", &format!("/api/v1/thing-groups/{group}/things?recursive=true"), None));
        page.things.iter().map(ToString::to_string).collect()
    }

    /// At its start a server looks what another one left behind.
    fn wait_until_held(&self, group: &str, things: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.held(group) != things {
            assert!(Instant::now() < deadline, "{group} holds {:?}", self.held(group));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All that a query finds, two on each page.
    fn found(&self, query: &str) -> Vec<String> {
        let (mut names, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/search/things?limit=2&query={}&after={after}", url_encoded(query));
            let page: SearchPage = told(&self.ask("GET", &path, None));
            names.extend(page.things.iter().map(|found| found.thing.thing_name.to_string()));
            let Some(next) = page.next else { return names };
            after = next;
        }
    }
}

#[test]
fn what_a_query_finds_is_what_its_group_holds() {
    let queries = [
        ("*", 5),
        ("-thingName:lamp*", 1),
        ("thingName:?amp_*", 1),
        ("thingTypeName:lamp AND NOT attributes.room:(attic OR hall)", 2),
        ("attributes.watts:[5 TO 10}", 2),
        ("attributes.watts>9", 2),
        ("attributes.room:{\"attic\" TO \"kitchen\"]", 2),
        ("attributes.serial:[\"A-1\" TO \"a_1\"]", 2),
        ("thingGroupNames:home", 2),
        ("KITCHEN", 1),
    ];
    let site = Site::new();
    let server = site.start();
    assert_eq!(server.ask("POST", "/api/v1/thing-types/lamp", Some(json!({}))).status, 201);
    server.make_group("home", json!({}));
    server.make_group("ground-floor", json!({"parentGroupName": "home"}));
    for (number, (query, _)) in queries.iter().enumerate() {
        server.make_group(&format!("early-{number}"), json!({ "queryString": query }));
    }
    let things = json!({"things": [
        {"thingName": "lamp-1", "thingTypeName": "lamp", "attributes": {"room": "Kitchen", "watts": "5", "serial": "a_1"}},
        {"thingName": "Lamp_2", "thingTypeName": "lamp", "attributes": {"room": "attic", "watts": "9.5", "serial": "a-1"},
         "thingGroupNames": ["home"]},
        {"thingName": "lamp-3", "thingTypeName": "lamp", "attributes": {"room": "hall", "watts": "40"},
         "thingGroupNames": ["home", "ground-floor"]},
        {"thingName": "lamp-4", "thingTypeName": "lamp"},
        {"thingName": "tv:1"},
        {"thingName": "lost", "thingTypeName": "nothing"},
    ]});
    let registered: Registered = told(&server.ask("POST", "/api/v1/things", Some(things.clone())));
    assert_eq!((registered.created, registered.failures.len()), (5, 1), "{registered:?}");
    assert!(registered.failures[0].index == 5 && registered.failures[0].reason.contains("no thing type nothing"));
    let again: Registered = told(&server.ask("POST", "/api/v1/things", Some(things)));
    assert_eq!((again.created, again.unchanged), (0, 5), "{again:?}");
    for (number, (query, count)) in queries.iter().enumerate() {
        let found = server.found(query);
        assert_eq!(found.len(), *count, "{query}: {found:?}");
        // Filled thing by thing, and at once.
        assert_eq!(server.held(&format!("early-{number}")), found, "{query}");
        server.make_group(&format!("late-{number}"), json!({ "queryString": query }));
        assert_eq!(server.held(&format!("late-{number}")), found, "{query}");
    }
    let page: ThingPage = told(&server.ask("GET", "/api/v1/things?limit=3", None));
    assert_eq!(page.things.len(), 3);
    let rest: ThingPage = told(&server.ask("GET", &format!("/api/v1/things?after={}", page.next.unwrap()), None));
    assert_eq!((rest.things.len(), rest.next), (2, None));
    let change = json!({"attributePayload": {"attributes": {"room": "attic", "watts": ""}, "merge": true}});
    let changed: Thing = told(&server.ask_to_patch("/api/v1/things/lamp-1", change));
    assert_eq!((changed.version, changed.attributes.as_map().len()), (2, 2));
    assert_eq!(server.held("early-4"), server.found(queries[4].0));
    assert!(server.stop());
    let server = site.start();
    assert_eq!(server.held("home"), ["Lamp_2", "lamp-3"].map(str::to_owned).to_vec(), "in the order of the names");
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let site = Site::new();
    let server = site.start();
    server.make_group("warm", json!({"queryString": "attributes.color:warm"}));
    assert_eq!(server.ask("POST", "/api/v1/things/lamp", Some(json!({}))).status, 201);
    assert_eq!(server.ask("POST", "/api/v1/things/lamp", Some(json!({}))).status, 200, "it is there, just so");
    let certificate = "ab".repeat(32);
    let cases = [
        ("POST", "/api/v1/things/a%2Fb".to_owned(), json!({}), 400, "thing name"),
        (
            "POST",
            "/api/v1/things/a".to_owned(),
            json!({"attributePayload": {"attributes": {"a": "b c"}}}),
            400,
            "value of",
        ),
        ("POST", "/api/v1/things/a".to_owned(), json!({"thingTypeName": "nothing"}), 404, "debfleet thing type create"),
        (
            "POST",
            "/api/v1/things/lamp".to_owned(),
            json!({"attributePayload": {"attributes": {"a": "b"}}}),
            409,
            "update",
        ),
        ("GET", "/api/v1/things/nobody".to_owned(), json!(null), 404, "no thing nobody"),
        ("PUT", "/api/v1/thing-groups/warm/things/lamp".to_owned(), json!(null), 409, "dynamic"),
        ("PUT", "/api/v1/thing-groups/verified/things/nobody".to_owned(), json!(null), 404, "no thing nobody"),
        ("PUT", format!("/api/v1/things/lamp/principals/{certificate}"), json!(null), 404, "no certificate"),
        ("DELETE", "/api/v1/thing-groups/verified".to_owned(), json!(null), 409, "server's own"),
        ("POST", "/api/v1/thing-groups/x".to_owned(), json!({"queryString": "a AND"}), 422, "its end"),
        ("GET", "/api/v1/search/things?query=nofield%3Ax".to_owned(), json!(null), 422, "no field"),
        ("GET", "/api/v1/things?limit=251".to_owned(), json!(null), 400, "1 to 250"),
    ];
    for (method, path, body, status, word) in cases {
        let problem = server.ask(method, &path, Some(body)).problem();
        assert!(problem.status == status && problem.detail.contains(word), "{method} {path}: {problem:?}");
    }
    let viewer = server.post(&site.token, "/api/v1/tokens", &json!({"name": "viewer", "role": "viewer"}));
    let viewer: Value = told(&viewer);
    let secret = viewer["secret"].as_str().unwrap();
    assert_eq!(server.post(secret, "/api/v1/things/other", &json!({})).status, 403);
    assert_eq!(server.get("/api/v1/things", &[("Authorization", &format!("Bearer {secret}"))]).status, 200);
}

#[test]
fn a_server_from_before_gets_the_groups_that_every_server_has() {
    let site = Site::new();
    site.change_database("DELETE FROM thing_groups");
    let server = site.start();
    for group in ["unverified", "verified"] {
        assert!(server.held(group).is_empty());
    }
}

#[test]
fn a_dynamic_group_follows_a_shadow_that_a_killed_server_changed() {
    let site = Site::new();
    let server = site.start();
    server.make_group("drifting", json!({"queryString": "shadow.hasDelta:true AND shadow.delta.on:true"}));
    assert_eq!(server.ask("POST", "/api/v1/things/lamp", Some(json!({}))).status, 201);
    let state = json!({"state": {"desired": {"on": true}, "reported": {"on": false}}});
    assert_eq!(server.ask("POST", "/things/lamp/shadow", Some(state)).status, 200);
    assert_eq!(server.held("drifting"), ["lamp"]);
    assert!(server.stop());
    // As a server leaves it that is killed between the change and what follows from it.
    site.change_database("UPDATE shadows SET version = version + 1, document = NULL WHERE name = ''");
    let server = site.start();
    server.wait_until_held("drifting", &[]);
}
