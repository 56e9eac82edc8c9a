//! Amazon's device SDK, as it is.

use crate::running::{Server, Site};
use std::path::Path;
use std::process::Command;

/// A program that uses it; its first arguments are where the server is, and whom to trust.
pub(crate) fn program(script: &str, site: &Site, server: &Server) -> Command {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/awsiotsdk/bin/python");
    assert!(python.exists(), "{} is missing; `cargo xtask test` installs it", python.display());
    let mut program = Command::new(python);
    program.args(["-c", script, "localhost"]).arg(server.port("mqtts").to_string()).arg(site.data.join("fleet-ca.pem"));
    program
}

#[test]
fn the_official_sdks_shadow_clients_of_both_generations_work() {
    let site = Site::with_policy();
    let lamp = site.enrolled("lamp-1");
    let server = site.start_with(&["--mqtts", "127.0.0.1:0"]);
    let mut client = program(include_str!("official/shadows.py"), &site, &server);
    client.args([&lamp.pem, &lamp.key]).arg(&lamp.name);
    let told = client.output().unwrap();
    assert!(told.status.success() && told.stdout == b"done\n", "{}", String::from_utf8_lossy(&told.stderr));
}
