//! Work on what suites hold, without an upload.

use crate::package::hi;
use crate::running::{Answer, Server, Site, agent};
use fleet_protocol::suites::{Changed, SUITES_PATH, SuiteInfo, package_path, phase_path, promotions_path};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(crate) fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn changed(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let changed: Changed = serde_json::from_slice(&answer.body).unwrap();
    changed.packages.iter().map(|it| format!("{} {}", it.package, it.version)).collect()
}

impl Server {
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let authorization = format!("Bearer {}", self.token);
        let send = |request: ureq::RequestBuilder<ureq::typestate::WithBody>| {
            let request = request.header("Authorization", &authorization).content_type("application/json");
            Answer::of(request.send(body.unwrap_or_default().to_string()))
        };
        match method {
            "POST" => send(agent().post(self.url(path))),
            "PUT" => send(agent().put(self.url(path))),
            "DELETE" => Answer::of(agent().delete(self.url(path)).header("Authorization", &authorization).call()),
            _ => self.get(path, &[("Authorization", &authorization)]),
        }
    }

    pub(crate) fn ask_to_patch(&self, path: &str, body: Value) -> Answer {
        let request = agent().patch(self.url(path)).header("Authorization", format!("Bearer {}", self.token));
        Answer::of(request.content_type("application/json").send(body.to_string()))
    }

    fn new_suite(&self, name: &str) -> u16 {
        self.ask("POST", SUITES_PATH, Some(json!({ "name": name }))).status
    }
}

#[test]
fn a_package_is_promoted_as_it_is_and_withdrawn_from_one_suite_only() {
    let site = Site::new();
    let server = site.start();
    assert_eq!((server.new_suite("beta"), server.new_suite("beta"), server.new_suite("../x")), (201, 200, 400));
    for version in ["1.0", "2.0"] {
        server.try_publish("beta", &site.token, &hi(version).signed_by(&site.package_key)).unwrap().published();
    }
    let files = site.stored("pool");
    let promotion = json!({ "from": "beta", "package": "hi", "version": "1.0" });
    let promote = || changed(&server.ask("POST", &promotions_path("stable"), Some(promotion.clone())));
    assert_eq!(promote(), ["hi 1.0"]);
    assert_eq!(promote(), [""; 0], "it is there already");
    assert_eq!(site.stored("pool"), files, "nothing was uploaded or copied");
    assert_eq!(server.check("stable"), names(&["hi 1.0"]));
    let withdrawn = server.ask("DELETE", &format!("{}?version=1.0", package_path("beta", "hi")), None);
    assert_eq!(changed(&withdrawn), ["hi 1.0"]);
    assert_eq!((server.check("beta"), server.check("stable")), (names(&["hi 2.0"]), names(&["hi 1.0"])));
    let again = server.ask("DELETE", &format!("{}?version=1.0", package_path("beta", "hi")), None);
    assert!(again.problem().detail.contains("the suite beta holds no hi 1.0"), "{}", again.problem().detail);
    assert!(server.stop());
    let server = site.start();
    assert_eq!((server.check("beta"), server.check("stable")), (names(&["hi 2.0"]), names(&["hi 1.0"])));
}

#[test]
fn a_phase_stands_in_the_index_until_it_is_for_all() {
    let site = Site::new();
    let server = site.start();
    server.publish(&hi("1.0").signed_by(&site.package_key)).published();
    let phase =
        |percentage: u8| server.ask("PUT", &phase_path("stable", "hi"), Some(json!({ "percentage": percentage })));
    let index = || String::from_utf8(server.body("/debian/dists/stable/main/binary-amd64/Packages")).unwrap();
    assert_eq!(changed(&phase(20)), ["hi 1.0"]);
    assert!(index().contains("\nPhased-Update-Percentage: 20\n"), "{}", index());
    assert_eq!(changed(&phase(100)), ["hi 1.0"]);
    assert!(!index().contains("Phased"), "{}", index());
    assert_eq!(phase(101).problem().status, 400);
    assert_eq!(server.check_suite(), names(&["hi 1.0"]));
}

#[test]
fn components_and_contents_are_published() {
    let site = Site::new();
    let server = site.start();
    let deb = hi("1.0").signed_by(&site.package_key);
    server.try_publish("stable", &site.token, &hi("2.0").signed_by(&site.package_key)).unwrap().published();
    let url = server.url("/api/v1/suites/stable/packages?component=contrib");
    let answer = agent().post(url).header("Authorization", format!("Bearer {}", site.token)).send(&deb[..]);
    assert_eq!(Answer::of(answer).published().filename, "pool/contrib/h/hi/hi_1.0_all.deb");
    assert_eq!(server.release().release().components, ["contrib", "main"]);
    assert_eq!(server.check_suite(), names(&["hi 1.0", "hi 2.0"]));
    let packed = server.body("/debian/dists/stable/contrib/Contents-arm64.gz");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(&packed[..]), &mut text).unwrap();
    assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["opt/hi/__VERSION__", "hi"]);
}

#[test]
fn a_snapshot_stays_as_it_was_and_can_be_returned_to() {
    let site = Site::new();
    let server = site.start();
    for version in ["1.0", "2.0"] {
        server.publish(&hi(version).signed_by(&site.package_key)).published();
    }
    let made = server.ask("POST", "/api/v1/suites/stable/snapshots", None);
    assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
    let snapshot: SuiteInfo = serde_json::from_slice(&made.body).unwrap();
    assert!(snapshot.name.starts_with("stable-2"), "{}", snapshot.name);
    server.publish(&hi("3.0").signed_by(&site.package_key)).published();
    changed(&server.ask("DELETE", &format!("{}?version=1.0", package_path("stable", "hi")), None));
    let frozen = names(&["hi 1.0", "hi 2.0"]);
    assert_eq!((server.check(&snapshot.name), server.check_suite()), (frozen.clone(), names(&["hi 2.0", "hi 3.0"])));
    // It takes nothing in and gives nothing away.
    let refused = server.try_publish(&snapshot.name, &site.token, &hi("4.0").signed_by(&site.package_key)).unwrap();
    assert!(refused.problem().detail.contains("is a snapshot, which never changes"), "{}", refused.problem().detail);
    assert_eq!(server.ask("DELETE", &package_path(&snapshot.name, "hi"), None).status, 409);
    let to = |name: &str| server.ask("POST", "/api/v1/suites/stable/return", Some(json!({ "name": name })));
    assert_eq!(to("stable").status, 409, "it is no snapshot");
    assert_eq!(to(&snapshot.name).status, 200);
    assert_eq!(server.check_suite(), frozen);
    assert!(server.stop());
    let server = site.start();
    assert_eq!((server.check_suite(), server.check(&snapshot.name)), (frozen.clone(), frozen.clone()));
    server.publish(&hi("5.0").signed_by(&site.package_key)).published();
    assert_eq!(server.check(&snapshot.name), frozen);
}

#[test]
fn snapshots_of_one_second_have_names_of_their_own() {
    let site = Site::new();
    let server = site.start();
    let mut made = BTreeSet::new();
    for _ in 0..5 {
        let answer = server.ask("POST", "/api/v1/suites/stable/snapshots", None);
        assert_eq!(answer.status, 201, "{}", answer.text());
        made.insert(answer.text());
    }
    assert_eq!(made.len(), 5);
}

#[test]
fn what_a_suite_does_not_keep_goes_and_leaves_the_pool_when_no_index_names_it() {
    let site = Site::new();
    let server = site.start();
    for version in ["1.9", "1.10", "2.0"] {
        server.publish(&hi(version).signed_by(&site.package_key)).published();
    }
    let set = server.ask("PUT", "/api/v1/suites/stable/retention", Some(json!({ "versions": 2 })));
    assert_eq!(set.status, 200, "{}", String::from_utf8_lossy(&set.body));
    assert_eq!(server.check_suite(), names(&["hi 1.10", "hi 2.0"]));
    assert_eq!(site.stored("pool").len(), 3, "an index that is still valid names it");
    assert!(server.stop());
    // As if it had been found eight days ago.
    site.tamper(&["UPDATE packages SET unlisted_at = 1 WHERE version = '1.9'"]);
    let server = site.start();
    site.wait_for_stored("pool", 2);
    assert_eq!(server.check_suite(), names(&["hi 1.10", "hi 2.0"]));
    // The same version may come again, and goes again.
    server.publish(&hi("1.9").signed_by(&site.package_key)).published();
    assert_eq!(server.check_suite(), names(&["hi 1.10", "hi 1.9", "hi 2.0"]));
    assert!(server.stop());
    let mut server = site.start_logging(&["--http", "127.0.0.1:0"]);
    server.logged("withdrew packages that the suite does not keep");
    assert_eq!(server.check_suite(), names(&["hi 1.10", "hi 2.0"]));
    let newest = &server.audit("").entries[0];
    assert_eq!((newest.action.as_str(), newest.actor.as_str()), ("suite.withdraw", "debfleet-server"));
}

#[test]
fn what_a_device_has_installed_stays_in_its_suite() {
    let site = Site::new();
    let server = site.start();
    for version in ["1.9", "1.10", "2.0"] {
        server.publish(&hi(version).signed_by(&site.package_key)).published();
    }
    assert_eq!(server.ask("POST", "/api/v1/things/lamp", Some(json!({}))).status, 201);
    let report = |version| {
        let packages = json!({ "state": { "reported": { "hi": { "version": version } } } });
        assert_eq!(server.ask("POST", "/things/lamp/shadow?name=$package", Some(packages)).status, 200);
    };
    let keep_one = || server.ask("PUT", "/api/v1/suites/stable/retention", Some(json!({ "versions": 1 }))).status;
    report("1.9");
    assert_eq!(keep_one(), 200);
    assert_eq!(server.check_suite(), names(&["hi 1.9", "hi 2.0"]));
    report("2.0");
    assert_eq!(keep_one(), 200);
    assert_eq!(server.check_suite(), names(&["hi 2.0"]));
}

#[test]
fn what_a_suite_keeps_is_noted_also_where_nothing_can_be_withdrawn_now() {
    let site = Site::new();
    let server = site.start();
    for version in ["1.0", "2.0"] {
        server.publish(&hi(version).signed_by(&site.package_key)).published();
    }
    let set =
        |versions| server.ask("PUT", "/api/v1/suites/stable/retention", Some(json!({ "versions": versions }))).status;
    let noted = || server.audit("").entries.into_iter().map(|entry| entry.action).take(2).collect::<Vec<_>>();
    site.tamper(&["ALTER TABLE generation_files RENAME TO hidden"]);
    assert_eq!(set(1), 500);
    assert_eq!(noted(), ["suite.retention", "package.publish"]);
    site.tamper(&["ALTER TABLE hidden RENAME TO generation_files"]);
    assert_eq!(set(1), 200);
    assert_eq!(noted(), ["suite.withdraw", "suite.retention"]);
    assert_eq!(server.check_suite(), names(&["hi 2.0"]));
}
