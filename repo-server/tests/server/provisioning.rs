//! Devices that come with a claim and become things, over HTTPS: as they should, cut off, and as thieves.

use crate::certificates::{BOTH, Identity, id_of, read};
use crate::messaging::official;
use crate::running::{Answer, Server, Site};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

const CLAIMS: &str = "/api/v1/provisioning/claims";
const CREATE: &str = "/api/v1/device/certificates/create-from-csr";

/// A template that names things by their serial number.
fn lamps() -> Value {
    json!({
        "Parameters": {"SerialNumber": {"Type": "String"}, "Color": {"Type": "String", "Default": "white"}},
        "Resources": {
            "thing": {"Type": "AWS::IoT::Thing", "Properties": {
                "ThingName": {"Fn::Join": ["-", ["lamp", {"Ref": "SerialNumber"}]]},
                "AttributePayload": {"color": {"Ref": "Color"}}
            }},
            "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
                "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"
            }},
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/lamps"}]
            }}}
        },
        "DeviceConfiguration": {"greeting": {"Fn::Sub": "hello ${SerialNumber}"}}
    })
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// A signing request that asks for this name.
fn request(key: &KeyPair, name: &str) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serialize_request(key).unwrap().pem().unwrap()
}

impl Server {
    #[track_caller]
    fn set_template(&self, name: &str, settings: Value) {
        let answer = self.ask("PUT", &format!("/api/v1/provisioning/templates/{name}"), Some(settings));
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    }

    #[track_caller]
    fn claim(&self, template: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let asked = json!({
            "name": "first batch", "templateName": template, "certificateSigningRequest": request(&key, "x")
        });
        let answer = self.ask("POST", CLAIMS, Some(asked));
        assert_eq!(answer.status, 201, "{}", answer.text());
        Identity { pem: json_of(&answer)["certificatePem"].as_str().unwrap().to_owned(), key: key.serialize_pem() }
    }

    /// The groups that a thing is in.
    fn groups_of(&self, thing: &str) -> Vec<String> {
        let answer = self.ask("GET", &format!("/api/v1/things/{thing}/thing-groups"), None);
        let groups = json_of(&answer)["thingGroups"].as_array().unwrap().clone();
        groups.iter().map(|group| group.as_str().unwrap().to_owned()).collect()
    }

    fn audit_text(&self) -> String {
        self.ask("GET", "/api/v1/audit", None).text()
    }

    fn set_status(&self, id: &str, status: &str) -> u16 {
        self.ask("PUT", &format!("/api/v1/certificates/{id}/status"), Some(json!({"status": status}))).status
    }
}

/// Somebody with a client certificate.
struct Party<'a> {
    agent: ureq::Agent,
    server: &'a Server,
}

impl Party<'_> {
    fn post(&self, path: &str, body: Value) -> Answer {
        let request = self.agent.post(format!("{}{path}", self.server.bases[1])).content_type("application/json");
        Answer::of(request.send(body.to_string()))
    }

    fn create(&self, request: &str) -> Answer {
        self.post(CREATE, json!({"certificateSigningRequest": request}))
    }

    /// A certificate and a token for this key.
    #[track_caller]
    fn given(&self, key: &KeyPair) -> (Identity, String) {
        let answer = self.create(&request(key, "whatever"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let given = json_of(&answer);
        let text = |name: &str| given[name].as_str().unwrap().to_owned();
        let identity = Identity { pem: text("certificatePem"), key: key.serialize_pem() };
        assert_eq!(id_of(&identity), text("certificateId"));
        (identity, text("certificateOwnershipToken"))
    }

    fn register_by(&self, template: &str, token: &str, parameters: Value) -> Answer {
        let path = format!("/api/v1/device/provisioning-templates/{template}/provision");
        self.post(&path, json!({"certificateOwnershipToken": token, "parameters": parameters}))
    }

    fn register(&self, token: &str, serial: &str) -> Answer {
        self.register_by("lamps", token, json!({"SerialNumber": serial}))
    }

    /// All of it; the device's own certificate.
    #[track_caller]
    fn provision(&self, key: &KeyPair, serial: &str) -> Identity {
        let (identity, token) = self.given(key);
        let answer = self.register(&token, serial);
        assert_eq!(answer.status, 200, "{}", answer.text());
        identity
    }
}

impl Site {
    fn party<'a>(&self, server: &'a Server, identity: &Identity) -> Party<'a> {
        Party { agent: self.device(identity), server }
    }

    /// A server with the template `lamps`, and a claim for it.
    fn start_provisioning(&self) -> (Server, Identity) {
        let server = self.start_private(&BOTH);
        server.set_template("lamps", json!({"templateBody": lamps().to_string()}));
        let claim = server.claim("lamps");
        (server, claim)
    }
}

#[test]
fn a_device_becomes_a_thing_and_is_verified_by_its_first_connection() {
    let site = Site::new();
    let (server, claim) = site.start_provisioning();
    let factory = site.party(&server, &claim);
    assert_eq!(read(&factory.agent, &server, &[]).status, 401, "a claim reads nothing");
    let key = KeyPair::generate().unwrap();
    let (own, token) = factory.given(&key);
    assert_eq!(read(&site.device(&own), &server, &[]).status, 401, "it does not count before the registration");

    let registered = factory.register(&token, "S1");
    assert_eq!(registered.status, 200, "{}", registered.text());
    let registered = json_of(&registered);
    assert_eq!(registered, json!({"thingName": "lamp-S1", "deviceConfiguration": {"greeting": "hello S1"}}));
    assert_eq!(server.groups_of("lamp-S1"), ["unverified"]);
    let thing = json_of(&server.ask("GET", "/api/v1/things/lamp-S1", None));
    assert_eq!(thing["attributes"]["color"], "white");

    assert_eq!(read(&site.device(&own), &server, &[]).status, 200);
    assert_eq!(server.groups_of("lamp-S1"), ["verified"]);
    let described = json_of(&server.ask("GET", &format!("/api/v1/certificates/{}", id_of(&own)), None));
    assert_eq!((described["status"].as_str(), &described["things"]), (Some("ACTIVE"), &json!(["lamp-S1"])));
    let policies = server.ask("GET", "/api/v1/policies", None).text();
    assert!(policies.contains("initial"), "{policies}");
    assert!(server.audit_text().contains("thing.provision"));
}

#[test]
fn a_device_that_was_cut_off_at_any_step_begins_again_and_ends_where_it_would_have() {
    let site = Site::new();
    let (mut server, claim) = site.start_provisioning();
    let key = KeyPair::generate().unwrap();
    // Before it had the certificate.
    let (first, lost) = site.party(&server, &claim).given(&key);
    // And the server, too.
    server.kill();
    let server = site.start_with(&BOTH);
    let factory = site.party(&server, &claim);
    let (again, token) = factory.given(&key);
    assert_eq!(again.pem, first.pem);
    // Before it knew that it was registered.
    assert_eq!(factory.register(&token, "S1").status, 200);
    for old in [&lost, &token] {
        let refused = factory.register(old, "S1");
        assert_eq!(refused.status, 422, "a token counts once");
        // By which the device knows to ask anew, as over MQTT.
        assert_eq!(json_of(&refused)["errorCode"], "InvalidCertificateOwnershipToken");
        assert!(refused.problem().detail.contains("with the same key"), "{}", refused.text());
    }
    let own = factory.provision(&key, "S1");
    assert_eq!(own.pem, first.pem);
    // And after it was connected.
    assert_eq!(read(&site.device(&own), &server, &[]).status, 200);
    factory.provision(&key, "S1");
    assert_eq!(server.groups_of("lamp-S1"), ["verified"]);
    assert_eq!(read(&site.device(&own), &server, &[]).status, 200);
    let certificates = json_of(&server.ask("GET", "/api/v1/certificates?kind=device", None));
    assert_eq!(certificates["certificates"].as_array().unwrap().len(), 1);
}

#[test]
fn an_ownership_token_counts_once_for_an_hour_and_for_one_claim() {
    let site = Site::new();
    let (server, claim) = site.start_provisioning();
    let factory = site.party(&server, &claim);
    let key = KeyPair::generate().unwrap();
    let (_, token) = factory.given(&key);
    let other = site.party(&server, &server.claim("lamps"));
    assert_eq!(other.register(&token, "S1").status, 422, "another claim's");
    for wrong in ["", "x", &"A".repeat(43), &"A".repeat(10_000)] {
        assert_eq!(factory.register(wrong, "S1").status, 422);
    }
    site.change_database("UPDATE ownership_tokens SET expires_at = 1000");
    assert_eq!(factory.register(&token, "S1").status, 422, "it is over");
    assert_eq!(server.ask("GET", "/api/v1/things/lamp-S1", None).status, 404);
    let own = factory.provision(&key, "S1");
    assert_eq!(read(&site.device(&own), &server, &[]).status, 200);
}

#[test]
fn whoever_asks_for_the_name_of_another_device_gets_nothing() {
    let site = Site::new();
    let (server, claim) = site.start_provisioning();
    let (factory, thief) = (site.party(&server, &claim), site.party(&server, &claim));
    let key = KeyPair::generate().unwrap();
    let own = factory.provision(&key, "S1");

    let other = KeyPair::generate().unwrap();
    let stolen = thief.create(&request(&other, "lamp-S1"));
    assert_eq!(stolen.status, 403, "{}", stolen.text());
    let (stolen, token) = thief.given(&other);
    let refused = thief.register(&token, "S1");
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(!refused.text().contains(&id_of(&own)), "nor is it told more than it needs");
    assert_eq!(read(&site.device(&stolen), &server, &[]).status, 401);
    // What it may be is something else. Then it cannot renew itself into another thing either.
    assert_eq!(thief.register(&token, "S2").status, 200);
    let device = site.party(&server, &stolen);
    assert_eq!(device.create(&request(&KeyPair::generate().unwrap(), "lamp-S1")).status, 403);
    assert_eq!(device.create(&request(&key, "lamp-S2")).status, 403, "nor with another's key");
    assert_eq!(device.register(&token, "S1").status, 403);

    assert_eq!(read(&site.device(&own), &server, &[]).status, 200, "the owner goes on");
    let audit = server.audit_text();
    assert!(audit.contains("the name lamp-S1") && audit.contains("\"refused\""), "{audit}");
    // An operator can say that the device was set up anew.
    assert_eq!(server.set_status(&id_of(&own), "REVOKED"), 200);
    let new = factory.provision(&KeyPair::generate().unwrap(), "S1");
    assert_eq!(read(&site.device(&new), &server, &[]).status, 200);
    assert_eq!(read(&site.device(&own), &server, &[]).status, 401);
    assert_eq!(factory.create(&request(&key, "x")).status, 403, "the revoked key stays so");
}

#[test]
fn what_is_no_signing_request_of_a_good_key_is_refused() {
    let site = Site::new();
    let (server, claim) = site.start_provisioning();
    let factory = site.party(&server, &claim);
    let key = KeyPair::generate().unwrap();
    let good = request(&key, "x");
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let claims = KeyPair::from_pem(&claim.key).unwrap();
    for (bad, status) in [
        (String::new(), 422),
        ("x".to_owned(), 422),
        (good.replace("CERTIFICATE REQUEST", "CERTIFICATE"), 422),
        (good.clone() + &"\n".repeat(5000), 422),
        (request(&ed25519, "x"), 422),
        (request(&claims, "x"), 403),
    ] {
        let answer = factory.create(&bad);
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    let unreadable = factory.post(CREATE, json!({"certificateSigningRequest": 1}));
    assert_eq!((unreadable.status, json_of(&unreadable)["errorCode"].as_str()), (400, Some("InvalidPayload")));
    let long = json!({"certificateSigningRequest": "x".repeat(100_000)});
    assert_eq!(factory.post(CREATE, long).status, 413);
    // Over plain HTTP, and without a certificate, there is no device.
    let body = json!({"certificateSigningRequest": good});
    let stranger = server.ask("POST", CREATE, Some(body));
    assert_eq!((stranger.status, json_of(&stranger)["errorCode"].as_str()), (403, Some("AccessDenied")));
    assert_eq!(factory.create(&good).status, 200);
}

#[test]
fn only_listed_serial_numbers_are_registered_and_each_as_one_thing() {
    let site = Site::new();
    let (server, claim) = site.start_provisioning();
    let mut free = lamps();
    free["Parameters"]["Name"] = json!({"Type": "String"});
    free["Resources"]["thing"]["Properties"]["ThingName"] = json!({"Ref": "Name"});
    server.set_template("lamps", json!({"templateBody": free.to_string(), "listedOnly": true}));
    let serials = "/api/v1/provisioning/templates/lamps/serials";
    let add = |serials_: Value| server.ask("POST", serials, Some(json!({ "serials": serials_ })));
    assert_eq!(add(json!(["S1", "a b"])).status, 422);
    assert_eq!(json_of(&add(json!(["S1", "S2", "S1"])))["added"], 2);
    assert_eq!(json_of(&add(json!(["S1", "S3"])))["added"], 1);
    let factory = site.party(&server, &claim);
    let register = |key: &KeyPair, parameters: Value| {
        let (_, token) = factory.given(key);
        factory.register_by("lamps", &token, parameters).status
    };
    let key = || KeyPair::generate().unwrap();
    assert_eq!(register(&key(), json!({"SerialNumber": "S9", "Name": "n1"})), 403);
    assert_eq!(register(&key(), json!({"Name": "n1"})), 422);
    let first = key();
    assert_eq!(register(&first, json!({"SerialNumber": "S1", "Name": "n1"})), 200);
    assert_eq!(register(&first, json!({"SerialNumber": "S1", "Name": "n1"})), 200, "it was cut off");
    assert_eq!(register(&key(), json!({"SerialNumber": "S1", "Name": "n2"})), 403);
    let listed = json_of(&server.ask("GET", serials, None));
    assert!(listed["serials"][0]["usedAt"].is_string() && listed["serials"][1]["usedAt"].is_null(), "{listed}");
    assert_eq!(server.ask("DELETE", &format!("{serials}/S2"), None).status, 200);
    assert_eq!(register(&key(), json!({"SerialNumber": "S2", "Name": "n2"})), 403);
}

/// A hook that answers one request with this, and gives what it was asked. Without a status it says nothing.
fn hook(status: &str, body: &str) -> (String, JoinHandle<Value>) {
    let answer = match status {
        "" => String::new(),
        status => format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        let mut piece = [0; 4096];
        loop {
            let length = stream.read(&mut piece).unwrap();
            text.push_str(std::str::from_utf8(&piece[..length]).unwrap());
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let header =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= header.unwrap_or(0usize) {
                let body = serde_json::from_str(body).unwrap();
                let _ = stream.write_all(answer.as_bytes());
                if answer.is_empty() {
                    // It says nothing until the other side goes.
                    let _ = stream.read(&mut piece);
                }
                return body;
            }
        }
    });
    (url, asked)
}

#[test]
fn the_hook_decides_and_its_word_stands_in_for_the_devices() {
    let site = Site::new();
    let (server, claim) = site.start_provisioning();
    let factory = site.party(&server, &claim);
    let key = KeyPair::generate().unwrap();
    let with_hook = |status: &str, body: &str| {
        let (url, asked) = hook(status, body);
        server.set_template("lamps", json!({"templateBody": lamps().to_string(), "hookUrl": url}));
        let (own, token) = factory.given(&key);
        (factory.register(&token, "S1"), own, asked.join().unwrap())
    };
    let (refused, own, asked) = with_hook("200 OK", r#"{"allowProvisioning": false}"#);
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(asked["claimCertificateId"], *id_of(&claim));
    assert_eq!((&asked["certificateId"], &asked["certificatePem"]), (&json!(id_of(&own)), &json!(own.pem)));
    assert_eq!(asked["parameters"], json!({"SerialNumber": "S1"}));
    assert_eq!(asked["templateArn"], "arn:aws:iot:::provisioningtemplate/lamps");
    let yes = r#"{"allowProvisioning": true}"#;
    // The last one takes the five seconds that it may.
    for (status, body) in [("500 Oh", yes), ("200 OK", "{}"), ("307 No\r\nlocation: /elsewhere", ""), ("", "")] {
        assert_eq!(with_hook(status, body).0.status, 500, "{status}");
    }
    assert_eq!(server.ask("GET", "/api/v1/things/lamp-S1", None).status, 404);
    let changed = r#"{"allowProvisioning": true, "parameterOverrides": {"Color": "red"}}"#;
    assert_eq!(with_hook("200 OK", changed).0.status, 200);
    assert_eq!(json_of(&server.ask("GET", "/api/v1/things/lamp-S1", None))["attributes"]["color"], "red");
}

#[test]
fn a_device_renews_its_certificate_and_the_old_one_counts_until_the_new_one_was_used() {
    let site = Site::new();
    let (server, claim) = site.start_provisioning();
    let old = site.party(&server, &claim).provision(&KeyPair::generate().unwrap(), "S1");
    let device = site.party(&server, &old);
    let key = KeyPair::generate().unwrap();
    // An attempt with another key came to nothing, one with this key was cut off.
    let (forgotten, _) = device.given(&KeyPair::generate().unwrap());
    let (first, _) = device.given(&key);
    let (new, _) = device.given(&key);
    assert_eq!(first.pem, new.pem);
    assert_eq!(read(&site.device(&forgotten), &server, &[]).status, 401);
    assert_eq!(read(&device.agent, &server, &[]).status, 200, "the old one counts");
    assert_eq!(server.groups_of("lamp-S1"), ["verified"]);

    assert_eq!(read(&site.device(&new), &server, &[]).status, 200);
    assert_eq!(read(&device.agent, &server, &[]).status, 401, "now it does not");
    assert_eq!(device.create(&request(&key, "x")).status, 403);
    assert_eq!(server.groups_of("lamp-S1"), ["verified"]);
    let speaks_for = |identity: &Identity| {
        json_of(&server.ask("GET", &format!("/api/v1/certificates/{}", id_of(identity)), None))["things"].clone()
    };
    assert_eq!(speaks_for(&new), json!(["lamp-S1"]));
    assert_eq!((speaks_for(&old), speaks_for(&forgotten)), (json!([]), json!([])), "they take no place");
    // The next one may be for the same key.
    let (next, _) = site.party(&server, &new).given(&key);
    assert_ne!(next.pem, new.pem);
    assert_eq!(read(&site.device(&next), &server, &[]).status, 200);
}

#[test]
fn a_renewal_that_a_thief_asked_for_ends_with_the_stolen_certificate() {
    let site = Site::new();
    let (server, claim) = site.start_provisioning();
    let stolen = site.party(&server, &claim).provision(&KeyPair::generate().unwrap(), "S1");
    let (of_thief, _) = site.party(&server, &stolen).given(&KeyPair::generate().unwrap());
    assert_eq!(server.set_status(&id_of(&stolen), "REVOKED"), 200);
    assert_eq!(read(&site.device(&of_thief), &server, &[]).status, 401);
    // A revoked claim takes no device along.
    let other = site.party(&server, &claim).provision(&KeyPair::generate().unwrap(), "S2");
    assert_eq!(server.set_status(&id_of(&claim), "REVOKED"), 200);
    assert_eq!(read(&site.device(&other), &server, &[]).status, 200);
}

#[test]
fn a_claim_counts_for_its_template_until_it_is_revoked() {
    let site = Site::new();
    let (server, claim) = site.start_provisioning();
    server.set_template("fans", json!({"templateBody": lamps().to_string()}));
    let factory = site.party(&server, &claim);
    let key = KeyPair::generate().unwrap();
    let (_, token) = factory.given(&key);
    assert_eq!(factory.register_by("fans", &token, json!({"SerialNumber": "S1"})).status, 403);
    assert_eq!(factory.register_by("none", &token, json!({"SerialNumber": "S1"})).status, 403);
    server.set_template("lamps", json!({"templateBody": lamps().to_string(), "enabled": false}));
    assert_eq!(factory.register(&token, "S1").status, 403);
    assert_eq!(factory.create(&request(&key, "x")).status, 403);
    server.set_template("lamps", json!({"templateBody": lamps().to_string()}));
    assert_eq!(server.ask("DELETE", "/api/v1/provisioning/templates/lamps", None).status, 409);
    server.ask("POST", "/api/v1/things", Some(json!({"things": [{"thingName": "x"}]})));
    let attached = server.ask("PUT", &format!("/api/v1/things/x/principals/{}", id_of(&claim)), None);
    assert_eq!(attached.status, 409, "what many devices have speaks for no single one");

    assert_eq!(server.set_status(&id_of(&claim), "REVOKED"), 200);
    assert_eq!(factory.register(&token, "S1").status, 403, "on the connection that is open");
    assert_eq!(factory.create(&request(&key, "x")).status, 403);
    assert_eq!(server.ask("DELETE", "/api/v1/provisioning/templates/lamps", None).status, 200);
}

#[test]
fn a_claim_is_made_on_the_server_itself() {
    let site = Site::new();
    let server = site.start_private(&BOTH);
    server.set_template("lamps", json!({"templateBody": lamps().to_string()}));
    let out = site.data.with_file_name("claim");
    let create = |template: &str| {
        let mut command = site.command();
        command.args(["claim", "create", "first batch", "--template", template, "--days", "30"]);
        command.arg("--out").arg(&out).arg("--data").arg(&site.data).output().unwrap()
    };
    let refused = create("fans");
    assert!(!refused.status.success() && !out.exists(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("there is no provisioning template fans"), "{refused:?}");
    let made = create("lamps");
    assert!(made.status.success(), "{made:?}");
    assert!(!create("lamps").status.success(), "nothing is overwritten");
    let file = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let claim = Identity { pem: file("claim.pem"), key: file("claim.key") };
    assert_eq!(file("fleet-ca.pem"), std::fs::read_to_string(site.data.join("fleet-ca.pem")).unwrap());
    let own = site.party(&server, &claim).provision(&KeyPair::generate().unwrap(), "S1");
    assert_eq!(read(&site.device(&own), &server, &[]).status, 200);
}

#[test]
fn the_official_sdks_provisioning_clients_of_both_generations_work() {
    let site = Site::new();
    let server = site.start_private(&[&BOTH[..], &["--mqtts", "127.0.0.1:0"]].concat());
    server.set_template("lamps", json!({"templateBody": lamps().to_string()}));
    let (claim, key) = (server.claim("lamps"), KeyPair::generate().unwrap());
    let file = |name: &str, text: &str| {
        let path = site.data.with_file_name(name);
        durable_files::replace(&path, text.as_bytes(), 0o600).unwrap();
        path
    };
    let (claim_pem, claim_key) = (file("claim.pem", &claim.pem), file("claim.key", &claim.key));
    let (csr, key_file) = (file("device.csr", &request(&key, "x")), file("device.key", &key.serialize_pem()));
    let mut device = official::program(include_str!("messaging/official/provisioning.py"), &site, &server);
    let told = device.args([claim_pem, claim_key, csr, key_file]).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let id = String::from_utf8(told.stdout).unwrap();
    let known = json_of(&server.ask("GET", &format!("/api/v1/certificates/{}", id.trim()), None));
    assert_eq!((known["status"].as_str(), &known["things"]), (Some("ACTIVE"), &json!(["lamp-S1"])));
    assert_eq!(server.groups_of("lamp-S1"), ["verified"], "by its first connection");
}
