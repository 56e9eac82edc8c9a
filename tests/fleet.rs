//! A device joins a fleet, tells what it is, and does what is wished: the built updater, server and broker.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::debian_root::put;
use end_to_end::{Broker, Device, Ended, PackageKey, Server, Source, Wire, run};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What comes of a device: a thing named by its serial number, with the certificate it asked for.
const TEMPLATE: &str = r#"{
  "Parameters": {"SerialNumber": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}},
  "Resources": {
    "thing": {"Type": "AWS::IoT::Thing", "Properties": {
      "ThingName": {"Ref": "SerialNumber"}, "ThingGroups": ["unverified"]}},
    "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
      "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}}
  },
  "DeviceConfiguration": {"Place": "cellar"}
}"#;

/// Its health check fails.
const BROKEN: &str = "#!/bin/sh\necho I am broken\nexit 1\n";

/// For what goes on in other processes; far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that takes in lamps, and a lamp that is not one of its things yet.
struct Fleet {
    broker: Broker,
    server: Server,
    key: PackageKey,
    device: Device,
    files: TempDir,
}

impl Fleet {
    fn new(broker: Broker) -> Self {
        let key = PackageKey::new();
        let server = Server::start_fleet(&key, broker);
        server.publish(&Source::hi().build(&key));
        let files = tempfile::tempdir().unwrap();
        let template = files.path().join("lamps.json");
        put(&template, TEMPLATE.as_bytes());
        let device = Device::of_fleet(&server, &key);
        let fleet = Self { broker, server, key, device, files };
        fleet.debfleet(&["provisioning", "template", "set", "lamps", "--file", template.to_str().unwrap()]);
        let claim = fleet.claim();
        let claim = claim.to_str().unwrap();
        fleet.debfleet(&["provisioning", "claim", "create", "lamps", "--template", "lamps", "--out", claim]);
        fleet
    }

    #[track_caller]
    fn debfleet(&self, arguments: &[&str]) -> String {
        run(&mut self.server.debfleet(arguments)).success()
    }

    fn claim(&self) -> PathBuf {
        self.files.path().join("claim")
    }

    /// A device that talks MQTT to the broker at `endpoint`; more about its provisioning in `extra`.
    fn configure(&self, endpoint: &str, extra: &str) {
        let (claim, ca) = (self.claim(), self.server.fleet_ca());
        let (claim, ca) = (claim.display(), ca.display());
        let text = format!(
            "ca = \"{ca}\"\n[fleet]\nendpoint = \"{endpoint}\"\nkeep-alive = 5\n[provisioning]\ntemplate = \"lamps\"\n\
             claim-certificate = \"{claim}/claim.pem\"\nclaim-key = \"{claim}/claim.key\"\n\
             parameters = {{ SerialNumber = \"lamp-1\" }}\n{extra}"
        );
        self.device.configure(self.server.url(), &text);
    }

    /// It talks MQTT, and where that cannot tell who asks for a certificate, it asks the server itself.
    fn over_mqtt(&self) {
        self.over_mqtt_with("");
    }

    fn over_mqtt_with(&self, extra: &str) {
        let server = match self.broker {
            Broker::Embedded => String::new(),
            Broker::Mosquitto => format!("server = \"{}\"\n", self.server.url()),
        };
        self.configure(&format!("mqtts://{}", self.server.mqtts()), &format!("{server}{extra}"));
    }

    fn identity(&self) -> PathBuf {
        self.device.root.path().join("var/lib/debfleet/identity")
    }

    /// What the server holds of a shadow, once it is as it should be.
    #[track_caller]
    fn shadow(&self, name: &str, is_right: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let asked = run(&mut self.server.debfleet(&["thing", "shadow", "get", "lamp-1", "--name", name, "--json"]));
            let shown: Value = serde_json::from_str(&asked.stdout).unwrap_or_default();
            if is_right(&shown) {
                return shown;
            }
            assert!(Instant::now() < deadline, "the shadow {name} is {shown}\n{}", asked.stderr);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What the operator wishes of the device.
    #[track_caller]
    fn wish(&self, update: &Value) {
        let desired = json!({ "update": update }).to_string();
        self.debfleet(&["thing", "shadow", "set", "lamp-1", "--name", "debfleet", "--desired", &desired]);
    }

    fn run(&self) -> Running {
        let mut command = self.device.command(&["run"]);
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

/// `run`, until the test ends it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Each of these runs on every broker.
macro_rules! on_every_broker {
    ($($test:ident),+ $(,)?) => {
        mod embedded {
            $(#[test] fn $test() { super::$test(super::Broker::Embedded); })+
        }

        mod mosquitto {
            $(#[test] fn $test() { super::$test(super::Broker::Mosquitto); })+
        }
    };
}

on_every_broker!(
    a_device_joins_reports_what_is_installed_and_carries_out_a_wish,
    a_wish_for_a_release_that_does_not_work_is_rolled_back_and_told_once,
    a_certificate_that_ends_soon_is_renewed_with_a_new_key,
    a_local_brokers_bridge_speaks_for_the_device,
    a_key_that_a_token_keeps_never_leaves_it,
);

fn a_device_joins_reports_what_is_installed_and_carries_out_a_wish(broker: Broker) {
    let fleet = Fleet::new(broker);
    fleet.over_mqtt();
    fleet.device.install();
    let said = fleet.device.updater(&["provision"]).success();
    assert!(said.contains("lamp-1"), "{said}");
    assert_eq!(said, fleet.device.updater(&["provision"]).success(), "again it changes nothing");
    for secret in ["identity.json", "device.key"] {
        let mode = fleet.identity().join(secret).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    let things = fleet.debfleet(&["group", "things", "unverified"]);
    assert!(things.contains("lamp-1"), "{things}");

    let _running = fleet.run();
    let packages = fleet.shadow("$package", |shadow| shadow["state"]["reported"]["hi"]["version"] == "0.1.0-1");
    assert_eq!(packages["state"]["reported"], json!({"hi": {"version": "0.1.0-1"}}));
    let things = fleet.debfleet(&["group", "things", "verified"]);
    assert!(things.contains("lamp-1"), "its own certificate has connected: {things}");

    let connected = fleet.debfleet(&["thing", "search", "connectivity.connected:true"]);
    assert!(connected.contains("lamp-1"), "{connected}");

    fleet.server.publish(&Source::hi().bumped("0.2.0").build(&fleet.key));
    let wish = json!({"operation": "update", "packages": [{"name": "hi", "version": "0.2.0-1"}], "suite": "stable"});
    fleet.wish(&wish);
    fleet.shadow("$package", |shadow| shadow["state"]["reported"]["hi"]["version"] == "0.2.0-1");
    let done = fleet.shadow("debfleet", |shadow| shadow["state"]["reported"]["outcome"]["status"] == "succeeded");
    assert_eq!(done["state"]["reported"]["update"], wish);
    assert_eq!(done["state"]["reported"]["state"], "committed");
}

fn a_wish_for_a_release_that_does_not_work_is_rolled_back_and_told_once(broker: Broker) {
    let fleet = Fleet::new(broker);
    fleet.over_mqtt();
    fleet.device.install();
    fleet.device.updater(&["provision"]).success();
    fleet.server.publish(&Source::hi().bumped("0.2.0").with_file("hi", BROKEN).build(&fleet.key));
    let wish = json!({"operation": "update", "packages": [{"name": "hi", "version": "0.2.0-1"}], "suite": "stable"});
    fleet.wish(&wish);
    let running = fleet.run();
    let failed = |shadow: &Value| shadow["state"]["reported"]["outcome"]["status"] == "rolled-back";
    let told = fleet.shadow("debfleet", failed);
    assert!(told["state"]["reported"]["outcome"]["reason"].as_str().unwrap().contains("I am broken"), "{told}");
    drop(running);
    // After a restart, too, it is not tried again.
    let _running = fleet.run();
    fleet.server.publish(&Source::hi().bumped("0.3.0").build(&fleet.key));
    let other = json!({"operation": "dance"});
    fleet.wish(&Value::Null);
    fleet.wish(&other);
    fleet.shadow("debfleet", |shadow| shadow["state"]["reported"]["outcome"]["status"] == "rejected");
    let tried = fleet.device.updater(&["history", "--json"]).success();
    let tried: Vec<Value> = serde_json::from_str(&tried).unwrap();
    assert_eq!(tried.iter().filter(|entry| entry["outcome"] == "rolled-back").count(), 1, "{tried:#?}");
}

/// Runs `provision` with a network that breaks ever later in the server's answers, until it comes through.
fn provision_through_cuts(fleet: &Fleet, wire: &Wire, step: u64) -> u32 {
    let mut cuts = 0;
    loop {
        wire.break_after(u64::from(cuts) * step);
        let ended: Ended = fleet.device.updater(&["provision"]);
        if ended.code == 0 {
            return cuts;
        }
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        cuts += 1;
    }
}

#[test]
fn a_provisioning_that_is_cut_off_anywhere_goes_on_over_mqtt() {
    let fleet = Fleet::new(Broker::Embedded);
    let wire = Wire::to(&fleet.server.mqtts());
    fleet.configure(&format!("mqtts://{}", wire.address()), "");
    let cuts = provision_through_cuts(&fleet, &wire, 150);
    assert!(cuts > 10, "only {cuts} cuts: the wire did not break where something is said");
    wire.mend();
    let _running = fleet.run();
    fleet.shadow("debfleet", |shadow| shadow["state"]["reported"]["suite"] == "stable");
}

#[test]
fn a_device_without_mqtt_joins_over_https_and_survives_cuts() {
    let fleet = Fleet::new(Broker::Embedded);
    let wire = Wire::to(fleet.server.url().trim_start_matches("https://"));
    fleet.configure("mqtts://127.0.0.1:1", &format!("server = \"https://{}\"\n", wire.address()));
    let cuts = provision_through_cuts(&fleet, &wire, 150);
    assert!(cuts > 10, "only {cuts} cuts: the wire did not break where something is said");
    let things = fleet.debfleet(&["thing", "show", "lamp-1", "--json"]);
    assert!(things.contains("lamp-1"), "{things}");
}

fn a_certificate_that_ends_soon_is_renewed_with_a_new_key(broker: Broker) {
    let fleet = Fleet::new(broker);
    fleet.over_mqtt();
    fleet.debfleet(&["thing", "create", "lamp-1"]);
    fleet.debfleet(&["group", "add", "verified", "lamp-1"]);
    let files = fleet.files.path();
    let keys = fleet.server.data().join("keys/fleet-ca.key");
    let openssl = format!(
        "openssl ecparam -name prime256v1 -genkey -noout -out lamp.key; \
         openssl req -new -key lamp.key -subj /CN=lamp-1 -out lamp.csr; \
         echo extendedKeyUsage=clientAuth > lamp.ext; \
         faketime '-10 days' openssl x509 -req -in lamp.csr -CA {} -CAkey {} -CAcreateserial -CAserial serial -days 11 -extfile lamp.ext -out lamp.pem",
        fleet.server.fleet_ca().display(),
        keys.display()
    );
    run(Command::new("bash").args(["-euc", &openssl]).current_dir(files)).success();
    let certificate = files.join("lamp.pem");
    fleet.debfleet(&["certificate", "register", certificate.to_str().unwrap(), "--thing", "lamp-1"]);
    let text = |name: &str| std::fs::read_to_string(files.join(name)).unwrap();
    let identity = json!({"thing": "lamp-1", "key": text("lamp.key"), "certificate": text("lamp.pem")});
    std::fs::create_dir_all(fleet.identity()).unwrap();
    put(&fleet.identity().join("identity.json"), identity.to_string().as_bytes());
    for (kept, name) in [("lamp.key", "device.key"), ("lamp.pem", "device.pem")] {
        put(&fleet.identity().join(name), text(kept).as_bytes());
    }

    let _running = fleet.run();
    fleet.shadow("debfleet", |shadow| shadow["state"]["reported"]["suite"] == "stable");
    let kept = std::fs::read(fleet.identity().join("identity.json")).unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(kept["thing"], "lamp-1");
    assert!(kept["key"] != identity["key"] && kept["certificate"] != identity["certificate"], "both are new");
    let listed = fleet.debfleet(&["certificate", "list", "--thing", "lamp-1"]);
    assert!(listed.contains("ACTIVE"), "{listed}");
}

fn a_local_brokers_bridge_speaks_for_the_device(broker: Broker) {
    let fleet = Fleet::new(broker);
    fleet.configure("mqtt://127.0.0.1:1", &format!("server = \"{}\"\n", fleet.server.url()));
    fleet.device.updater(&["provision"]).success();
    let bridge = Bridge::start(&fleet);
    fleet.configure(&format!("mqtt://127.0.0.1:{}", bridge.port), "");
    fleet.device.install();
    let _running = fleet.run();
    fleet.shadow("$package", |shadow| shadow["state"]["reported"]["hi"]["version"] == "0.1.0-1");
}

/// Mosquitto with the configuration that examples/lamp/bridge writes.
struct Bridge {
    port: u16,
    mosquitto: Child,
    _folder: TempDir,
}

impl Bridge {
    fn start(fleet: &Fleet) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Mosquitto leaves root's rights and must still get there.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| folder.path().join(name);
        let ca = at("fleet-ca.pem");
        std::fs::copy(fleet.server.fleet_ca(), &ca).unwrap();
        let settings = format!("FLEET={}\nFLEET_CA={}\n", fleet.server.mqtts(), ca.display());
        put(&at("fleet.conf"), settings.as_bytes());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/lamp/bridge/configure");
        let mut configure = Command::new(script);
        configure.env("IDENTITY", fleet.identity()).env("SECRETS", at("secrets"));
        configure.env("CONFIG", at("bridge.conf")).env("SETTINGS", at("fleet.conf"));
        run(&mut configure).success();
        let bridge = std::fs::read_to_string(at("bridge.conf")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let all = format!("listener {port} 127.0.0.1\nallow_anonymous true\n{bridge}");
        put(&at("all.conf"), all.as_bytes());
        let mut mosquitto = Command::new("mosquitto");
        mosquitto.arg("-c").arg(at("all.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        Self { port, mosquitto: mosquitto.spawn().unwrap(), _folder: folder }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.mosquitto.kill();
        let _ = self.mosquitto.wait();
    }
}

fn a_key_that_a_token_keeps_never_leaves_it(broker: Broker) {
    let fleet = Fleet::new(broker);
    let token = Token::new(fleet.files.path());
    fleet.over_mqtt_with(&format!("key = \"{}\"\n", token.uri));
    run(token.for_program(&mut fleet.device.command(&["provision"]))).success();
    let kept = std::fs::read_to_string(fleet.identity().join("identity.json")).unwrap();
    assert!(!kept.contains("PRIVATE KEY") && kept.contains("pkcs11:"), "{kept}");
    // The token's key is what connects, to the broker and to the repository.
    let mut command = fleet.device.command(&["run"]);
    let running = token.for_program(&mut command).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _running = Running(running.unwrap());
    fleet.shadow("debfleet", |shadow| shadow["state"]["reported"]["suite"] == "stable");
    run(token.for_program(&mut fleet.device.command(&["check"]))).success();
}

/// A token of SoftHSM, which stands for a TPM.
struct Token {
    settings: PathBuf,
    uri: String,
}

impl Token {
    fn new(folder: &Path) -> Self {
        let (settings, pin) = (folder.join("softhsm2.conf"), folder.join("pin"));
        let tokens = folder.join("tokens");
        std::fs::create_dir(&tokens).unwrap();
        put(&settings, format!("directories.tokendir = {}\n", tokens.display()).as_bytes());
        put(&pin, b"4711\n");
        let uri = format!(
            "pkcs11:token=fleet;object=device?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:{}",
            pin.display()
        );
        let token = Self { settings, uri };
        let mut init = Command::new("softhsm2-util");
        init.args(["--init-token", "--free", "--label", "fleet", "--pin", "4711", "--so-pin", "471147"]);
        run(token.for_program(&mut init)).success();
        token
    }

    fn for_program<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("SOFTHSM2_CONF", &self.settings)
    }
}
