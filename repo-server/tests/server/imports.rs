//! Many packages at once.

use crate::package::{Package, hi, new_key};
use crate::running::{Answer, Server, Site, agent};
use crate::suites::names;
use fleet_protocol::publishing::{Imported, import_path};
use fleet_protocol::suites::{SuiteContents, contents_path};
use std::collections::BTreeSet;
use std::io::Read as _;

fn tar(debs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, deb) in debs {
        let mut header = tar::Header::new_gnu();
        header.set_size(deb.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, deb.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

impl Server {
    fn import(&self, suite: &str, query: &str, body: &[u8]) -> Answer {
        let request = agent().post(self.url(&format!("{}{query}", import_path(suite))));
        Answer::of(request.header("Authorization", format!("Bearer {}", self.token)).send(body))
    }

    fn imported(&self, suite: &str, query: &str, body: &[u8]) -> Imported {
        let answer = self.import(suite, query, body);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap()
    }
}

#[test]
fn an_import_takes_what_is_good_and_tells_what_is_not() {
    let site = Site::new();
    let server = site.start();
    let package = |name: &'static str, version: &str| Package { name, ..hi(version) };
    server.publish(&package("held", "1").signed_by(&site.package_key)).published();
    let other = Package { content: b"other".to_vec(), ..package("held", "1") };
    let debs = [
        ("new.deb", package("new", "1").signed_by(&site.package_key)),
        ("held.deb", package("held", "1").signed_by(&site.package_key)),
        ("other.deb", other.signed_by(&site.package_key)),
        ("stranger.deb", package("stranger", "1").signed_by(&new_key())),
        ("unsigned.deb", package("unsigned", "1").unsigned()),
        ("none.deb", b"no package".to_vec()),
    ];
    let imported = server.imported("stable", "", &tar(&debs));
    assert_eq!((imported.added, imported.held, imported.refused), (1, 1, 4), "{imported:?}");
    assert_eq!(server.check_suite(), names(&["held 1", "new 1"]));
    let refused: BTreeSet<&str> = imported.refusals.iter().map(|it| it.name.as_str()).collect();
    assert!(refused.is_superset(&["none.deb", "stranger.deb", "unsigned.deb"].into()), "{refused:?}");
    assert_eq!(site.files("incoming"), BTreeSet::new());
    let unsigned = server.imported("stable", "?unsigned=true", &tar(&debs[4..5]));
    assert_eq!((unsigned.added, unsigned.refused), (1, 0), "{unsigned:?}");
    let again = server.imported("stable", "?unsigned=true", &tar(&debs[..2]));
    assert_eq!((again.added, again.held, again.refused), (0, 2, 0), "{again:?}");
    // A page of two at a time.
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.ask("GET", &format!("{}?limit=2&after={after}", contents_path("stable")), None);
        let page: SuiteContents = serde_json::from_slice(&page.body).unwrap();
        listed.extend(page.packages.into_iter().map(|it| it.package));
        let Some(next) = page.next else { break };
        after = next;
    }
    assert_eq!(listed, ["held", "new", "unsigned"]);
}

#[test]
fn an_import_that_breaks_off_leaves_nothing() {
    let site = Site::new();
    let server = site.start();
    let whole =
        tar(&[("a.deb", hi("1.0").signed_by(&site.package_key)), ("b.deb", hi("2.0").signed_by(&site.package_key))]);
    for (body, query, status) in [
        (&whole[..whole.len() / 2], "", 400),
        (b"no tar at all", "", 400),
        (b"", "", 400),
        (&whole, "?componen=x", 400),
    ] {
        let answer = server.import("stable", query, body);
        assert_eq!(answer.problem().status, status, "{}", answer.problem().detail);
    }
    assert_eq!(server.check_suite(), BTreeSet::new());
    assert_eq!((site.stored("pool"), site.files("incoming")), (BTreeSet::new(), BTreeSet::new()));
}

#[test]
fn imports_and_uploads_of_the_same_packages_at_once_agree_on_what_the_repository_holds() {
    const PACKAGES: [&str; 12] = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11"];
    let site = Site::new();
    let server = site.start();
    // Each has the same versions with content of its own.
    let deb = |who: usize, name: &'static str| {
        Package { name, content: format!("{who}").into_bytes(), ..hi("1.0") }.signed_by(&site.package_key)
    };
    let imports: Vec<Vec<u8>> = (0..3).map(|who| tar(&PACKAGES.map(|name| ("x.deb", deb(who, name))))).collect();
    let uploads: Vec<Vec<u8>> = PACKAGES.iter().map(|name| deb(3, name)).collect();
    let (added, uploaded) = std::thread::scope(|scope| {
        let importing: Vec<_> =
            imports.iter().map(|body| scope.spawn(|| server.imported("stable", "", body).added)).collect();
        let created = |deb: &Vec<u8>| server.publish(deb).status == 201;
        let uploaded = uploads.iter().filter(|deb| created(deb)).count();
        (importing.into_iter().map(|it| it.join().unwrap()).sum::<usize>(), uploaded)
    });
    assert_eq!(added + uploaded, PACKAGES.len(), "{added} imported, {uploaded} uploaded");
    // It compares every package with its place in the index.
    let expected: BTreeSet<String> = PACKAGES.iter().map(|name| format!("{name} 1.0")).collect();
    assert_eq!(server.check_suite(), expected);
    assert_eq!(site.stored("pool").len(), PACKAGES.len());
}

#[test]
fn an_import_whose_tar_has_an_endless_name_takes_no_memory() {
    const NAME: u64 = 300 << 20;
    let site = Site::new();
    let server = site.start();
    let mut long = tar::Header::new_gnu();
    long.set_entry_type(tar::EntryType::GNULongName);
    long.set_size(NAME);
    long.set_cksum();
    let good = tar(&[("good.deb", hi("1.0").signed_by(&site.package_key))]);
    let body = std::io::repeat(b'a').take(NAME);
    let mut body = long.as_bytes().chain(body).chain(&good[..]);
    let request = agent().post(server.url(&import_path("stable")));
    let request = request.header("Authorization", format!("Bearer {}", site.token));
    let answer = Answer::of(request.send(ureq::SendBody::from_reader(&mut body)));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(server.check_suite(), names(&["hi 1.0"]));
    let peak = server.peak();
    assert!(peak < 200 << 20, "{} MiB", peak >> 20);
}
