//! Rotation of the repository key: the old and the new one side by side, then the new one alone.

use crate::running::{Answer, Server, Site};
use debian_formats::openpgp::{Fingerprint, Keyring};
use rustix::process::Signal;
use serde_json::json;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::process::Output;

impl Site {
    fn key(&self, arguments: &[&str]) -> Output {
        self.command().arg("key").args(arguments).arg("--data").arg(&self.data).output().unwrap()
    }

    #[track_caller]
    fn key_done(&self, arguments: &[&str]) -> String {
        let output = self.key(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn key_refused(&self, arguments: &[&str], word: &str) {
        let output = self.key(arguments);
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(word), "{error}");
    }

    /// Makes a new key and gives its fingerprint.
    fn rotate(&self) -> String {
        let told = self.key_done(&["rotate"]);
        told.lines().find_map(|line| line.strip_prefix("new repository key: ")).unwrap().to_owned()
    }

    /// The public keyring in the data folder.
    fn keyring(&self) -> Keyring {
        Keyring::from_bytes(&std::fs::read(self.data.join("repository.gpg")).unwrap()).unwrap()
    }
}

fn texts(fingerprints: &[Fingerprint]) -> Vec<String> {
    fingerprints.iter().map(ToString::to_string).collect()
}

/// Who of this keyring signed each suite's InRelease, as the server shows it now.
fn signers(server: &Server, suites: &[&str], ring: &Keyring) -> Vec<Vec<String>> {
    let of =
        |suite: &&str| texts(&ring.verify_cleartext(&server.inrelease_of(suite)).map_or(vec![], |text| text.signers));
    suites.iter().map(of).collect()
}

fn served_keys(server: &Server) -> Vec<String> {
    texts(&Keyring::from_bytes(&server.body("/debian/repository.gpg")).unwrap().fingerprints().unwrap())
}

#[test]
fn a_running_server_signs_with_both_keys_and_then_with_the_new_one_alone() {
    let site = Site::new();
    let mut server = site.start_logging(&["--http", "127.0.0.1:0"]);
    let made = server.post(&server.token, "/api/v1/suites", &json!({"name": "beta"}));
    assert_eq!(made.status, 201);
    let frozen = server.post(&server.token, "/api/v1/suites/beta/snapshots", &json!({}));
    let frozen: serde_json::Value = serde_json::from_slice(&frozen.body).unwrap();
    let suites = ["stable", "beta", frozen["name"].as_str().unwrap()];
    let old_ring = site.keyring();
    let old = old_ring.fingerprints().unwrap()[0].to_string();

    let new = site.rotate();
    let both = site.keyring();
    assert_eq!(texts(&both.fingerprints().unwrap()), [old.clone(), new.clone()]);
    assert_eq!(signers(&server, &suites, &both), vec![vec![old.clone()]; 3], "it has not been told yet");
    server.signal(Signal::HUP);
    assert!(server.logged("sign the repository from now on").contains(&new));
    server.logged("reloaded");
    assert_eq!(signers(&server, &suites, &both), vec![vec![old.clone(), new.clone()]; 3]);
    assert_eq!(signers(&server, &suites, &old_ring), vec![vec![old.clone()]; 3], "who knows the old one only goes on");
    assert_eq!(served_keys(&server), [old.clone(), new.clone()]);
    let source = String::from_utf8(server.body("/debian/stable.sources")).unwrap();
    assert_eq!(source.matches("BEGIN PGP PUBLIC KEY BLOCK").count(), 1, "{source}");
    let detached = String::from_utf8(server.body("/debian/dists/stable/Release.gpg")).unwrap();
    assert_eq!(detached.matches("BEGIN PGP SIGNATURE").count(), 1, "{detached}");
    server.check_suite();
    // What is published from now on, too.
    let later = server.post(&server.token, "/api/v1/suites", &json!({"name": "later"}));
    assert_eq!((later.status, signers(&server, &["later"], &both)), (201, vec![vec![old.clone(), new.clone()]]));

    let date = server.release().release().date;
    server.signal(Signal::HUP);
    server.logged("reloaded");
    assert_eq!(server.release().release().date, date, "the same keys are no reason to sign");

    site.key_done(&["retire", &old.to_lowercase()]);
    server.signal(Signal::HUP);
    server.logged("reloaded");
    assert_eq!(signers(&server, &suites, &both), vec![vec![new.clone()]; 3]);
    assert_eq!(served_keys(&server), std::slice::from_ref(&new));
    assert_eq!(texts(&site.keyring().fingerprints().unwrap()), std::slice::from_ref(&new));

    let told: Vec<String> =
        server.audit("").entries.iter().map(|entry| format!("{} {}", entry.action, entry.subject)).collect();
    assert_eq!(told[0], format!("key.retire {old}"));
    assert!(told.contains(&format!("key.rotate {new}")), "{told:?}");
    let listed = site.key_done(&["list"]);
    let listed: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        listed.iter().map(|line| (line[0], line[1])).collect::<Vec<_>>(),
        [(new.as_str(), "signs"), (old.as_str(), "retired")]
    );

    // A key that was retired too early comes back.
    let kept = std::fs::read(site.data.join(format!("keys/retired-{old}.key"))).unwrap();
    let path = site.data.join("keys/repository.key");
    let signing = [std::fs::read(&path).unwrap(), kept].concat();
    durable_files::replace(&path, &signing, 0o600).unwrap();
    server.signal(Signal::HUP);
    server.logged("reloaded");
    assert_eq!(signers(&server, &suites, &both), vec![vec![new.clone(), old.clone()]; 3]);
    assert_eq!(texts(&site.keyring().fingerprints().unwrap()), [new, old]);

    // What is wrong is told, and changes nothing.
    durable_files::replace(&path, b"no key", 0o600).unwrap();
    server.signal(Signal::HUP);
    assert!(server.logged("could not reload the repository keys").contains("repository.key"));
    server.logged("reloaded");
    assert_eq!(server.get("/debian/dists/stable/InRelease", &[]).status, 200);
}

#[test]
fn keys_changed_while_the_server_was_off_sign_before_the_first_reader_comes() {
    let site = Site::new();
    let mut server = site.start();
    let old = site.keyring().fingerprints().unwrap()[0].to_string();
    server.kill();
    let new = site.rotate();
    let mut server = site.start();
    assert_eq!(signers(&server, &["stable"], &site.keyring()), [[old.clone(), new.clone()]]);
    server.kill();
    // Cut off between the two files: the keyring follows the keys.
    let ring = std::fs::read(site.data.join("repository.gpg")).unwrap();
    site.key_done(&["retire", &old]);
    durable_files::replace(&site.data.join("repository.gpg"), &ring, 0o644).unwrap();
    let server = site.start();
    assert_eq!(served_keys(&server), std::slice::from_ref(&new));
    assert_eq!(texts(&site.keyring().fingerprints().unwrap()), [new]);
}

#[test]
fn the_last_key_stays_and_a_rotation_is_ended_before_the_next() {
    let site = Site::new();
    let old = site.keyring().fingerprints().unwrap()[0].to_string();
    site.key_refused(&["retire", &old], "only key");
    site.key_refused(&["retire", "0123"], &old);
    let new = site.rotate();
    site.key_refused(&["rotate"], "under way");
    site.key_refused(&["retire", &site.package_key.fingerprint().unwrap().to_string()], &new);
    site.key_done(&["retire", &new]);
    assert_eq!(texts(&site.keyring().fingerprints().unwrap()), [old], "a rotation can be taken back");
    let elsewhere = crate::running::server_command().args(["key", "rotate", "--data", "/"]).output().unwrap();
    assert!(String::from_utf8(elsewhere.stderr).unwrap().contains("holds no server's data"));
}

#[test]
fn the_keys_stay_the_servers_own_when_root_rotates_them() {
    let site = Site::new();
    let path = |name: &str| site.data.join(name);
    chown(path("keys/repository.key"), Some(4321), Some(4322)).unwrap();
    let old = site.keyring().fingerprints().unwrap()[0].to_string();
    site.rotate();
    site.key_done(&["retire", &old]);
    let retired = format!("keys/retired-{old}.key");
    for (name, mode) in [("keys/repository.key", 0o600), (&retired, 0o600), ("repository.gpg", 0o644)] {
        let found = path(name).metadata().unwrap();
        assert_eq!((found.uid(), found.gid(), found.permissions().mode() & 0o777), (4321, 4322, mode), "{name}");
    }
}

#[test]
fn readers_never_meet_a_release_that_their_key_did_not_sign() {
    let site = Site::new();
    let server = site.start_logging(&["--http", "127.0.0.1:0"]);
    let (old, url) = (site.keyring(), server.url("/debian/dists/stable/InRelease"));
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let reader = std::thread::spawn(move || {
        let mut read = 0;
        while stopped.try_recv().is_err() {
            let answer = Answer::of(crate::running::agent().get(&url).call());
            old.verify_cleartext(&answer.text()).unwrap();
            read += 1;
        }
        read
    });
    let mut server = server;
    site.rotate();
    server.signal(Signal::HUP);
    server.logged("reloaded");
    stop.send(()).unwrap();
    assert!(reader.join().unwrap() > 0);
}
