//! What only holds where tables are in PostgreSQL and packages in a bucket: several processes, redirects, and what happens
//! when one of them is not there.

use crate::backends::{AT_SCALE, AtScale, Backend, execute};
use crate::package::hi;
use crate::postgres::Postgres;
use crate::running::{Answer, Site, agent};
use std::collections::BTreeSet;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// None where the tests run on SQLite and a folder.
fn at_scale(site: &Site) -> Option<&AtScale> {
    match &site.backend {
        Backend::Embedded => None,
        Backend::AtScale(at_scale) => Some(at_scale),
    }
}

#[test]
fn a_package_of_several_parts_is_stored_whole() {
    let site = Site::new();
    let server = site.start();
    let mut package = hi("1.0");
    // Noise, so that it stays as large as it is.
    let mut state = 1u64;
    package.content = (0..9 << 20)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        })
        .collect();
    let deb = package.signed_by(&site.package_key);
    assert!(deb.len() > 9 << 20);
    let path = format!("/debian/{}", server.publish(&deb).published().filename);
    assert!(server.body(&path) == deb);
    let part = server.get(&path, &[("Range", "bytes=8388600-8388619")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &deb[8388600..8388620]));
    assert_eq!(part.header("content-range"), format!("bytes 8388600-8388619/{}", deb.len()));
}

#[test]
fn clients_are_sent_to_the_bucket_if_that_is_asked_for() {
    let site = Site::new();
    let Some(at_scale) = at_scale(&site) else { return };
    let server = site.start_with(&["--http", "127.0.0.1:0", "--storage-redirect"]);
    let deb = hi("1.0~rc1").signed_by(&site.package_key);
    let path = format!("/debian/{}", server.publish(&deb).published().filename);
    let direct: ureq::Agent = ureq::Agent::config_builder().max_redirects(0).build().into();
    let answer = Answer::of(direct.get(server.url(&path)).call());
    assert_eq!((answer.status, answer.header("cache-control")), (307, "no-store"));
    let location = answer.header("location");
    assert!(location.starts_with(&at_scale.endpoint) && location.contains("X-Amz-Signature="), "{location}");
    assert!(server.body(&path) == deb, "and there it is");
    assert_eq!(server.check_suite().len(), 1);
    let head = Answer::of(agent().head(server.url(&path)).call());
    assert_eq!((head.status, head.header("content-length")), (200, deb.len().to_string().as_str()));
}

#[test]
fn two_processes_publish_to_one_repository() {
    let site = Site::new();
    if !AT_SCALE {
        return;
    }
    let copy = site.data.with_file_name("copy");
    assert!(Command::new("cp").arg("-a").arg(&site.data).arg(&copy).status().unwrap().success());
    let (one, two) = (site.start(), site.start_on(&copy, &["--http", "127.0.0.1:0"]));
    let versions: Vec<String> = (0..6).map(|n| format!("1.{n}")).collect();
    std::thread::scope(|scope| {
        for (version, server) in versions.iter().zip([&one, &two].into_iter().cycle()) {
            let deb = hi(version).signed_by(&site.package_key);
            scope.spawn(move || assert_eq!(server.publish(&deb).status, 201, "{version}"));
        }
    });
    let all: BTreeSet<String> = versions.iter().map(|version| format!("hi {version}")).collect();
    let newest = [&one, &two].map(|server| server.release()).into_iter().max_by_key(|release| release.release().date);
    // Whichever process a reader asks next has what the Release names.
    for file in &newest.unwrap().release().files {
        let path = format!("/debian/dists/stable/{}", file.by_hash_path());
        assert_eq!([one.get(&path, &[]).status, two.get(&path, &[]).status], [200, 200], "{}", file.path);
    }
    assert_eq!((one.check_suite(), two.check_suite()), (all.clone(), all.clone()));
    assert_eq!(site.stored("pool").len(), all.len());

    // The same package at both: one takes it in, the other finds it there.
    let deb = hi("2.0").signed_by(&site.package_key);
    let mut answers = std::thread::scope(|scope| {
        [&one, &two].map(|server| scope.spawn(|| server.publish(&deb).status)).map(|it| it.join().unwrap())
    });
    answers.sort_unstable();
    assert!(answers == [200, 201], "{answers:?}");
}

#[test]
fn wrong_places_are_named_without_their_secrets() {
    let mut site = Site::new();
    let Backend::AtScale(at_scale) = &mut site.backend else { return };
    let good = at_scale.database.clone();
    at_scale.database = "postgres://debfleet:not-shown@127.0.0.1:1/fleet".to_owned();
    let error = site.fail(&["--http", "127.0.0.1:0"]);
    assert!(error.contains("fleet of PostgreSQL on 127.0.0.1:1") && error.contains("refused"), "{error}");
    assert!(!error.contains("not-shown"), "{error}");
    let Backend::AtScale(at_scale) = &mut site.backend else { return };
    at_scale.database = good;
    let bucket = std::mem::replace(&mut at_scale.bucket, "elsewhere".to_owned());
    let error = site.fail(&["--http", "127.0.0.1:0"]);
    assert!(error.contains("s3://elsewhere/ours") && error.contains("NoSuchBucket"), "{error}");
    let Backend::AtScale(at_scale) = &mut site.backend else { return };
    at_scale.bucket = bucket;
    site.start();
}

#[test]
fn a_bucket_with_packages_is_not_taken_for_a_new_repository() {
    let site = Site::new();
    if !AT_SCALE {
        return;
    }
    let server = site.start();
    server.publish(&hi("1.0").signed_by(&site.package_key)).published();
    site.tamper(&["DROP SCHEMA public CASCADE", "CREATE SCHEMA public"]);
    drop(server);
    let other = site.data.with_file_name("other");
    let output =
        site.command().arg("init").arg("--data").arg(&other).arg("--package-key").arg(&site.package_ring).output();
    let output = output.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("holds packages already"));
    assert!(!other.exists());
}

#[test]
fn a_package_that_the_bucket_did_not_take_may_be_sent_again() {
    let mut site = Site::new();
    let token = site.token.clone();
    let Backend::AtScale(at_scale) = &mut site.backend else { return };
    // A way to the bucket that can be closed and opened again.
    let bucket = at_scale.endpoint.strip_prefix("http://").unwrap().to_owned();
    let gate = Gate::open("127.0.0.1:0", &bucket);
    at_scale.endpoint = format!("http://{}", gate.address);
    let server = site.start();
    let before = server.inrelease();
    let deb = hi("1.0").signed_by(&site.package_key);
    let address = gate.address.clone();
    gate.close();
    let answer = server.try_publish("stable", &token, &deb).unwrap();
    assert_eq!(answer.status, 500, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(server.inrelease(), before);
    let _gate = Gate::open(&address, &bucket);
    server.publish(&deb).published();
    assert_eq!(server.check_suite().len(), 1);
}

/// Passes connections on to another address.
struct Gate {
    address: String,
    is_open: Arc<AtomicBool>,
    listening: JoinHandle<()>,
}

impl Gate {
    fn open(address: &str, to: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let (address, to, is_open) = (listener.local_addr().unwrap().to_string(), to.to_owned(), Arc::new(true.into()));
        let passing: Arc<AtomicBool> = Arc::clone(&is_open);
        let listening = std::thread::spawn(move || {
            let mut passed = Vec::new();
            for connection in listener.incoming() {
                if !passing.load(Ordering::SeqCst) {
                    break;
                }
                let (near, far) = (connection.unwrap(), TcpStream::connect(&to).unwrap());
                for (mut from, mut to) in
                    [(&near, &far), (&far, &near)].map(|(a, b)| (a.try_clone().unwrap(), b.try_clone().unwrap()))
                {
                    std::thread::spawn(move || {
                        std::io::copy(&mut from, &mut to).and_then(|_| to.shutdown(Shutdown::Write))
                    });
                }
                passed.push(near);
            }
            for connection in passed {
                let _ = connection.shutdown(Shutdown::Both);
            }
        });
        Self { address, is_open, listening }
    }

    /// Ends what was passed on, and refuses what comes.
    fn close(self) {
        self.is_open.store(false, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(&self.address);
        self.listening.join().unwrap();
    }
}

#[test]
fn a_database_that_goes_away_loses_nothing() {
    let mut site = Site::without_data();
    let Backend::AtScale(at_scale) = &mut site.backend else { return };
    let postgres = Postgres::start();
    execute(&postgres.url("postgres"), &["CREATE DATABASE fleet".to_owned()]);
    at_scale.database = postgres.url("fleet");
    let output = site.init();
    assert!(output.status.success(), "{output:?}");
    site.remember_token(&output);
    let server = site.start();
    server.publish(&hi("1.0").signed_by(&site.package_key)).published();
    let before = (server.inrelease(), site.stored("pool"));
    drop(postgres);
    let answer = server.publish(&hi("2.0").signed_by(&site.package_key));
    assert_eq!(answer.status, 500, "{}", String::from_utf8_lossy(&answer.body));
    assert!(!answer.problem().detail.contains("not-shown"));
    assert_eq!((server.inrelease(), site.stored("pool")), before);
}
