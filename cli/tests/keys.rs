//! `debfleet key`: showing, exporting and rotating keys, before Debian's own tools.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Outcome, Scratch, debfleet, run, tool};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const OWNER: &str = "Acme releases <release@acme.example>";
const PASSPHRASE: [&str; 2] = ["--passphrase", "command:echo sesame"];

fn key(arguments: &[&str]) -> Outcome {
    run(debfleet(&["key"]).args(arguments))
}

/// A key in a folder of this name.
fn new_key(scratch: &Scratch, name: &str, arguments: &[&str]) -> String {
    let out = scratch.text(name);
    key(&[&["new", "package", "--out", &out, "--name", OWNER], arguments].concat()).ok();
    format!("{out}/package.key")
}

fn fingerprint(file: &str) -> String {
    let shown = key(&["show", file]).ok();
    shown.lines().next().unwrap().strip_prefix("fingerprint: ").unwrap().to_owned()
}

/// The fingerprints that the real gpg finds in a file.
fn gpg_fingerprints(scratch: &Scratch, file: &str) -> Vec<String> {
    let home = scratch.text("gnupg");
    run(Command::new("install").args(["-d", "-m", "0700", &home])).ok();
    let shown = tool("gpg", &["--homedir", &home, "--batch", "--with-colons", "--show-keys", file]).ok();
    shown.lines().filter_map(|line| line.strip_prefix("fpr:::::::::")).map(|it| it[..40].to_owned()).collect()
}

#[test]
fn show_tells_every_kind_of_key_and_needs_no_passphrase() {
    let scratch = Scratch::new();
    let open = new_key(&scratch, "open", &[]);
    let locked = new_key(&scratch, "locked", &PASSPHRASE);
    key(&["show", &open]).tells(0, &["secret key, not locked", "Ed25519", &format!("user id:     {OWNER}\n")], &[]);
    key(&["show", &locked]).tells(0, &["secret key, locked with a passphrase"], &[]);
    for public in ["locked/package.gpg", "locked/package.asc"] {
        let shown = key(&["show", &scratch.text(public), "--json"]).ok();
        assert!(shown.contains("\"kind\":\"public\"") && shown.contains(&fingerprint(&locked)), "{shown}");
    }
    let by_command = key(&["show", &format!("command:cat {locked}"), "--json"]).ok();
    assert!(by_command.contains("\"kind\":\"locked\"") && by_command.contains("\"usable\":true"), "{by_command}");
    assert_eq!(gpg_fingerprints(&scratch, &locked), [fingerprint(&locked)]);

    let home = scratch.text("gnupg");
    let gpg = |arguments: &[&str]| {
        let quiet = ["--homedir", &home, "--batch", "--pinentry-mode", "loopback", "--passphrase", ""];
        run(Command::new("gpg").args(quiet).args(arguments))
    };
    gpg(&["--quick-gen-key", "rsa <rsa@example.org>", "rsa2048", "sign", "never"]).ok();
    let rsa = scratch.text("rsa.key");
    gpg(&["--output", &rsa, "--export-secret-keys", "rsa"]).ok();
    let _ = tool("gpgconf", &["--homedir", &home, "--kill", "all"]);
    key(&["show", &rsa]).tells(0, &["algorithm:   RSA", "secret key", "not usable:  only Ed25519"], &[]);

    let text = scratch.write("text", "hello\n");
    key(&["show", text.to_str().unwrap()]).fails(1, &["text", "not a file of OpenPGP keys"]);
    key(&["show", &scratch.text("none")]).fails(1, &["none", "No such file"]);
    let cut = &scratch.read("open/package.key")[..150];
    let cut = scratch.write("cut", cut);
    key(&["show", cut.to_str().unwrap()]).fails(1, &["damaged"]);
}

#[test]
fn export_gives_what_gpg_reads_and_never_a_secret() {
    let scratch = Scratch::new();
    let (one, two) = (new_key(&scratch, "one", &[]), new_key(&scratch, "two", &PASSPHRASE));
    let fingerprints = [fingerprint(&one), fingerprint(&two)];
    // The same key from three sources stands in the keyring once.
    let sources = [one.clone(), two.clone(), scratch.text("one/package.asc"), scratch.text("two/package.gpg")];
    let sources = sources.each_ref().map(String::as_str);
    for (format, begins) in [("binary", &b"\x98"[..]), ("armored", b"-----BEGIN PGP PUBLIC")] {
        let out = scratch.text(format);
        key(&[&["export", "--format", format, "--out", &out], &sources[..]].concat()).ok();
        let bytes = std::fs::read(&out).unwrap();
        assert!(bytes.starts_with(begins) || bytes.starts_with(b"\xc6"), "{format}");
        assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o644);
        if format == "binary" {
            assert_eq!(gpg_fingerprints(&scratch, &out), fingerprints);
        }
        let shown = key(&["show", &out]).ok();
        assert_eq!(shown.matches("kind:        public key\n").count(), 2, "{shown}");
    }
    // It may be written anew, but never in place of a key.
    key(&["export", &two, "--out", &scratch.text("binary")]).ok();
    let secret = std::fs::read(&one).unwrap();
    key(&["export", &two, "--out", &one]).fails(1, &[&one, "not overwritten"]);
    assert_eq!(std::fs::read(&one).unwrap(), secret);
    key(&["export", &one, &scratch.text("none"), "--out", &scratch.text("x")]).fails(1, &["none"]);
    assert!(!scratch.path("x").exists());
}

#[test]
fn a_keyring_package_is_signed_and_lintian_clean() {
    let scratch = Scratch::new();
    let (one, two) = (new_key(&scratch, "one", &[]), new_key(&scratch, "two", &[]));
    let out = scratch.text("dist");
    let export = |arguments: &[&str]| {
        let package = ["export", &one, &two, "--package", "acme-archive-keyring", "--out", &out];
        key(&[&package, arguments].concat())
    };
    export(&["--version", "2026.11.21"]).fails(1, &["there is no key to sign the keyring package with"]);
    assert!(!scratch.path("dist").exists());
    for version in ["2026.11.21", "1.0-1"] {
        let deb = export(&["--version", version, "--key", &one, "--key", &format!("builder={two}")]).ok();
        let deb = deb.trim_end();
        assert!(deb.ends_with(&format!("/acme-archive-keyring_{version}_all.deb")), "{deb}");
        assert_eq!(tool("lintian", &["--allow-root", "--fail-on", "error,warning", deb]).ok(), "");
        run(&mut debfleet(&["verify", deb, "--keyring", &scratch.text("one/package.gpg")])).ok();
        let unpacked = scratch.text("unpacked");
        tool("dpkg-deb", &["-x", deb, &unpacked]).ok();
        let keyring = format!("{unpacked}/usr/share/keyrings/acme-archive-keyring.gpg");
        assert_eq!(gpg_fingerprints(&scratch, &keyring), [fingerprint(&one), fingerprint(&two)]);
        run(&mut debfleet(&["verify", deb, "--keyring", &keyring, "--role", "builder"])).ok();
    }
    for (arguments, code, word) in [
        (&["--version", "1.0 beta"][..], 2, "--version"),
        (&[], 2, "--version"),
        (&["--version", "1", "--format", "armored"], 2, "--format"),
        (&["--version", "1", "--maintainer", "Acme"], 1, "Name <mail@example.org>"),
    ] {
        let outcome = export(&[arguments, &["--key", &one]].concat());
        outcome.tells(code, &[], &[word]);
    }
}

#[test]
fn the_same_time_gives_the_same_keyring_package() {
    let scratch = Scratch::new();
    let one = new_key(&scratch, "one", &[]);
    let built = |out: &str| {
        let mut command = debfleet(&["key", "export", &one, "--package", "acme-keys", "--version", "1", "--key", &one]);
        let deb = run(command.args(["--out", &scratch.text(out)]).env("SOURCE_DATE_EPOCH", "1800000000")).ok();
        std::fs::read(deb.trim_end()).unwrap()
    };
    assert!(built("a") == built("b"));
}

#[test]
fn rotation_hands_over_from_the_old_key_to_the_new() {
    let scratch = Scratch::new();
    let old = new_key(&scratch, "old", &PASSPHRASE);
    let builder = new_key(&scratch, "builder", &[]);
    let before = std::fs::read(&old).unwrap();
    let next = scratch.text("next");
    let package = ["--package", "acme-archive-keyring", "--version", "2"];
    let rotate = |arguments: &[&str]| key(&[&["rotate", &old, "--out", &next], &package[..], arguments].concat());

    rotate(&[]).fails(1, &["it is locked, and there is no terminal"]);
    rotate(&["--passphrase", "command:echo wrong"]).fails(1, &["the passphrase does not open the key"]);
    key(&[&["rotate", &scratch.text("old/package.gpg"), "--out", &next], &package[..]].concat())
        .fails(1, &["package.gpg"]);
    assert!(!scratch.path("next").exists(), "a failed rotation left something");

    let told = rotate(&[&PASSPHRASE[..], &["--keep", &builder]].concat()).ok();
    let step = |number: usize| told.find(&format!("\n{number}. ")).unwrap();
    assert!((1..6).all(|number| step(number) < step(number + 1)), "{told}");
    assert_eq!(std::fs::read(&old).unwrap(), before);
    let new = format!("{next}/package.key");
    assert_eq!(std::fs::metadata(&new).unwrap().permissions().mode() & 0o777, 0o600);
    // Locked as the old one, with an identity of its own.
    key(&["show", &new]).tells(0, &["locked with a passphrase", OWNER], &[]);
    assert_ne!(fingerprint(&new), fingerprint(&old));

    let deb = format!("{next}/acme-archive-keyring_2_all.deb");
    run(&mut debfleet(&["verify", &deb, "--keyring", &scratch.text("old/package.gpg")])).ok();
    run(&mut debfleet(&["verify", &deb, "--keyring", &format!("{next}/package.gpg")])).tells(
        1,
        &["required role origin: NOT satisfied"],
        &["not among the trusted keys"],
    );
    tool("dpkg-deb", &["-x", &deb, &scratch.text("device")]).ok();
    let on_device = scratch.text("device/usr/share/keyrings/acme-archive-keyring.gpg");
    assert_eq!(gpg_fingerprints(&scratch, &on_device), [&old, &new, &builder].map(|file| fingerprint(file)));
    assert_eq!(std::fs::read(&on_device).unwrap(), std::fs::read(format!("{next}/keyring.gpg")).unwrap());
    // What the new key signs is good for a device that has the package.
    scratch.copy_example("hi", "src");
    let mut build = debfleet(&["build", &scratch.text("src"), "--out", &scratch.text("out"), "--key", &new]);
    let hi = run(build.args(PASSPHRASE)).ok();
    run(&mut debfleet(&["verify", hi.trim_end(), "--keyring", &on_device])).ok();

    rotate(&PASSPHRASE).fails(1, &["is there already and a key is never overwritten"]);
}

#[test]
fn a_rotation_that_fails_leaves_no_new_key() {
    let scratch = Scratch::new();
    let key_without_mail = scratch.key("old");
    let next = scratch.text("next");
    let rotate = |arguments: &[&str]| {
        key(&[&["rotate", &key_without_mail, "--out", &next, "--package", "acme-keys", "--version", "2"], arguments]
            .concat())
    };
    rotate(&[]).fails(1, &["give --maintainer"]);
    assert_eq!(std::fs::read_dir(&next).map_or(0, Iterator::count), 0);
    std::fs::remove_dir_all(&next).unwrap_or_default();
    std::fs::create_dir(&next).unwrap();
    tool("mount", &["-t", "tmpfs", "-o", "size=16k", "tmpfs", &next]).ok();
    let full = rotate(&["--maintainer", OWNER]);
    let left = std::fs::read_dir(&next).unwrap().count();
    tool("umount", &[&next]).ok();
    full.tells(1, &[], &["full"]);
    assert_eq!(left, 0);
}
