//! A device whose systemd runs: a Debian root booted as a container of systemd-nspawn, with the updater's own package
//! installed. It boots in seconds; a power cut kills all that runs in it at once, and leaves the disk as it is.

use crate::container::Container;
use crate::debian_root::DebianRoot;
use crate::package::{PackageKey, Source};
use crate::program::{Ended, run};
use crate::server::{Server, get};
use serde_json::Value;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest time for what a device does by itself: a boot, a trial.
const PATIENCE: Duration = Duration::from_secs(240);
const LOOK: Duration = Duration::from_millis(200);

/// A device of one test.
pub struct BootedDevice {
    /// Its disk.
    pub root: DebianRoot,
    machine: Option<Container>,
    has_network: bool,
    outside: TempDir,
}

impl BootedDevice {
    /// A device with this version of the updater installed, configured for the server, and booted.
    #[must_use]
    pub fn new(server: &Server, key: &PackageKey) -> Self {
        static ROOT: OnceLock<DebianRoot> = OnceLock::new();
        Self::in_root(ROOT.get_or_init(|| with_updater(DebianRoot::bootable())).copied(), server, key, false)
    }

    /// One that rules over its network by NetworkManager, for [`crate::in_own_network`].
    #[must_use]
    pub fn with_network_manager(server: &Server, key: &PackageKey) -> Self {
        Self::in_root(with_updater(DebianRoot::with_network_manager()), server, key, true)
    }

    fn in_root(root: DebianRoot, server: &Server, key: &PackageKey, has_network: bool) -> Self {
        root.write("etc/debfleet/repository.gpg", &get(&format!("{}/debian/repository.gpg", server.url())));
        root.write("etc/debfleet/package.gpg", &std::fs::read(key.keyring()).expect("the keyring"));
        // A name that an update can make unknown.
        let url = server.url().replace("127.0.0.1", "updates.test");
        root.write("etc/hosts", b"127.0.0.1 localhost updates.test\n");
        let config = format!(
            "repository = \"{url}/debian\"\nsuite = \"stable\"\npackages = []\n\
             repository-keyring = \"/etc/debfleet/repository.gpg\"\npackage-keyring = \"/etc/debfleet/package.gpg\"\n"
        );
        root.write("etc/debfleet/updater.toml", config.as_bytes());
        let mut device =
            Self { root, machine: None, has_network, outside: tempfile::tempdir().expect("a temporary folder") };
        device.boot();
        device
    }

    /// Switches it on and waits until its services run.
    pub fn boot(&mut self) {
        self.switch_on();
        self.wait_for_boot();
    }

    fn switch_on(&mut self) {
        let start = if self.has_network { Container::start_with_network } else { Container::start };
        self.machine = Some(start(&self.root.path(), &self.outside.path().join("console")));
    }

    fn switch_on_after_reboot(&mut self) {
        if self.machine.as_mut().is_some_and(Container::wants_reboot) {
            self.switch_on();
        }
    }

    /// Waits until the services of a boot under way run.
    pub fn wait_for_boot(&mut self) {
        self.wait_until("its services run", |device| device.machine.as_ref().is_some_and(Container::is_up));
    }

    /// Cuts the power: everything in it ends at once.
    pub fn cut(&mut self) {
        self.machine.take().expect("it is on").kill();
    }

    /// Runs a shell command in it; none while it is not up.
    #[must_use]
    pub fn try_shell(&self, command: &str) -> Option<Ended> {
        Some(run(&mut self.command(command)?))
    }

    /// A shell command in it, not yet started; none while it is not up.
    #[must_use]
    pub fn command(&self, command: &str) -> Option<Command> {
        self.machine.as_ref()?.command(command)
    }

    /// Runs a shell command in it.
    #[track_caller]
    #[must_use]
    pub fn shell(&self, command: &str) -> Ended {
        self.try_shell(command).expect("the device is on")
    }

    /// `status --json`; nothing while it cannot be asked.
    #[must_use]
    pub fn status(&self) -> Value {
        let ended = self.try_shell("debfleet-updater status --json");
        ended.and_then(|ended| serde_json::from_str(&ended.stdout).ok()).unwrap_or_default()
    }

    /// The state that `status` names.
    #[must_use]
    pub fn state(&self) -> String {
        self.status()["state"].as_str().unwrap_or_default().to_owned()
    }

    /// Why the last failed update failed.
    #[must_use]
    pub fn failure(&self) -> String {
        self.status()["last-failure"]["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// Which version `/opt/hi/hi` tells.
    #[track_caller]
    #[must_use]
    pub fn says(&self) -> String {
        self.shell("/opt/hi/hi").success().trim().to_owned()
    }

    /// Waits until the device comes to this state by itself.
    #[track_caller]
    pub fn wait_for_state(&mut self, state: &str) {
        self.wait_until(&format!("its state is {state}"), |device| device.state() == state);
    }

    /// Waits for what the device does by itself.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            self.switch_on_after_reboot();
            if Instant::now() > deadline {
                let console = std::fs::read_to_string(self.outside.path().join("console")).unwrap_or_default();
                let journal = self.try_shell("journalctl -b --no-pager -n 60").map(|ended| ended.stdout);
                panic!(
                    "the device did not come so far that {what}\nstatus: {:#}\nconsole: {console}\njournal: {}",
                    self.status(),
                    journal.unwrap_or_default()
                );
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// A root with the updater's package.
fn with_updater(root: DebianRoot) -> DebianRoot {
    let updater = Source::updater("0.1.0");
    let package = updater.build(&PackageKey::new());
    root.write("root/updater.deb", &std::fs::read(package).expect("the package"));
    root.shell("dpkg -i /root/updater.deb && rm /root/updater.deb").success();
    root
}

impl Drop for BootedDevice {
    fn drop(&mut self) {
        if self.machine.is_some() {
            self.cut();
        }
    }
}
