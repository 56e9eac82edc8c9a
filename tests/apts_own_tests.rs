//! apt's own integration tests of by-hash, valid-until and signed-by, on what our server publishes.
//!
//! They make archives of their own, which `debfleet-server` publishes here in their place
//! (`apts_own_tests/extra-environment`). Whatever else of a test is changed stands here as a `but`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::{AptsTest, run};
use std::process::Command;

/// Indexes are taken away from where they are by name: apt gets them by hash alone, in each way that it can be told to.
fn by_hash(test: AptsTest) {
    let by_server = test
        .but("setupaptarchive --no-update", "setupaptarchive --no-update\ncopywithoutannouncement unstable")
        // apt shows a package's origin, and its own archives have none.
        .but("(1.0 unstable [", "(1.0 debfleet:unstable [")
        // We publish no descriptions apart from Packages, so nothing is missing.
        .but("testsuccess grep '^Ign'", "testfailure grep '^Ign'")
        // What is missing over HTTP is not in the words of the method for files.
        .but("\"Get:1 file:${TMPWORKINGDIRECTORY}/aptarchive unstable InRelease\n", "\"")
        .but_between("File not found", "directory)", "404  Not Found")
        .but("file:${TMPWORKINGDIRECTORY}/aptarchive", "$archive")
        .passes(120);
    // Where nothing is forged it was our server's.
    let by_server: Vec<&str> = by_server.iter().map(String::as_str).collect();
    let has = |text: &str| by_server.iter().any(|path| path.starts_with(&format!("/debian/dists/unstable/{text}")));
    assert!(has("InRelease") && has("main/binary-i386/by-hash/SHA256/"), "{by_server:?}");
    assert!(!has("main/binary-i386/Packages"), "it was taken away: {by_server:?}");
}

#[test]
fn by_hash_from_files() {
    by_hash(AptsTest::new("test-apt-by-hash-update"));
}

#[test]
fn by_hash_from_a_bucket() {
    by_hash(AptsTest::at_scale("test-apt-by-hash-update"));
}

/// Each Release that is good or bad here is one of our server, at another time.
#[test]
fn valid_until() {
    AptsTest::new("test-releasefile-valid-until")
        // Our server announces i386 only where it has a package of it, and here it has none.
        .but("configarchitecture 'i386'", "configarchitecture 'amd64'")
        // The archive's Label, by which apt knows settings of one archive.
        .but("Testcases", "debfleet")
        .passes(100);
}

/// The same for Release files whose time has not come yet.
#[test]
fn date() {
    AptsTest::new("test-releasefile-date").but("configarchitecture 'i386'", "configarchitecture 'amd64'").passes(40);
}

/// An older Release of our server, which it could be after a backup was restored, changes nothing. Those without a Date are
/// forged.
#[test]
fn older_date() {
    AptsTest::new("test-releasefile-date-older")
        .but("configarchitecture 'i386'", "configarchitecture 'amd64'")
        .but("setupaptarchive --no-update", "copied=wheezy\nsetupaptarchive --no-update")
        .passes(120);
}

/// A source that brings its key along needs no other; without it nothing is trusted.
#[test]
fn signed_by() {
    let test = AptsTest::new("test-signed-by-option");
    let offered = String::from_utf8(test.published("stable.sources")).unwrap();
    let (_, key) = offered.split_once("Signed-By:\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keyring = folder.path().join("repository.gpg");
    end_to_end::debian_root::put(&keyring, &test.published("repository.gpg"));
    let mut gpg = Command::new("gpg");
    gpg.arg("--homedir").arg(folder.path()).args(["--quiet", "--with-colons", "--show-keys"]).arg(&keyring);
    let shown = run(&mut gpg).success();
    let id = shown.lines().find(|line| line.starts_with("pub:")).unwrap().split(':').nth(4).unwrap();
    test.but("file://$PWD/aptarchive", "$archive")
        .but_between("    -----BEGIN PGP", "END PGP PUBLIC KEY BLOCK-----", key.trim_end())
        .but("5A90D141DBAC8DAE", id)
        .passes(18);
}
