//! What the services tell systemd (sd_notify(3)): ready, alive, stopping. The test is the service manager.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::program::binary;
use end_to_end::{PackageKey, run};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs a service until it has said that it lives, then ends it; gives what it said, without repetitions.
fn said_by(service: &mut Command, folder: &Path) -> Vec<String> {
    let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
    // Long enough for the slowest machine; a service that says nothing fails the test.
    socket.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let mut child = service
        .env("NOTIFY_SOCKET", folder.join("notify"))
        .env("WATCHDOG_USEC", "200000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said: Vec<String> = Vec::new();
    let mut buffer = [0; 256];
    while said.last().is_none_or(|last| last != "STOPPING=1") {
        let length = socket.recv(&mut buffer).unwrap();
        let word = String::from_utf8_lossy(&buffer[..length]).trim().to_owned();
        if word == "WATCHDOG=1" && !said.contains(&word) {
            kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
        }
        if !said.contains(&word) {
            said.push(word);
        }
    }
    assert!(child.wait().unwrap().success());
    said
}

#[test]
fn the_server_is_ready_lives_and_stops() {
    let (key, folder) = (PackageKey::new(), tempfile::tempdir().unwrap());
    let data = folder.path().join("data");
    run(binary("debfleet-server").arg("init").arg("--data").arg(&data).arg("--package-key").arg(key.keyring()))
        .success();
    let mut server = binary("debfleet-server");
    let said = said_by(server.arg("--data").arg(&data).args(["--http", "127.0.0.1:0"]), folder.path());
    assert_eq!(said, ["READY=1", "WATCHDOG=1", "STOPPING=1"]);
}

#[test]
fn the_updater_is_ready_lives_and_stops_also_where_no_server_answers() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("updater.toml");
    let text = "repository = \"http://127.0.0.1:1/debian\"\nsuite = \"stable\"\npackages = [\"hi\"]\n\
                repository-keyring = \"/nowhere\"\npackage-keyring = \"/nowhere\"\n";
    end_to_end::debian_root::put(&config, text.as_bytes());
    let mut updater = binary("debfleet-updater");
    let said = said_by(updater.arg("--config").arg(&config).arg("--root").arg(folder.path()).arg("run"), folder.path());
    assert_eq!(said, ["READY=1", "WATCHDOG=1", "STOPPING=1"]);
}
