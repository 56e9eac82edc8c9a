//! The command line, and what wrong use of it gets.

use crate::backends::AT_SCALE;
use crate::running::{Site, server_command};
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn init_keeps_secrets_secret_and_leaves_no_mark() {
    let site = Site::new();
    let mode = |path: &str| site.data.join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("keys"), 0o700);
    assert_eq!(mode("keys/repository.key"), 0o600);
    assert_eq!(mode("keys/fleet-ca.key"), 0o600);
    assert!(!site.data.join("unfinished-init").exists());
    if AT_SCALE {
        return;
    }
    assert_eq!(mode("debfleet.db"), 0o600);
    let database = std::fs::read(site.data.join("debfleet.db")).unwrap();
    let secret = site.token.as_bytes();
    assert!(!database.windows(secret.len()).any(|window| window == secret), "only a digest of the token is kept");
}

#[test]
fn a_second_init_changes_nothing() {
    let site = Site::new();
    let key = std::fs::read(site.data.join("keys/repository.key")).unwrap();
    let files = site.files("");
    let output = site.init();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("already initialised"));
    assert_eq!(std::fs::read(site.data.join("keys/repository.key")).unwrap(), key);
    assert_eq!(site.files(""), files);
    assert_eq!(site.start().publish(b"").status, 422, "the first token still counts");
}

#[test]
fn an_unfinished_init_does_not_serve_and_can_be_run_again() {
    let site = Site::new();
    durable_files::replace(&site.data.join("unfinished-init"), b"", 0o644).unwrap();
    assert!(site.fail(&["--http", "127.0.0.1:0"]).contains("init"));
    let output = site.init();
    if AT_SCALE {
        // Whose tables are in the database it cannot know.
        assert!(!output.status.success());
        assert!(String::from_utf8(output.stderr).unwrap().contains("give an empty database"));
        return;
    }
    assert!(output.status.success(), "{output:?}");
    assert!(site.start().check_suite().is_empty());
}

#[test]
fn init_refuses_wrong_keys_and_foreign_folders_and_makes_nothing() {
    let site = Site::without_data();
    durable_files::replace(&site.package_ring, b"no key", 0o644).unwrap();
    let output = site.init();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("package.gpg"), "{error}");
    assert!(!site.data.exists());

    let site = Site::without_data();
    durable_files::create_dir(&site.data, 0o755).unwrap();
    durable_files::replace(&site.data.join("photo.jpg"), b"", 0o644).unwrap();
    let output = site.init();
    assert!(String::from_utf8(output.stderr).unwrap().contains("not empty"));
    assert_eq!(site.files("").len(), 1);
}

#[test]
fn a_port_in_use_is_named() {
    let site = Site::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = site.fail(&["--http", &address]);
    assert!(error.contains(&address) && error.contains("in use"), "{error}");
}

#[test]
fn one_server_per_data_folder() {
    let site = Site::new();
    let _server = site.start();
    let error = site.fail(&["--http", "127.0.0.1:0"]);
    assert!(error.contains("in use by another debfleet-server"), "{error}");
}

#[test]
fn a_folder_without_data_is_not_served() {
    let site = Site::without_data();
    let error = site.fail(&["--http", "127.0.0.1:0"]);
    assert!(error.contains("debfleet-server init"), "{error}");
    assert!(!site.data.exists());
}

#[test]
fn settings_come_from_file_and_environment_too() {
    let site = Site::new();
    let config = site.data.parent().unwrap().join("server.toml");
    durable_files::replace(&config, b"http = '127.0.0.1:0'\nhtpps = ''\n", 0o644).unwrap();
    let config = config.to_str().unwrap();
    assert!(site.fail(&["--config", config]).contains("htpps"));
    // The variable names the same data folder, and its wrong address shows that it is read.
    let output = server_command()
        .env("DEBFLEET_SERVER_DATA", &site.data)
        .env("DEBFLEET_SERVER_HTTP", "nowhere")
        .output()
        .unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("\"nowhere\""));
}

#[test]
fn a_given_certificate_that_is_none_is_named() {
    let site = Site::new();
    let ring = site.package_ring.to_str().unwrap();
    let error = site.fail(&["--https", "127.0.0.1:0", "--tls-cert", ring, "--tls-key", ring]);
    assert!(error.contains("package.gpg"), "{error}");
}
