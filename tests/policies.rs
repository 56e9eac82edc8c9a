//! What `debfleet policy` says and does.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::program::binary;
use end_to_end::{PackageKey, Server, run};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Of Twilio's Microvisor MQTT demo.
const MICROVISOR: &str = include_str!("../examples/policies/microvisor.json");

fn put(folder: &Path, name: &str, text: &str) -> String {
    end_to_end::debian_root::put(&folder.join(name), text.as_bytes());
    folder.join(name).display().to_string()
}

/// A device's certificate by the fleet's authority, registered; its id.
fn register(server: &Server, folder: &Path) -> String {
    let openssl =
        |arguments: &str| run(Command::new("openssl").current_dir(folder).args(arguments.split_whitespace())).success();
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=lamp-1/O=Example -keyout lamp.key -out lamp.csr",
    );
    put(folder, "lamp.ext", "extendedKeyUsage=clientAuth\n");
    let (ca, key) = (server.fleet_ca(), server.data().join("keys/fleet-ca.key"));
    let (ca, key) = (ca.display(), key.display());
    openssl(&format!("x509 -req -in lamp.csr -days 2 -extfile lamp.ext -CA {ca} -CAkey {key} -out lamp.pem"));
    let body = json!({ "certificatePem": std::fs::read_to_string(folder.join("lamp.pem")).unwrap() });
    let answer = run(Command::new("curl")
        .args(["-sS", "--json", &body.to_string(), "-H", &format!("Authorization: Bearer {}", server.token())])
        .arg(format!("{}/api/v1/certificates", server.url())));
    let answer: Value = serde_json::from_str(&answer.success()).unwrap();
    answer["certificateId"].as_str().expect("the answer tells its id").to_owned()
}

#[test]
fn a_policy_is_tested_on_a_server_and_holds_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&PackageKey::new());
    let debfleet = |arguments: &[&str]| run(&mut server.debfleet(arguments));
    let demo = put(folder.path(), "demo.json", MICROVISOR);
    let certificate = register(&server, folder.path());
    debfleet(&["thing", "create", "lamp-1"]).success();
    debfleet(&["thing", "attach", "lamp-1", &certificate]).success();
    debfleet(&["group", "create", "lamps"]).success();
    debfleet(&["group", "add", "lamps", "lamp-1"]).success();

    let publish = ["policy", "test", "publish", "sensor/device/lamp-1", "--thing", "lamp-1"];
    debfleet(&publish).fails(1, "denied: no statement of its policies allows it");
    debfleet(&["policy", "create", "demo", &demo]).success();
    debfleet(&["policy", "attach", "demo", "--group", "lamps"]).success();
    let told = debfleet(&publish).success();
    assert!(told.starts_with("allowed by statement 2 of the policy demo, version 1\n"), "{told}");
    assert!(told.contains(&format!("as the thing lamp-1, with the certificate {certificate}")), "{told}");
    assert!(told.contains("policy demo, version 1: attached to the group lamps"), "{told}");
    let other = ["policy", "test", "subscribe", "command/device/+", "--thing", "lamp-1"];
    debfleet(&other).fails(1, "demo, statement 3 does not allow it: it is about other resources");
    let stolen = ["policy", "test", "connect", "lamp-2", "--client", "lamp-2", "--certificate", &certificate];
    debfleet(&stolen).fails(1, "as no thing");

    // By what its certificate says, and without it.
    let document = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "iot:*", "Resource": "*",
          "Condition": { "StringEquals": { "iot:Certificate.Subject.Organization": "Example" } } },
        { "Sid": "quiet", "Effect": "Deny", "Action": "iot:Publish", "Resource": "arn:aws:iot:::topic/sensor/*" }] });
    let second = put(folder.path(), "second.json", &document.to_string());
    debfleet(&["policy", "version", "create", "demo", &second]).success();
    debfleet(&publish).success();
    debfleet(&["policy", "version", "default", "demo", "2"]).success();
    debfleet(&publish).fails(1, "denied by statement 2 (\"quiet\") of the policy demo, version 2");
    debfleet(&["policy", "test", "subscribe", "#", "--thing", "lamp-1"]).success();
    let shown = debfleet(&["policy", "show", "demo"]).success();
    assert!(shown.contains("in force\nattached to the group lamps\n"), "{shown}");
    assert_eq!(debfleet(&["policy", "show", "demo", "1", "--document"]).success(), MICROVISOR);

    debfleet(&["policy", "delete", "demo"]).fails(1, "detach it first");
    debfleet(&["policy", "detach", "demo", "--group", "lamps"]).success();
    debfleet(&["policy", "test", "subscribe", "#", "--thing", "lamp-1"])
        .fails(1, "no statement is about iot:Subscribe");
    debfleet(&["policy", "delete", "demo"]).success();
    let listed = debfleet(&["policy", "list"]).success();
    assert_eq!(
        listed.lines().map(|line| line.split(':').next().unwrap()).collect::<Vec<_>>(),
        ["initial", "intermediate", "people", "people-operators", "standard"]
    );
}

#[test]
fn a_document_is_tested_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let demo = put(folder.path(), "demo.json", MICROVISOR);
    let test = |arguments: &[&str]| {
        let mut command = binary("debfleet");
        command.env_remove("DEBFLEET_SERVER").env_remove("DEBFLEET_TOKEN").env_remove("DEBFLEET_CA");
        run(command.args(["policy", "test"]).args(arguments))
    };
    let told = test(&["publish", "sensor/device/UV1", "--thing", "UV1", "--document", &demo]).success();
    assert!(told.starts_with("allowed by statement 2 of the policy demo, version 1\n"), "{told}");
    test(&["publish", "sensor/device/UV1", "--client", "UV1", "--document", &demo])
        .fails(1, "the client has no value for ${iot:Connection.Thing.ThingName}");
    let json = test(&["connect", "UV1", "--thing", "UV1", "--document", &demo, "--json"]).success();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["authDecision"], &json["findings"][0]["applies"]), (&json!("ALLOWED"), &json!(true)));

    let site = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Publish",
        "Resource":"arn:aws:iot:::topic/${iot:Connection.Thing.Attributes[site]}/*"}}"#;
    let site = put(folder.path(), "site.json", site);
    let berlin = ["publish", "berlin/x", "--document", &site, "--thing", "lamp-1"];
    test(&[&berlin[..], &["--attribute", "site=berlin"]].concat()).success();
    test(&[&berlin[..], &["--attribute", "site=#"]].concat()).fails(1, "it is about other resources");
    let bad = put(folder.path(), "bad.json", &MICROVISOR.replace("iot:Receive", "iot:Recieve"));
    test(&["connect", "x", "--client", "x", "--document", &bad]).fails(1, "\"iot:Recieve\" is no action");
    test(&["connect", "x", "--client", "x"]).fails(2, "--server");
    test(&["connect", "x", "--document", &demo]).fails(1, "--client or --thing");
}
