//! schemathesis asks the server whatever its own document allows, and much that it does not.

use crate::backends::AT_SCALE;
use crate::package::hi;
use crate::running::{Answer, Site, agent};
use fleet_protocol::suites::SUITES_PATH;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

#[test]
fn whatever_is_asked_the_server_answers_as_its_document_says() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/schemathesis/bin/schemathesis");
    assert!(program.exists(), "{} is missing; `cargo xtask test` installs it", program.display());
    let site = Site::new();
    let server = site.start_with(&["--http", "127.0.0.1:0", "--trusted-proxies", "127.0.0.1", "--log", "error"]);
    let made = agent().post(server.url(SUITES_PATH)).header("Authorization", format!("Bearer {}", site.token));
    assert_eq!(Answer::of(made.content_type("application/json").send(r#"{"name":"beta"}"#)).status, 201);
    for suite in ["stable", "beta"] {
        let deb = hi("1.3.0-1").signed_by(&site.package_key);
        server.try_publish(suite, &site.token, &deb).unwrap().published();
    }
    site.change_database(
        "INSERT INTO things (name, id, attributes, version, created_at) VALUES ('lamp-1', 'a1', '{}', 1, 0)",
    );
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("hooks.py", include_str!("schemathesis/hooks.py")),
        ("schemathesis.toml", include_str!("schemathesis/schemathesis.toml")),
    ] {
        durable_files::replace(&folder.path().join(name), text.as_bytes(), 0o644).unwrap();
    }
    // A change of who reads a suite takes seconds where several processes have to know of it.
    let examples = if AT_SCALE { "--max-examples=5" } else { "--max-examples=40" };
    let run = Command::new(program)
        .current_dir(folder.path())
        .env("DEBFLEET_TOKEN", &site.token)
        // 404 is also said of what a body names, such as the suite that a package is promoted from.
        .args(["run", "--checks=all", "--exclude-checks=ensure_resource_availability"])
        .args(["--seed=1", "--continue-on-failure", "--no-color", examples])
        .arg(server.url("/api/v1/openapi.json"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{told}{}", String::from_utf8_lossy(&run.stderr));
    let document: Value = serde_json::from_slice(&server.body("/api/v1/openapi.json")).unwrap();
    // It does not ask for the document once more.
    let paths = document["paths"].as_object().unwrap().iter().filter(|(path, _)| *path != "/api/v1/openapi.json");
    let operations: usize = paths.map(|(_, item)| item.as_object().unwrap().len()).sum();
    assert!(told.contains(&format!("Selected: {operations}/{operations}")), "{operations} operations: {told}");
}
