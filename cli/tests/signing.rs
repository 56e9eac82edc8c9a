//! Signatures that are added to finished packages, and what `verify` says of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Outcome, Scratch, debfleet, run, tool};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const ROLES: [&str; 3] = ["origin", "maint", "builder"];

/// A key for each role.
fn keys(scratch: &Scratch) {
    for role in ROLES {
        let name = format!("{role} <{role}@example.org>");
        run(&mut debfleet(&["key", "new", "package", "--out", &scratch.text(role), "--name", &name])).ok();
    }
}

fn key(scratch: &Scratch, role: &str) -> String {
    format!("{role}={}", scratch.text(&format!("{role}/package.key")))
}

fn sign(deb: &str, arguments: &[&str]) -> Outcome {
    run(debfleet(&["sign", deb]).args(arguments))
}

fn verify(scratch: &Scratch, deb: &str, keyrings: &[&str], arguments: &[&str]) -> Outcome {
    let mut command = debfleet(&["verify", deb]);
    for name in keyrings {
        command.args(["--keyring", &scratch.text(&format!("{name}/package.gpg"))]);
    }
    run(command.args(arguments))
}

/// A package that dpkg-deb built.
fn package_of_dpkg(scratch: &Scratch, compression: &str) -> String {
    let tree = scratch.copy_example("hi-tree", "tree");
    let deb = scratch.text(&format!("{compression}.deb"));
    tool("dpkg-deb", &["--root-owner-group", &format!("-Z{compression}"), "--build", &tree, &deb]).ok();
    deb
}

fn members(deb: &str) -> Vec<String> {
    tool("ar", &["t", deb]).ok().lines().map(str::to_owned).collect()
}

/// The hash of a member's content.
fn hash(deb: &str, member: &str) -> String {
    let script = "ar p \"$0\" \"$1\" | sha256sum";
    run(Command::new("sh").args(["-c", script, deb, member])).ok()
}

/// debsig-verify with a policy that requires all three roles.
fn debsig_verify(scratch: &Scratch, deb: &str) -> Outcome {
    let id = |role: &str| {
        let shown = tool("gpg", &["--with-colons", "--show-keys", &scratch.text(&format!("{role}/package.gpg"))]).ok();
        shown.lines().find(|line| line.starts_with("pub:")).unwrap().split(':').nth(4).unwrap().to_owned()
    };
    let origin = id("origin");
    let require = |role: &str| format!("<Required Type=\"{role}\" File=\"{role}.gpg\" id=\"{}\"/>", id(role));
    let required = ROLES.map(require).concat();
    scratch.write(
        &format!("policies/{origin}/all.pol"),
        &format!(
            "<?xml version=\"1.0\"?>\n<!DOCTYPE Policy SYSTEM \"https://www.debian.org/debsig/1.0/policy.dtd\">\n\
             <Policy xmlns=\"https://www.debian.org/debsig/1.0/\">\n\
             <Origin Name=\"test\" id=\"{origin}\" Description=\"test\"/>\n\
             <Selection>{}</Selection>\n<Verification MinOptional=\"0\">{required}</Verification>\n</Policy>\n",
            require("origin")
        ),
    );
    std::fs::create_dir_all(scratch.path(&format!("keyrings/{origin}"))).unwrap();
    for role in ROLES {
        let to = scratch.path(&format!("keyrings/{origin}/{role}.gpg"));
        std::fs::copy(scratch.path(&format!("{role}/package.gpg")), to).unwrap();
    }
    let (policies, keyrings) = (scratch.text("policies"), scratch.text("keyrings"));
    tool("debsig-verify", &["--verbose", "--policies-dir", &policies, "--keyrings-dir", &keyrings, deb])
}

#[test]
fn signing_keeps_the_payload_and_debsig_verify_demands_every_role() {
    let scratch = Scratch::new();
    keys(&scratch);
    for (compression, ending) in [("xz", "xz"), ("zstd", "zst"), ("gzip", "gz"), ("none", "")] {
        let deb = package_of_dpkg(&scratch, compression);
        let before = members(&deb);
        let payload = ["debian-binary".to_owned(), format!("control.tar.{ending}"), format!("data.tar.{ending}")]
            .map(|name| name.trim_end_matches('.').to_owned());
        assert_eq!(before, payload);
        let hashes = payload.clone().map(|member| hash(&deb, &member));
        let head = std::fs::read(&deb).unwrap();

        sign(&deb, &["--key", &key(&scratch, "origin"), "--key", &key(&scratch, "maint")]).ok();
        assert_ne!(debsig_verify(&scratch, &deb).code, 0, "the builder has not signed");
        let (origin, maint) = (hash(&deb, "_gpgorigin"), hash(&deb, "_gpgmaint"));
        sign(&deb, &["--key", &key(&scratch, "builder")]).ok();

        assert_eq!(members(&deb)[..3], payload);
        assert_eq!(members(&deb)[3..], ["_gpgorigin", "_gpgmaint", "_gpgbuilder"]);
        assert_eq!(payload.map(|member| hash(&deb, &member)), hashes);
        assert!(std::fs::read(&deb).unwrap().starts_with(&head), "the headers changed");
        assert_eq!((hash(&deb, "_gpgorigin"), hash(&deb, "_gpgmaint")), (origin, maint));
        tool("dpkg-deb", &["--info", &deb]).ok();
        tool("dpkg-deb", &["--contents", &deb]).ok();
        let accepted = debsig_verify(&scratch, &deb);
        assert_eq!(accepted.code, 0, "{compression}: {}{}", accepted.stdout, accepted.stderr);
        verify(&scratch, &deb, &ROLES, &["--role", "origin", "--role", "maint", "--role", "builder"]).ok();
    }
}

#[test]
fn signing_again_changes_nothing_and_another_key_needs_replace() {
    let scratch = Scratch::new();
    keys(&scratch);
    let deb = package_of_dpkg(&scratch, "xz");
    let (origin, other) = (key(&scratch, "origin"), scratch.text("maint/package.key"));
    sign(&deb, &["--key", &origin, "--key", &key(&scratch, "builder")]).ok();
    let signed = std::fs::read(&deb).unwrap();
    let builder = hash(&deb, "_gpgbuilder");

    sign(&deb, &["--key", &origin]).tells(0, &["was already signed as origin by ", "unchanged"], &[]);
    sign(&deb, &["--key", &origin, "--replace"]).tells(0, &["unchanged"], &[]);
    sign(&deb, &["--key", &other]).fails(1, &[&deb, "signed as origin already, by the key ", "--replace"]);
    assert_eq!(std::fs::read(&deb).unwrap(), signed);

    let answer = sign(&deb, &["--key", &other, "--replace", "--json"]).ok();
    assert!(answer.contains("\"outcome\":\"replaced\""), "{answer}");
    assert_eq!(members(&deb).iter().filter(|member| *member == "_gpgorigin").count(), 1);
    assert_eq!(hash(&deb, "_gpgbuilder"), builder);
    verify(&scratch, &deb, &["maint"], &[]).ok();
    verify(&scratch, &deb, &["origin"], &[]).tells(1, &["origin: not checked"], &["not among the trusted keys"]);
}

#[test]
fn the_signed_file_keeps_its_mode_and_its_link() {
    let scratch = Scratch::new();
    keys(&scratch);
    let deb = package_of_dpkg(&scratch, "xz");
    std::fs::set_permissions(&deb, std::fs::Permissions::from_mode(0o640)).unwrap();
    let link = scratch.text("link.deb");
    std::os::unix::fs::symlink(&deb, &link).unwrap();
    sign(&link, &["--key", &key(&scratch, "origin")]).ok();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&deb).unwrap().permissions().mode() & 0o777, 0o640);
    verify(&scratch, &deb, &["origin"], &[]).ok();
}

#[test]
fn verify_tells_good_unknown_and_bad_apart() {
    let scratch = Scratch::new();
    keys(&scratch);
    let deb = package_of_dpkg(&scratch, "xz");
    let mut command = debfleet(&["sign", &deb]);
    for role in ROLES {
        command.args(["--key", &key(&scratch, role)]);
    }
    run(command.env("SOURCE_DATE_EPOCH", "1900000000")).ok();
    let data = hash(&deb, "data.tar.xz")[..64].to_owned();
    verify(&scratch, &deb, &["origin", "builder"], &["--role", "origin", "--role", "builder"]).tells(
        0,
        &[
            "hi 0.1.0-1 for all\norigin: good signature by ",
            "(origin <origin@example.org>), made 2030-03-17T17:46:40Z\nmaint: not checked: signed by the key ",
            "builder: good signature by ",
            &format!("  {data} data.tar.xz ("),
            "required role origin: satisfied\nrequired role builder: satisfied\n",
        ],
        &[],
    );
    // The maintainer's signature of another package is put into this one.
    let other = scratch.text("other.deb");
    scratch.write("tree/opt/hi/more", "more\n");
    tool("dpkg-deb", &["--root-owner-group", "-Zxz", "--build", &scratch.text("tree"), &other]).ok();
    sign(&other, &["--key", &key(&scratch, "maint")]).ok();
    let script = "cd \"$(dirname \"$0\")\" && ar x \"$1\" _gpgmaint && ar r \"$0\" _gpgmaint";
    run(Command::new("sh").args(["-c", script, &deb, &other])).ok();
    // By a key that nobody trusts it counts for nothing; by a trusted one it spoils the package.
    verify(&scratch, &deb, &["origin"], &[]).tells(0, &["maint: not checked"], &[]);
    verify(&scratch, &deb, &["origin", "maint"], &[]).tells(
        1,
        &["origin: good signature", "maint: BAD: ", "required role origin: satisfied"],
        &["maint signature, which is not required, is bad", "changed after it was signed"],
    );
    let json = verify(&scratch, &deb, &["origin", "maint"], &["--json"]);
    json.tells(
        1,
        &["\"verified\":false", "\"status\":\"bad\"", "\"status\":\"unknown-key\"", "\"status\":\"good\"", &data],
        &[],
    );
    sign(&deb, &["--key", &key(&scratch, "maint")]).fails(1, &["signed as maint already, but badly"]);
    sign(&deb, &["--key", &key(&scratch, "maint"), "--replace"]).ok();
    verify(&scratch, &deb, &["origin", "maint"], &["--role", "maint"]).ok();
}

#[test]
fn what_cannot_be_signed_stays_as_it_is() {
    let scratch = Scratch::new();
    keys(&scratch);
    let good = package_of_dpkg(&scratch, "xz");
    let before = std::fs::read(&good).unwrap();
    let cut = scratch.text("cut.deb");
    std::fs::copy(&good, &cut).unwrap();
    tool("truncate", &["-s", "1000", &cut]).ok();
    let origin = key(&scratch, "origin");
    // All are looked at before the first is changed.
    run(&mut debfleet(&["sign", &good, &cut, "--key", &origin])).fails(1, &["cut.deb", "truncated"]);
    assert_eq!(std::fs::read(&good).unwrap(), before);
    sign(&scratch.text("none.deb"), &["--key", &origin]).fails(1, &["none.deb", "No such file"]);
    sign(&scratch.text("tree"), &["--key", &origin]).fails(1, &["tree: ", "no regular file"]);
    tool("mkfifo", &[&scratch.text("pipe.deb")]).ok();
    sign(&scratch.text("pipe.deb"), &["--key", &origin]).fails(1, &["pipe.deb: ", "no regular file"]);
    sign(&good, &[]).fails(1, &["there is no key to sign with", "DEBFLEET_KEY"]);
    run(debfleet(&["sign", &good, "--key", &origin]).env("SOURCE_DATE_EPOCH", "soon")).fails(1, &["SOURCE_DATE_EPOCH"]);
    let many = "for role in a b c d e f g h i j k l m n o p; do \"$0\" sign \"$1\" --key $role=\"$2\" || exit; done";
    let secret = scratch.text("origin/package.key");
    run(Command::new("sh").args(["-c", many, env!("CARGO_BIN_EXE_debfleet"), &good, &secret])).ok();
    let full = std::fs::read(&good).unwrap();
    sign(&good, &["--key", &origin]).fails(1, &["it is unchanged", "16 signatures already"]);
    assert_eq!(std::fs::read(&good).unwrap(), full);
}

#[test]
fn a_full_or_read_only_disk_leaves_the_unsigned_package() {
    let scratch = Scratch::new();
    keys(&scratch);
    let small = scratch.text("small");
    std::fs::create_dir(&small).unwrap();
    tool("mount", &["-t", "tmpfs", "-o", "size=5m", "tmpfs", &small]).ok();
    let outcomes = std::panic::catch_unwind(|| {
        let tree = scratch.copy_example("hi-tree", "tree");
        tool("sh", &["-c", "head -c 3000000 /dev/urandom > \"$0\"", &format!("{tree}/opt/hi/noise")]).ok();
        let deb = format!("{small}/hi.deb");
        tool("dpkg-deb", &["--root-owner-group", "--build", &tree, &deb]).ok();
        let before = std::fs::read(&deb).unwrap();
        let full = sign(&deb, &["--key", &key(&scratch, "origin")]);
        let same = std::fs::read(&deb).unwrap() == before && std::fs::read_dir(&small).unwrap().count() == 1;
        tool("mount", &["-o", "remount,ro", &small]).ok();
        let read_only = sign(&deb, &["--key", &key(&scratch, "origin")]);
        (full, same, read_only)
    });
    tool("umount", &[&small]).ok();
    let (full, same, read_only) = outcomes.unwrap();
    full.fails(1, &["could not sign", "hi.deb; it is unchanged", "is full; signing needs room for a second copy"]);
    assert!(same, "the package changed, or something was left beside it");
    read_only.fails(1, &["hi.deb; it is unchanged", "Read-only file system"]);
}

#[test]
fn lintian_accepts_every_role_on_our_packages() {
    let scratch = Scratch::new();
    keys(&scratch);
    for form in ["hi", "hi-tree"] {
        let source = scratch.copy_example(form, form);
        let deb = scratch.build(&source, &format!("out-{form}"), &scratch.text("origin/package.key"));
        sign(&deb, &["--key", &key(&scratch, "maint"), "--key", &key(&scratch, "builder")]).ok();
        let ours = ["--allow-root", "--suppress-tags", "dir-or-file-in-opt", "--fail-on", "error,warning", &deb];
        assert_eq!(tool("lintian", &ours).ok(), "", "{form}");
    }
}
