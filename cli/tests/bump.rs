//! `debfleet bump`: everywhere or nowhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Scratch, debfleet, run};

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
            "{source}/debfleet.toml: 0.1.0 -> 0.2.0\n{source}/debfleet.toml: revision 4 -> revision 1\n\
             {source}/__VERSION__: 0.1.0 -> 0.2.0\n"
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
        format!("{source}/DEBIAN/control: 0.1.0-1 -> 1.0.0~rc.1-1\n{source}/opt/hi/__VERSION__: 0.1.0 -> 1.0.0-rc.1\n")
    );
    assert!(scratch.read("src/DEBIAN/control").contains("\nVersion: 1.0.0~rc.1-1\n"));
    run(&mut debfleet(&["bump", "major", &source])).ok();
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
