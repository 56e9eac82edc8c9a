//! Nothing that was acknowledged is lost, and nothing half-published is seen, however the server ends.

use crate::package::hi;
use crate::running::Site;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[test]
fn a_restart_loses_nothing() {
    let site = Site::new();
    let server = site.start();
    let deb = hi("1.0").signed_by(&site.package_key);
    server.publish(&deb).published();
    let before = server.inrelease();
    assert!(server.stop(), "SIGTERM is a clean end");
    let server = site.start();
    assert_eq!(server.inrelease(), before);
    assert_eq!(server.check_suite(), ["hi 1.0".to_owned()].into());
    assert!(!server.publish(&deb).published().created);
}

#[test]
fn killed_while_publishing() {
    // One upload takes some 10 ms; the moment of death moves through it and beyond.
    for first_delay in [1, 9, 17] {
        let site = Site::new();
        let mut acknowledged = BTreeSet::new();
        for round in 0..4 {
            kill_while_uploading(&site, round, Duration::from_millis(first_delay + 2 * round), &mut acknowledged);
        }
        let server = site.start();
        let published = server.check_suite();
        assert!(acknowledged.is_subset(&published));
        assert_eq!(site.stored("pool").len(), published.len(), "no file is left of what was not published");
        assert_eq!(site.files("incoming").len(), 0);
        server.publish(&hi("99").signed_by(&site.package_key)).published();
    }
}

fn kill_while_uploading(site: &Site, round: u64, delay: Duration, acknowledged: &mut BTreeSet<String>) {
    let mut server = site.start();
    // Whatever the last kill left, readers see a whole suite with everything that was acknowledged.
    let published = server.check_suite();
    assert!(acknowledged.is_subset(&published), "lost: {:?}", acknowledged.difference(&published));
    let versions: Vec<String> = (0..2).map(|n| format!("{round}.{n}")).collect();
    let debs: Vec<_> = versions.iter().map(|version| hi(version).signed_by(&site.package_key)).collect();
    let process = server.process_id();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(delay);
            rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
        });
        for (version, deb) in versions.iter().zip(&debs) {
            match server.try_publish("stable", &server.token, deb) {
                Ok(answer) => assert!(answer.published().created && acknowledged.insert(format!("hi {version}"))),
                Err(_) => break,
            }
        }
    });
    server.kill();
}

#[test]
fn a_damaged_index_is_built_again() {
    let site = Site::new();
    let server = site.start();
    server.publish(&hi("1.0").signed_by(&site.package_key)).published();
    let date = server.release().release().date;
    assert!(server.stop());
    for name in site.stored("indexes") {
        site.overwrite(&format!("indexes/{name}"), b"damaged");
    }
    let server = site.start();
    assert_eq!(server.check_suite(), ["hi 1.0".to_owned()].into());
    assert!(server.release().release().date > date);
}

#[test]
fn a_release_near_its_end_is_signed_anew_at_start() {
    let site = Site::new();
    let server = site.start();
    server.publish(&hi("1.0").signed_by(&site.package_key)).published();
    let before = server.release();
    assert!(server.stop());
    // As if six of the seven days had passed.
    site.tamper(&["UPDATE generations SET valid_until = valid_until - 6 * 86400"]);
    let server = site.start();
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.release().release().date == before.release().date {
        assert!(Instant::now() < deadline, "the Release was not signed anew");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(server.release().release().date > before.release().date);
    assert_eq!(server.check_suite(), ["hi 1.0".to_owned()].into());
}

#[test]
fn a_publication_is_built_on_what_another_process_published() {
    let site = Site::new();
    let server = site.start();
    server.publish(&hi("1.0").signed_by(&site.package_key)).published();
    let before = server.inrelease();
    // As if another process had published in the meantime.
    site.tamper(&[
        "INSERT INTO generations SELECT suite, number + 1, date + 1, valid_until, release, inrelease, release_gpg \
             FROM generations WHERE number = 2",
        "INSERT INTO generation_files SELECT suite, number + 1, path, sha256, size FROM generation_files \
             WHERE number = 2",
        "UPDATE suites SET generation = 3",
    ]);
    server.publish(&hi("2.0").signed_by(&site.package_key)).published();
    assert_ne!(server.inrelease(), before);
    // The blocks of the other one's generation are not there; the packages are.
    assert_eq!(server.check_suite().len(), 2);
}
