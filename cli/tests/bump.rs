//! `debfleet bump`: everywhere or nowhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Scratch, debfleet, run, tool};

#[test]
fn the_manifest_keeps_its_comments_and_the_revision_begins_anew() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi", "src");
    let before = scratch.read("src/debfleet.toml");
    let with_revision = before.replace("version = \"0.1.0\"\n", "version = \"0.1.0\" # ours\nrevision = 4\n");
    scratch.write("src/debfleet.toml", &with_revision);
    let told = run(&mut debfleet(&["bump", "minor", &source])).ok();
    assert_eq!(
        told,
        format!(
            "{source}/debfleet.toml:3\n- version = \"0.1.0\" # ours\n+ version = \"0.2.0\" # ours\n\
             {source}/debfleet.toml:4\n- revision = 4\n+ revision = 1\n{source}/__VERSION__:1\n- 0.1.0\n+ 0.2.0\n"
        )
    );
    let expected = with_revision.replace("\"0.1.0\" # ours\nrevision = 4", "\"0.2.0\" # ours\nrevision = 1");
    assert_eq!(scratch.read("src/debfleet.toml"), expected);
    assert_eq!(scratch.read("src/__VERSION__"), "0.2.0\n");
}

#[test]
fn a_tree_is_bumped_in_its_control_file_and_where_its_table_says() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi-tree", "src");
    let told = run(&mut debfleet(&["bump", "1.0.0-rc.1", &source])).ok();
    assert_eq!(
        told,
        format!(
            "{source}/DEBIAN/control:2\n- Version: 0.1.0-1\n+ Version: 1.0.0~rc.1-1\n\
             {source}/opt/hi/__VERSION__:1\n- 0.1.0\n+ 1.0.0-rc.1\n"
        )
    );
    assert!(scratch.read("src/DEBIAN/control").contains("\nVersion: 1.0.0~rc.1-1\n"));
    run(&mut debfleet(&["bump", "prerelease", &source])).ok();
    assert!(scratch.read("src/DEBIAN/control").contains("\nVersion: 1.0.0~rc.2-1\n"));
    run(&mut debfleet(&["bump", "release", &source])).ok();
    assert!(scratch.read("src/DEBIAN/control").contains("\nVersion: 1.0.0-1\n"));
    assert_eq!(scratch.read("src/opt/hi/__VERSION__"), "1.0.0\n");
}

#[test]
fn one_missing_pattern_leaves_every_file_alone() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi", "src");
    scratch.write("src/__VERSION__", "10.1.0\n");
    let before = scratch.read("src/debfleet.toml");
    run(&mut debfleet(&["bump", "patch", &source])).fails(1, &["__VERSION__ does not hold \"0.1.0\"", "no file was"]);
    assert_eq!(scratch.read("src/debfleet.toml"), before);
}

#[test]
fn a_version_that_devices_would_not_take_is_refused() {
    let scratch = Scratch::new();
    for form in ["hi", "hi-tree"] {
        let source = scratch.copy_example(form, form);
        for version in ["0.1.0", "0.0.9", "0.1.0-rc.1"] {
            run(&mut debfleet(&["bump", version, &source])).fails(1, &["is not above the present version 0.1.0"]);
        }
    }
}

#[test]
fn a_file_outside_the_folder_is_never_written() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi", "src");
    scratch.write("outside", "0.1.0\n");
    let manifest = scratch.read("src/debfleet.toml").replace("path = \"__VERSION__\"", "path = \"../outside\"");
    scratch.write("src/debfleet.toml", &manifest);
    run(&mut debfleet(&["bump", "patch", &source])).fails(1, &["leaves the folder"]);
    assert_eq!(scratch.read("outside"), "0.1.0\n");
}

#[test]
fn a_dry_run_says_all_and_writes_nothing() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi", "src");
    let before = scratch.read("src/debfleet.toml");
    let dry = run(&mut debfleet(&["bump", "patch", "--dry-run", &source]));
    assert!(dry.stderr.ends_with("nothing was written (--dry-run)\n"), "{}", dry.stderr);
    let dry = dry.ok();
    assert_eq!((scratch.read("src/debfleet.toml"), scratch.read("src/__VERSION__")), (before, "0.1.0\n".to_owned()));
    assert_eq!(run(&mut debfleet(&["bump", "patch", &source])).ok(), dry);
    let told = run(&mut debfleet(&["bump", "prerelease", "--pre", "beta", "--json", &source])).ok();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["new"], &told["debian-version"]), (&"0.1.2-beta.1".into(), &"0.1.2~beta.1-1".into()));
    assert_eq!(told["changes"][1]["new"], serde_json::json!(["0.1.2-beta.1"]));
}

#[test]
fn the_epoch_stays() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi", "src");
    let manifest =
        scratch.read("src/debfleet.toml").replace("license = \"MIT\"", "epoch = 2\nchangelog = \"changelog\"");
    scratch.write("src/debfleet.toml", &manifest);
    let bumped = run(&mut debfleet(&["bump", "minor", &source]));
    assert!(bumped.stderr.contains("hi 0.1.0 -> 0.2.0, 2:0.2.0-1 for Debian"), "{}", bumped.stderr);
    assert!(scratch.read("src/changelog").starts_with("hi (2:0.2.0-1) stable; urgency=medium\n\n  * New release.\n"));
}

#[test]
fn a_step_that_is_none_is_wrong_usage() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi", "src");
    run(&mut debfleet(&["bump"])).fails(2, &["name a STEP"]);
    run(&mut debfleet(&["bump", "big", &source])).fails(2, &["\"big\" is neither patch"]);
    run(&mut debfleet(&["bump", "minor", "--pre", "rc", &source])).fails(2, &["--pre goes with"]);
    run(&mut debfleet(&["bump", "--snapshot", "minor", &source])).fails(2, &["takes no STEP"]);
    run(&mut debfleet(&["bump", "--snapshot", "--tag", &source])).fails(2, &["cannot be used with"]);
    run(&mut debfleet(&["bump", "release", &source])).fails(1, &["0.1.0 is no pre-release"]);
}

#[test]
fn semver_and_dpkg_must_both_call_it_an_upgrade() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi", "src");
    run(&mut debfleet(&["bump", "0.2.0-rc9", &source])).ok();
    let disagree = &["semver and Debian disagree", "bump to 0.2.0 instead", "rc.10"];
    run(&mut debfleet(&["bump", "prerelease", &source])).fails(1, disagree);
    assert_eq!(scratch.read("src/__VERSION__"), "0.2.0-rc9\n");
}

#[test]
fn a_link_to_a_file_stays_a_link() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi", "src");
    tool("mv", &[&format!("{source}/__VERSION__"), &format!("{source}/real")]).ok();
    std::os::unix::fs::symlink("real", scratch.path("src/__VERSION__")).unwrap();
    run(&mut debfleet(&["bump", "minor", &source])).ok();
    assert!(scratch.path("src/__VERSION__").symlink_metadata().unwrap().is_symlink());
    assert_eq!(scratch.read("src/real"), "0.2.0\n");
}

#[test]
fn a_file_that_cannot_be_written_leaves_every_file_alone() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi", "src");
    let before = scratch.read("src/debfleet.toml");
    scratch.write_mode("src/__VERSION__", "0.1.0\n", 0o444);
    run(&mut debfleet(&["bump", "minor", &source])).fails(1, &["__VERSION__ is read-only, so no file was changed"]);
    assert_eq!(scratch.read("src/debfleet.toml"), before);
    assert_eq!(scratch.read("src/__VERSION__"), "0.1.0\n");
}

#[test]
fn only_a_text_file_can_carry_a_version() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi", "src");
    let version = scratch.text("src/__VERSION__");
    tool("rm", &[&version]).ok();
    tool("mkfifo", &[&version]).ok();
    run(&mut debfleet(&["bump", "minor", &source])).fails(1, &["__VERSION__ is not a text file"]);
    tool("rm", &[&version]).ok();
    tool("cp", &["/bin/true", &version]).ok();
    run(&mut debfleet(&["bump", "minor", &source])).fails(1, &["__VERSION__ is not a text file"]);
    tool("truncate", &["--size=1G", &version]).ok();
    run(&mut debfleet(&["bump", "minor", &source])).fails(1, &["of at most 16 MiB"]);
    assert!(scratch.read("src/debfleet.toml").contains("\"0.1.0\""));
}

#[test]
fn a_rename_that_fails_puts_back_what_was_written() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi", "src");
    let before = scratch.read("src/debfleet.toml");
    let version = scratch.text("src/__VERSION__");
    // What root may not replace, either. Where chattr itself is forbidden there is nothing to try.
    if tool("chattr", &["+i", &version]).code != 0 {
        return;
    }
    let bumped = run(&mut debfleet(&["bump", "minor", &source]));
    tool("chattr", &["-i", &version]).ok();
    bumped.fails(1, &["__VERSION__"]);
    assert_eq!((scratch.read("src/debfleet.toml"), scratch.read("src/__VERSION__")), (before, "0.1.0\n".to_owned()));
    assert_eq!(tool("find", &[&source, "-name", ".new-*"]).ok(), "");
}
