//! A device: a Debian root with an updater configured for a repository.

use crate::debian_root::{DebianRoot, put};
use crate::package::PackageKey;
use crate::program::{Ended, binary, run};
use crate::server::{Server, get};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A device of one test.
pub struct Device {
    /// Its file system.
    pub root: DebianRoot,
    etc: TempDir,
}

impl Device {
    /// A fresh device that trusts the repository at `url` (without `/debian`) by the key it serves now.
    #[must_use]
    pub fn new(url: &str, key: &PackageKey) -> Self {
        Self::with_root(DebianRoot::new(), url, key)
    }

    /// A fresh device whose root is the folder `root` of this one, such as a file system of its own.
    #[must_use]
    pub fn on(folder: &Path, url: &str, key: &PackageKey) -> Self {
        Self::with_root(DebianRoot::in_folder(folder), url, key)
    }

    /// A fresh device of a server that it knows by more than plain HTTP.
    #[must_use]
    pub fn of_fleet(server: &Server, key: &PackageKey) -> Self {
        let keyring = std::fs::read(server.data().join("repository.gpg")).expect("the server has its keyring");
        Self::made(DebianRoot::new(), &keyring, server.url(), key)
    }

    fn with_root(root: DebianRoot, url: &str, key: &PackageKey) -> Self {
        Self::made(root, &get(&format!("{url}/debian/repository.gpg")), url, key)
    }

    fn made(root: DebianRoot, repository_keyring: &[u8], url: &str, key: &PackageKey) -> Self {
        let device = Self { root, etc: tempfile::tempdir().expect("a temporary folder") };
        put(&device.etc.path().join("repository.gpg"), repository_keyring);
        device.trust_packages_of(key);
        device.configure(url, "");
        device
    }

    /// Lets it trust packages signed by this key, and no other.
    pub fn trust_packages_of(&self, key: &PackageKey) {
        let keyring = std::fs::read(key.keyring()).expect("the keyring is there");
        put(&self.etc.path().join("package.gpg"), &keyring);
    }

    /// Lets it trust packages by this keyring.
    pub fn trust_packages_by(&self, keyring: &[u8]) {
        put(&self.etc.path().join("package.gpg"), keyring);
    }

    /// Lets it trust Releases by this keyring.
    pub fn trust_releases_by(&self, keyring: &[u8]) {
        put(&self.etc.path().join("repository.gpg"), keyring);
    }

    /// Lets it trust packages by the keyring at this path of its own root, as a keyring package brings it.
    pub fn trust_keyring_in_root(&self, path: &str) {
        self.link_keyring("package.gpg", path);
    }

    /// Lets it trust Releases by the keyring at this path of its own root.
    pub fn trust_repository_keyring_in_root(&self, path: &str) {
        self.link_keyring("repository.gpg", path);
    }

    fn link_keyring(&self, name: &str, path: &str) {
        let pinned = self.etc.path().join(name);
        std::fs::remove_file(&pinned).expect("the keyring is there");
        std::os::unix::fs::symlink(self.root.path().join(path), pinned).expect("a link in the device's folder");
    }

    /// Damages the keyrings that it trusts.
    pub fn break_keyrings(&self) {
        for name in ["repository.gpg", "package.gpg"] {
            put(&self.etc.path().join(name), b"no keys");
        }
    }

    /// Trusts another repository key besides the one it has.
    pub fn add_repository_key(&self, keyring: &[u8]) {
        let path = self.etc.path().join("repository.gpg");
        let old = std::fs::read(&path).expect("the keyring is there");
        put(&path, &[keyring, &old].concat());
    }

    /// Writes its configuration, with extra lines.
    pub fn configure(&self, url: &str, extra: &str) {
        let etc = self.etc.path().display();
        let text = format!(
            "repository = \"{url}/debian\"\nsuite = \"stable\"\npackages = [\"hi\"]\n\
             repository-keyring = \"{etc}/repository.gpg\"\npackage-keyring = \"{etc}/package.gpg\"\n{extra}"
        );
        put(&self.etc.path().join("updater.toml"), text.as_bytes());
    }

    /// `debfleet-updater` with these arguments, not yet started.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_in(&self.root.path(), arguments)
    }

    /// The same for a copy of this device's root.
    #[must_use]
    pub fn command_in(&self, root: &Path, arguments: &[&str]) -> Command {
        let mut command = binary("debfleet-updater");
        command.arg("--config").arg(self.etc.path().join("updater.toml"));
        command.arg("--root").arg(root).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs `debfleet-updater` with these arguments.
    #[track_caller]
    #[must_use]
    pub fn updater(&self, arguments: &[&str]) -> Ended {
        run(&mut self.command(arguments))
    }

    /// Installs the newest version of hi, which must work.
    #[track_caller]
    pub fn install(&self) {
        self.updater(&["install"]).success();
    }

    /// `status --json`.
    #[track_caller]
    #[must_use]
    pub fn status(&self) -> Value {
        let printed = self.updater(&["status", "--json"]).success();
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("status is no JSON ({error}):\n{printed}"))
    }

    /// The state that `status` names.
    #[track_caller]
    #[must_use]
    pub fn state(&self) -> String {
        self.status()["state"].as_str().unwrap_or_default().to_owned()
    }

    /// Why the last failed update failed.
    #[track_caller]
    #[must_use]
    pub fn failure(&self) -> String {
        self.status()["last-failure"]["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// What `/opt/hi/hi` prints.
    #[track_caller]
    #[must_use]
    pub fn says(&self) -> String {
        self.root.shell("/opt/hi/hi").success().trim().to_owned()
    }
}
