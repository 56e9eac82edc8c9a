//! Backups are made of a running server, and a server made of one serves what it held.

use crate::backends::AT_SCALE;
use crate::package::hi;
use crate::running::{Server, Site};
use debian_formats::openpgp::Keyring;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

fn back_up(site: &Site, to: &Path) -> Output {
    site.command().arg("backup").arg("--data").arg(&site.data).arg("--to").arg(to).output().unwrap()
}

fn restore(site: &Site, from: &Path) -> Output {
    site.command().arg("restore").arg("--from").arg(from).arg("--data").arg(&site.data).output().unwrap()
}

fn error_of(output: &Output) -> String {
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A site beside another, with nothing in it yet.
fn empty_site(like: &Site) -> Site {
    let mut site = Site::without_data();
    site.token.clone_from(&like.token);
    site
}

fn publish(site: &Site, server: &Server, version: &str) -> String {
    server.publish(&hi(version).signed_by(&site.package_key)).published();
    format!("hi {version}")
}

#[test]
fn a_backup_made_while_packages_are_published_is_restored() {
    let site = Site::new();
    let backup = site.data.with_file_name("backup");
    let server = site.start();
    let before: BTreeSet<String> = (0..3).map(|n| publish(&site, &server, &format!("1.{n}"))).collect();
    if AT_SCALE {
        let error = error_of(&back_up(&site, &backup));
        assert!(error.contains("pg_dump") && !error.contains("not-shown"), "{error}");
        assert!(!backup.exists());
        return;
    }
    let (mut all, mut inreleases) = (before.clone(), BTreeSet::from([server.inrelease()]));
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let publish = |n| (publish(&site, &server, &format!("2.{n}")), server.inrelease());
            (0..3).map(publish).collect::<Vec<_>>()
        });
        let output = back_up(&site, &backup);
        assert!(output.status.success(), "{output:?}");
        for (package, inrelease) in publishing.join().unwrap() {
            all.insert(package);
            inreleases.insert(inrelease);
        }
    });
    drop(server);

    let other = empty_site(&site);
    let output = restore(&other, &backup);
    assert!(output.status.success(), "{output:?}");
    let server = other.start();
    // Readers may have seen a later Release than the backup's, so they are shown a new one.
    assert!(!inreleases.contains(&server.inrelease()), "readers are shown the Release of the backup");
    let restored = server.check_suite();
    assert!(restored.is_superset(&before) && restored.is_subset(&all), "{restored:?}");
    assert_eq!(other.files("pool").len(), restored.len());
    let mine = Keyring::from_bytes(&server.body("/debian/repository.gpg")).unwrap().fingerprints().unwrap();
    let theirs = Keyring::from_bytes(&std::fs::read(site.data.join("repository.gpg")).unwrap()).unwrap();
    assert_eq!(mine, theirs.fingerprints().unwrap());
    publish(&site, &server, "3.0");

    let error = error_of(&restore(&other, &backup));
    assert!(error.contains("not empty"), "{error}");
    let error = error_of(&back_up(&site, &backup));
    assert!(error.contains("not empty"), "{error}");
}

#[test]
fn a_damaged_or_unfinished_backup_is_not_served() {
    if AT_SCALE {
        return;
    }
    let site = Site::new();
    let backup = site.data.with_file_name("backup");
    let server = site.start();
    publish(&site, &server, "1.0");
    assert!(back_up(&site, &backup).status.success());
    let package = "pool/main/h/hi/hi_1.0_all.deb";
    let good = std::fs::read(backup.join(package)).unwrap();

    let other = empty_site(&site);
    durable_files::replace(&backup.join(package), b"damaged", 0o644).unwrap();
    let error = error_of(&restore(&other, &backup));
    assert!(error.contains(package) && error.contains("damaged"), "{error}");
    assert!(other.fail(&["--http", "127.0.0.1:0"]).contains("not completely"));
    durable_files::remove(&backup.join(package)).unwrap();
    assert!(error_of(&restore(&other, &backup)).contains("is missing"));

    durable_files::replace(&backup.join(package), &good, 0o644).unwrap();
    durable_files::replace(&backup.join("unfinished-init"), b"", 0o644).unwrap();
    assert!(error_of(&restore(&other, &backup)).contains("no complete backup"));
    durable_files::remove(&backup.join("unfinished-init")).unwrap();
    assert!(restore(&other, &backup).status.success(), "it may be tried again");
    assert_eq!(other.start().check_suite(), ["hi 1.0".to_owned()].into());
    assert!(error_of(&back_up(&Site::without_data(), &backup.join("x"))).contains("holds no server's data"));
}

#[test]
fn a_package_that_goes_while_the_backup_is_made_is_not_missed_and_one_that_a_suite_holds_is() {
    if AT_SCALE {
        return;
    }
    let site = Site::new();
    let backup = site.data.with_file_name("backup");
    let server = site.start();
    for version in ["1.0", "2.0"] {
        publish(&site, &server, version);
    }
    // As if the tables were copied at the last moment before the server cleared its pool.
    site.tamper(&["DELETE FROM suite_packages WHERE sha256 = (SELECT sha256 FROM packages WHERE version = '1.0')"]);
    durable_files::remove(&site.data.join("pool/main/h/hi/hi_1.0_all.deb")).unwrap();
    let output = back_up(&site, &backup);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains(" 1 packages"));
    let other = empty_site(&site);
    let output = restore(&other, &backup);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(other.files("pool").len(), 1);

    durable_files::remove(&site.data.join("pool/main/h/hi/hi_2.0_all.deb")).unwrap();
    let error = error_of(&back_up(&site, &backup.with_extension("2")));
    assert!(error.contains("hi_2.0_all.deb is missing"), "{error}");
}

#[test]
fn two_do_not_fill_one_folder() {
    if AT_SCALE {
        return;
    }
    let site = Site::new();
    let backup = site.data.with_file_name("backup");
    durable_files::create_dir(&backup, 0o700).unwrap();
    let held = durable_files::Lock::acquire(&backup.join("lock")).unwrap();
    assert!(error_of(&back_up(&site, &backup)).contains("lock"));
    drop(held);
    assert!(back_up(&site, &backup).status.success());
    let other = empty_site(&site);
    durable_files::create_dir(&other.data, 0o755).unwrap();
    let held = durable_files::Lock::acquire(&other.data.join("lock")).unwrap();
    assert!(error_of(&restore(&other, &backup)).contains("lock"));
    drop(held);
    assert!(restore(&other, &backup).status.success());
}
