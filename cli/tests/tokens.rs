//! What `debfleet token`, `suite` and `audit` refuse by themselves; the end-to-end tests have the rest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Outcome, debfleet, run};

fn ask(arguments: &[&str]) -> Outcome {
    // Nobody answers there.
    let arguments = [arguments, &["--server", "http://127.0.0.1:1"]].concat();
    run(debfleet(&arguments).env("DEBFLEET_TOKEN", "s3cret"))
}

#[test]
fn a_secret_in_place_of_an_id_is_not_repeated() {
    let refused = ask(&["token", "revoke", "dft_0123456789"]);
    assert!(!refused.stderr.contains("dft_0123"), "{}", refused.stderr);
    refused.fails(1, &["`debfleet token list` shows them"]);
}

#[test]
fn wrong_words_are_usage_errors_that_name_the_right_ones() {
    ask(&["token", "create", "ci", "--role", "king"]).fails(2, &["publisher"]);
    ask(&["token", "create", "ci", "--role", "viewer", "--expires", "soon"]).fails(2, &["2030-01-31"]);
    ask(&["token", "create", "ci", "--role", "viewer", "--suite", "../x"]).fails(2, &["suite"]);
    ask(&["suite", "access", "stable", "friends"]).fails(2, &["devices"]);
    let set = ["thing", "shadow", "set", "lamp-1"];
    ask(&set).fails(2, &["--desired"]);
    ask(&[&set[..], &["--desired", "on=true"]].concat()).fails(2, &[r#"{"on":true}"#]);
    ask(&[&set[..], &["--desired", "[1]"]].concat()).fails(2, &["a JSON object"]);
    ask(&["thing", "shadow", "get", "a/b"]).fails(2, &["thing name"]);
}

#[test]
fn a_server_that_is_not_there_is_told() {
    for arguments in
        [&["token", "list"][..], &["audit"], &["suite", "access", "stable"], &["thing", "shadow", "get", "lamp-1"]]
    {
        ask(arguments).fails(1, &["nothing answers there"]);
    }
}
