//! The course's own exercise: `examples/lamp`, from a first installation to a purge without a trace.
//!
//! systemd does not run in the root, so the test starts the services as their units would.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::program::{binary, run};
use end_to_end::{DebianRoot, PackageKey, Source, Tree};
use std::net::TcpListener;
use std::process::Command;

/// Runs the services as their units say, waits until the hardware service and the page answer, and then runs what
/// the test wants of them.
const WITH_SERVICES: &str = r#"
systemd-tmpfiles --create lamp.conf
for unit in lamp-hardware lamp-web lamp-bluetooth; do
    file=/usr/lib/systemd/system/$unit.service
    user=$(sed -n 's/^User=//p' $file)
    setpriv --reuid=$user --regid=$user --clear-groups $(sed -n 's/^ExecStart=//p' $file) > /tmp/$unit.log 2>&1 &
    services="$services $!"
done
until [ -S /run/lamp/lamp.sock ] && grep -q http /tmp/lamp-web.log && grep -q Bluetooth /tmp/lamp-bluetooth.log; do
    kill -0 $services || { cat /tmp/*.log; kill $services; exit 1; }
done
"#;

/// What a browser does.
const FETCH: &str = r#"
import sys, urllib.request
body = sys.argv[2].encode() if len(sys.argv) > 2 else None
request = urllib.request.Request("http://127.0.0.1:PORT" + sys.argv[1], body, {"Content-Type": "application/json"})
print(urllib.request.urlopen(request).read().decode())
"#;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

struct Lamp {
    root: DebianRoot,
    /// Of the page.
    port: u16,
    key: PackageKey,
}

impl Lamp {
    fn new() -> Self {
        let lamp = Self { root: DebianRoot::with_systemd(), port: free_port(), key: PackageKey::new() };
        lamp.root.write("tmp/fetch", FETCH.replace("PORT", &lamp.port.to_string()).as_bytes());
        lamp
    }

    /// Brings a version's package into the root.
    fn bring(&self, source: &Source) {
        self.root.write("tmp/lamp.deb", &std::fs::read(source.build(&self.key)).unwrap());
    }

    #[track_caller]
    fn sh(&self, command: &str) -> String {
        self.root.shell(command).success()
    }

    /// Runs commands while the services run.
    #[track_caller]
    fn in_use(&self, commands: &str) -> String {
        self.sh(&format!(
            "set -e; {WITH_SERVICES}\nset +e; ({commands}); code=$?; kill $services; wait; rm /tmp/*.log; exit $code"
        ))
    }
}

#[test]
fn it_is_installed_used_upgraded_removed_and_purged_without_a_trace() {
    let lamp = Lamp::new();
    let source = Source::example("lamp");
    let before = Tree::of(&lamp.root.path());

    lamp.bring(&source);
    lamp.sh("dpkg -i /tmp/lamp.deb");
    lamp.sh(&format!("sed -i 's/^port = .*/port = {}/' /etc/lamp/lamp.conf", lamp.port));
    let said = lamp.in_use(
        "lampctl status; lampctl on; lampctl scene Sea; lampctl set --brightness 50
         python3 /tmp/fetch / | grep '<small>'; python3 /tmp/fetch /state '{\"hue\": 10}'; cat /tmp/lamp-bluetooth.log",
    );
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    assert_eq!(lines[0], "off, hue 45°, brightness 80 % (simulated)");
    assert_eq!(lines[3], "on, hue 195°, brightness 50 % (simulated)");
    assert_eq!(lines[4], "<small>lamp 1.0.0</small>");
    let state = r#"{"on": true, "hue": 10, "brightness": 50, "light": "simulated", "version": "1.0.0"}"#;
    assert_eq!(lines[5], state);
    assert!(lines[6].starts_with("no Bluetooth: "), "{said}");

    // What the owner adds, and the state as 0.9 kept it, with a brightness of 0 to 255.
    lamp.root.write("etc/lamp/scenes.d/red.json", br#"{"name": "Red", "on": true, "hue": 0}"#);
    lamp.root.write("var/lib/lamp/state.json", br#"{"on": true, "hue": 10, "brightness": 51}"#);
    lamp.bring(&source.bumped("minor"));
    let printed = lamp.sh("dpkg -i --force-confold /tmp/lamp.deb");
    assert!(printed.contains("/var/lib/lamp/state.json: schema 1 became 2"), "{printed}");
    let said =
        lamp.in_use("lampctl status; lampctl scene Red; lampctl --version; python3 /tmp/fetch / | grep '<small>'");
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    assert_eq!(lines[..2], ["on, hue 10°, brightness 20 % (simulated)", "on, hue 0°, brightness 20 % (simulated)"]);
    assert_eq!(lines[2..], ["lampctl 1.1.0", "<small>lamp 1.1.0</small>"]);
    assert!(lamp.sh("cat /etc/lamp/lamp.conf").contains(&lamp.port.to_string()), "the owner's settings are kept");

    // Root ran a module by hand, and Python left what it compiled.
    lamp.sh("env -u PYTHONDONTWRITEBYTECODE python3 -c 'import sys; sys.path.append(\"/usr/share/lamp\"); import state, scenes'");
    assert!(lamp.root.path().join("usr/share/lamp/__pycache__").exists());
    let removed = lamp.root.shell("dpkg -r lamp");
    assert!(!removed.all().contains("not empty"), "dpkg met files that are not the package's: {removed}");
    assert!(removed.code == 0 && lamp.root.path().join("var/lib/lamp/state.json").exists(), "remove keeps the state");
    lamp.sh("dpkg -P lamp && rm /tmp/lamp.deb");
    before.lasting().assert_same(&Tree::of(&lamp.root.path()).lasting());
}

#[test]
fn a_state_that_cannot_be_migrated_stops_the_upgrade() {
    let lamp = Lamp::new();
    let source = Source::example("lamp");
    lamp.bring(&source);
    lamp.sh("dpkg -i /tmp/lamp.deb");
    lamp.root.write("var/lib/lamp/state.json", b"{ half of a fi");
    lamp.bring(&source.bumped("minor"));
    lamp.root.shell("dpkg -i /tmp/lamp.deb").fails(1, "could not migrate /var/lib/lamp/state.json");
    assert_eq!(lamp.sh("dpkg-query -W -f '${db:Status-Status}' lamp"), "half-configured");
    lamp.sh("rm /var/lib/lamp/state.json && dpkg --configure lamp");
}

#[test]
fn a_person_named_lamp_is_not_taken_for_the_service() {
    let lamp = Lamp::new();
    lamp.bring(&Source::example("lamp"));
    lamp.sh("useradd --uid 1000 lamp");
    lamp.root.shell("dpkg -i /tmp/lamp.deb").fails(1, "there is a person's account lamp (user 1000)");
    lamp.sh("dpkg -P lamp; getent passwd lamp");
}

#[test]
fn lintian_is_silent_about_it() {
    let key = PackageKey::new();
    let source = Source::example("lamp");
    let package = source.build(&key);
    let ended = run(Command::new("lintian").args(["--allow-root", "--fail-on", "error,warning"]).arg(&package));
    assert_eq!(ended.success(), "");
    let keyring = key.keyring();
    run(binary("debfleet").arg("verify").arg(&package).arg("--keyring").arg(keyring)).success();
}
