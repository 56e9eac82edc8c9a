//! A request that comes again with its Idempotency-Key is carried out once.

use crate::backends::{AT_SCALE, block_on};
use crate::package::hi;
use crate::running::{Answer, Server, Site, agent};
use fleet_protocol::publishing::{import_path, upload_path};
use fleet_protocol::suites::{SUITES_PATH, SuiteList};
use sqlx::Executor as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

const SNAPSHOTS: &str = "/api/v1/suites/stable/snapshots";

impl Server {
    fn send(&self, token: &str, key: &str, path: &str, body: &[u8]) -> Answer {
        let request = agent().post(self.url(path)).header("Authorization", format!("Bearer {token}"));
        Answer::of(request.header("Idempotency-Key", key).content_type("application/json").send(body))
    }

    fn suites(&self) -> usize {
        let answer = self.get(SUITES_PATH, &[("Authorization", &format!("Bearer {}", self.token))]);
        serde_json::from_slice::<SuiteList>(&answer.body).unwrap().suites.len()
    }

    fn other_token(&self) -> String {
        let request =
            agent().post(self.url("/api/v1/tokens")).header("Authorization", format!("Bearer {}", self.token));
        let made = Answer::of(request.content_type("application/json").send(r#"{"name":"b","role":"operator"}"#));
        serde_json::from_slice::<serde_json::Value>(&made.body).unwrap()["secret"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_snapshot_asked_for_again_is_the_same_one_also_after_a_restart() {
    let site = Site::new();
    let mut server = site.start();
    let first = server.send(&site.token, "\"a-1\"", SNAPSHOTS, b"");
    assert_eq!(first.status, 201, "{}", first.text());
    let again = server.send(&site.token, "\"a-1\"", SNAPSHOTS, b"");
    assert_eq!((again.status, again.text()), (201, first.text()));
    assert_eq!(again.header("content-type"), "application/json");
    assert_eq!(server.suites(), 2);
    server.kill();
    let server = site.start();
    assert_eq!(server.send(&site.token, "\"a-1\"", SNAPSHOTS, b"").text(), first.text());
    assert_eq!(server.suites(), 2);
    // A key is a token's own, and no other request's.
    let others = server.send(&server.other_token(), "\"a-1\"", SNAPSHOTS, b"");
    assert_eq!(others.status, 201);
    assert_ne!(others.text(), first.text());
    let other = server.send(&site.token, "\"a-1\"", "/api/v1/suites/stable/return", br#"{"name":"stable"}"#);
    assert_eq!(other.problem().status, 422);
    assert_eq!(server.send(&site.token, "\"a-1\"", SNAPSHOTS, b"{}").problem().status, 422, "its body is another");
    // After a day it is as any other.
    site.tamper(&["UPDATE kept_answers SET begun_at = begun_at - 86401"]);
    assert_ne!(server.send(&site.token, "\"a-1\"", SNAPSHOTS, b"").text(), first.text());
}

#[test]
fn an_upload_is_told_apart_by_its_bytes() {
    let site = Site::new();
    let server = site.start();
    let (path, mut large) = (upload_path("stable"), hi("1.0"));
    large.content = (0..200_000u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    let deb = large.signed_by(&site.package_key);
    let send = |key: &str, body: &[u8]| server.send(&site.token, key, &path, body);
    assert_eq!(send("\"up\"", b"no package").problem().status, 422);
    let first = send("\"up\"", &deb);
    assert_eq!(first.status, 201, "what was refused leaves the key free: {}", first.text());
    let again = send("\"up\"", &deb);
    assert_eq!((again.status, again.published().created), (201, true), "answered as the first time");
    assert!(!send("\"other\"", &deb).published().created);
    let mut longer = deb.clone();
    longer.push(0);
    for other in [&longer[..], &deb[..deb.len() - 1], b"", &hi("2.0").signed_by(&site.package_key)] {
        let refused = send("\"up\"", other).problem();
        assert_eq!((refused.status, refused.title.as_str()), (422, "Key used before"));
    }
    assert_eq!(server.check_suite().len(), 1);
    // A tar that ends before its body does.
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(deb.len() as u64);
    tar.append_data(&mut header, "hi.deb", &deb[..]).unwrap();
    let tar = [tar.into_inner().unwrap(), vec![0; 100_000]].concat();
    let import = || server.send(&site.token, "\"tar\"", &import_path("stable"), &tar);
    let first = import();
    assert_eq!((first.status, import().text()), (200, first.text()));
}

#[test]
fn while_the_first_is_under_way_the_second_is_told_so_and_a_killed_one_may_come_again() {
    let site = Site::new();
    let mut server = site.start();
    assert_eq!(server.suites(), 1);
    let deb = hi("1.0").signed_by(&site.package_key);
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nIdempotency-Key: \"k\"\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        upload_path("stable"),
        site.token,
        deb.len()
    );
    let mut connection = TcpStream::connect(server.bases[0].strip_prefix("http://").unwrap()).unwrap();
    connection.write_all(head.as_bytes()).unwrap();
    connection.read_exact(&mut [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()]).unwrap();
    let second = server.send(&site.token, "\"k\"", &upload_path("stable"), &deb).problem();
    assert_eq!((second.status, second.title.as_str()), (409, "Request in progress"));
    server.kill();
    let server = site.start();
    let third = server.send(&site.token, "\"k\"", &upload_path("stable"), &deb);
    assert_eq!(third.status, 201, "{}", third.text());
}

#[test]
fn what_cannot_be_a_key_is_refused_and_nothing_is_done() {
    let site = Site::new();
    let server = site.start();
    for key in ["\"\"", "bare", "\"a b\"", &format!("\"{}\"", "x".repeat(65))] {
        let refused = server.send(&site.token, key, SNAPSHOTS, b"").problem();
        assert!(refused.status == 400 && refused.detail.contains("Idempotency-Key"), "{refused:?}");
    }
    let secret = server.send(&site.token, "\"k\"", "/api/v1/tokens", br#"{"name":"ci","role":"viewer"}"#).problem();
    assert!(secret.status == 400 && secret.detail.contains("secret"), "{secret:?}");
    assert_eq!(server.send("dft_no", "\"k\"", SNAPSHOTS, b"").problem().status, 401);
    assert_eq!(server.suites(), 1);
}

#[test]
fn the_oldest_answers_of_a_token_make_room() {
    let site = Site::new();
    let server = site.start();
    let now = jiff::Timestamp::now().as_second();
    block_on(async {
        sqlx::any::install_default_drivers();
        let database = sqlx::AnyPool::connect(&site.database_url()).await.unwrap();
        let rows: Vec<String> = (0..1100)
            .map(|n| format!("((SELECT id FROM tokens), 'k{n}', '', {}, '', '', 0, 201, '')", now - 2000 + n))
            .collect();
        let statement = format!("INSERT INTO kept_answers VALUES {}", rows.join(", "));
        database.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statement))).await.unwrap();
        assert_eq!(server.send(&site.token, "\"new\"", SNAPSHOTS, b"").status, 201);
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM kept_answers").fetch_one(&database).await.unwrap();
        assert_eq!(count, 1000, "at scale: {AT_SCALE}");
        database.close().await;
    });
}
