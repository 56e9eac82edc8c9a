//! What holds for all requests of the API.

use crate::backends::{AT_SCALE, block_on};
use crate::package::hi;
use crate::running::{Answer, Server, Site, agent};
use fleet_protocol::audit::AuditPage;
use fleet_protocol::suites::{SUITES_PATH, SuiteList};
use serde_json::{Value, json};
use sqlx::Executor as _;
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const METRICS: [&str; 4] = ["--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];

#[test]
fn a_change_whose_client_has_gone_is_made_and_noted() {
    let site = Site::new();
    let server = site.start_with(&METRICS);
    server.publish(&hi("1.0").signed_by(&site.package_key)).published();
    let (address, token) = (server.bases[0].strip_prefix("http://").unwrap(), &site.token);
    let audit = || {
        let answer = server.get("/api/v1/audit", &[("Authorization", &format!("Bearer {token}"))]);
        let page: AuditPage = serde_json::from_slice(&answer.body).unwrap();
        page.entries.into_iter().map(|entry| entry.action).collect::<BTreeSet<_>>()
    };
    // Nothing can be changed while this transaction is open, so all of them are in the middle of it.
    let lock = if AT_SCALE { "BEGIN; LOCK TABLE suites IN EXCLUSIVE MODE" } else { "BEGIN IMMEDIATE" };
    block_on(async {
        sqlx::any::install_default_drivers();
        let mut other = sqlx::AnyPool::connect(&site.database_url()).await.unwrap().acquire().await.unwrap();
        other.execute(sqlx::raw_sql(lock)).await.unwrap();
        for (request, body) in [
            ("POST /api/v1/suites", r#"{"name":"beta"}"#),
            ("PUT /api/v1/suites/stable/contents/hi/phase", r#"{"percentage":10}"#),
            ("PUT /api/v1/suites/stable/retention", r#"{"versions":1}"#),
        ] {
            let mut connection = TcpStream::connect(address).unwrap();
            let head = format!(
                "{request} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
                body.len()
            );
            connection.write_all(head.as_bytes()).unwrap();
            // It comes when the handler reads.
            connection.read_exact(&mut [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()]).unwrap();
            connection.write_all(body.as_bytes()).unwrap();
        }
        while server.metric("debfleet_connections{listener=\"http\"}") != Some(0.0) {
            tokio::task::yield_now().await;
        }
        other.execute(sqlx::raw_sql("ROLLBACK")).await.unwrap();
    });
    let wanted = ["suite.create", "suite.phase", "suite.retention"].map(str::to_owned).into();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !audit().is_superset(&wanted) {
        assert!(Instant::now() < deadline, "only noted: {:?}", audit());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn suites_are_listed_page_by_page_and_those_of_others_left_out_without_a_word() {
    let site = Site::new();
    let mut server = site.start_logging(&METRICS[..2]);
    let make = |path: &str, body: Value| {
        let request = agent().post(server.url(path)).header("Authorization", format!("Bearer {}", site.token));
        let answer = Answer::of(request.content_type("application/json").send(body.to_string()));
        assert_eq!(answer.status, 201, "{}", answer.text());
        serde_json::from_slice::<Value>(&answer.body).unwrap()
    };
    for name in ["alpha", "beta", "gamma"] {
        make(SUITES_PATH, json!({ "name": name }));
    }
    let limited = make("/api/v1/tokens", json!({ "name": "ci", "role": "viewer", "suites": ["gamma", "beta"] }));
    let listed = |token: &str, query: &str| {
        let answer = server.get(&format!("{SUITES_PATH}{query}"), &[("Authorization", &format!("Bearer {token}"))]);
        let list: SuiteList = serde_json::from_slice(&answer.body).unwrap();
        (list.suites.into_iter().map(|suite| suite.name).collect::<Vec<_>>(), list.next)
    };
    assert_eq!(
        listed(&site.token, "?limit=3"),
        (vec!["alpha".into(), "beta".into(), "gamma".into()], Some("gamma".into()))
    );
    assert_eq!(listed(&site.token, "?limit=3&after=gamma"), (vec!["stable".into()], None));
    assert_eq!(listed(limited["secret"].as_str().unwrap(), "?limit=2"), (vec!["beta".into(), "gamma".into()], None));
    for bad in ["?limit=0", "?limit=101", "?limit=-1", "?after=%00", "?behind=beta"] {
        let answer =
            server.get(&format!("{SUITES_PATH}{bad}"), &[("Authorization", &format!("Bearer {}", site.token))]);
        assert_eq!(answer.problem().status, 400, "{bad}");
    }
    server.signal(rustix::process::Signal::TERM);
    let log = server.log_until("stopping");
    assert!(!log.contains("does not allow"), "{log}");
}

fn document(server: &Server) -> Value {
    let answer = server.get("/api/v1/openapi.json", &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn every_route_is_in_the_document_and_everything_in_the_document_is_a_route() {
    let site = Site::new();
    let server = site.start();
    let document = document(&server);
    let documented = document["paths"].as_object().unwrap();
    for (path, item) in documented {
        let item = item.as_object().unwrap();
        let address = path.replace("{suite}", "stable").replace("{package}", "hi").replace("{id}", "0");
        let address = address.replace("{policy}", "standard").replace("{version}", "1");
        let address = address.replace("{certificate}", &"0".repeat(64)).replace("{group}", "verified");
        let address = address.replace("{thing}", "lamp-1");
        let address = address.replace("{user}", "anna").replace("{role}", "viewer");
        for method in ["get", "put", "post", "delete", "patch"] {
            let request = ureq::http::Request::builder().method(method.to_uppercase().as_str());
            let request = request.uri(server.url(&address)).body(()).unwrap();
            let agent = ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true);
            let answer = Answer::of(agent.build().new_agent().run(request));
            let Some(operation) = item.get(method) else {
                assert_eq!(answer.status, 405, "{method} {path}");
                // AWS's paths have AWS's form of errors.
                if path.starts_with("/api/v1") {
                    answer.problem();
                }
                let allowed = answer.header("allow").to_lowercase();
                let allowed: BTreeSet<&str> = allowed.split(',').filter(|method| *method != "head").collect();
                assert_eq!(allowed, item.keys().map(String::as_str).collect(), "{method} {path}");
                continue;
            };
            // A device has no token to send: without a client certificate it may not.
            let expected = match operation["tags"][0].as_str() {
                Some("document") => 200,
                // Whoever signs in has nothing to show yet but what this body lacks.
                _ if path == "/api/v1/sessions" => 415,
                _ if path.starts_with("/api/v1/device/") => 403,
                _ => 401,
            };
            assert_eq!(answer.status, expected, "{method} {path}");
            assert!(operation["responses"][expected.to_string()].is_object(), "{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{method} {path}");
        }
    }
    let router = include_str!("../../src/http/router.rs");
    let is_operation = |text: &&str| text.starts_with("/api/v1") || text.contains("{thing}");
    let routed: BTreeSet<&str> = router.split('"').filter(is_operation).collect();
    assert_eq!(routed, documented.keys().map(String::as_str).collect());
}

#[test]
fn the_document_is_a_page_that_asks_for_nothing_else() {
    let site = Site::new();
    let server = site.start();
    let answer = server.get("/api/v1", &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"));
    let page = answer.text();
    for path in document(&server)["paths"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
    }
    for foreign in ["<script", "<link", "<img", "src=", "href=\"http", "url(", "@import"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
}
