//! Keys are replaced on a running fleet: the package key by `debfleet key rotate`, the repository key by `debfleet-server
//! key rotate`, and devices learn of both by keyring packages alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::{DebianRoot, Device, Ended, PackageKey, Server, Source, binary, run};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const PACKAGE: &str = "acme-archive-keyring";
const ON_DEVICE: &str = "usr/share/keyrings/acme-archive-keyring.gpg";
const MAINTAINER: &str = "Acme releases <release@acme.example>";

/// A keyring package with these keys, signed by one of them.
fn keyring_package(keys: &Path, version: &str, signer: &Path, out: &Path) -> PathBuf {
    let mut command = binary("debfleet");
    command.args(["key", "export"]).arg(keys).args(["--package", PACKAGE, "--version", version]);
    command.args(["--maintainer", MAINTAINER, "--key"]).arg(signer).arg("--out").arg(out);
    PathBuf::from(run(&mut command).success().trim_end())
}

/// The server takes in packages of these keys from now on.
fn accept(server: &mut Server, keyring: &Path) {
    server.kill();
    std::fs::copy(keyring, server.data().join("package-keys.gpg")).unwrap();
    server.resume();
}

#[test]
fn devices_follow_the_old_key_to_the_new_and_then_refuse_the_old() {
    let old = PackageKey::new();
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&old);
    let device = Device::new(server.url(), &old);
    server.publish(&keyring_package(&old.keyring(), "1", &old.secret(), folder.path()));
    server.publish(&Source::hi().build(&old));
    device.updater(&["install", PACKAGE, "hi"]).success();
    // From here on the device knows no keyring but the package's.
    device.trust_keyring_in_root(ON_DEVICE);

    let next = folder.path().join("next");
    let mut rotate = binary("debfleet");
    rotate.args(["key", "rotate"]).arg(old.secret()).arg("--out").arg(&next);
    rotate.args(["--package", PACKAGE, "--version", "2", "--maintainer", MAINTAINER]);
    run(&mut rotate).success();
    let (new_secret, new_ring) = (next.join("package.key"), next.join("package.gpg"));
    accept(&mut server, &next.join("keyring.gpg"));

    // Too early: the device has not heard of the new key.
    let by_new = Source::hi().bumped("0.2.0");
    let built = PathBuf::from(by_new.try_build(Some(&new_secret)).success().lines().last().unwrap());
    server.publish(&built);
    device.updater(&["install"]).fails(1, "not among the trusted keys");
    assert_eq!(device.says(), "Hello Deb! Version 0.1.0");

    server.publish(&next.join(format!("{PACKAGE}_2_all.deb")));
    device.updater(&["install", PACKAGE]).success();
    device.install();
    assert_eq!(device.says(), "Hello Deb! Version 0.2.0");

    // The old key is taken away, and is worth nothing any more, even where the server still believes in it.
    server.publish(&keyring_package(&new_ring, "3", &new_secret, folder.path()));
    device.updater(&["install", PACKAGE]).success();
    server.publish(&Source::hi().bumped("0.3.0").build(&old));
    device.updater(&["install"]).fails(1, "not among the trusted keys");
    assert_eq!(device.says(), "Hello Deb! Version 0.2.0");
    accept(&mut server, &new_ring);
    let refused = server.try_publish(&Source::hi().bumped("0.4.0").build(&old));
    refused.fails(1, "not among the trusted keys of this server");
}

const REPOSITORY_PACKAGE: &str = "acme-repository-keyring";
const REPOSITORY_KEYS: &str = "usr/share/keyrings/acme-repository-keyring.gpg";

/// Any warning about the repository is a failure.
fn apt_update(root: &DebianRoot) -> Ended {
    root.shell("apt-get update -o APT::Update::Error-Mode=any -o Acquire::Retries=0")
}

/// A server whose repository key is replaced, and its package key, which signs the keyring packages.
struct Rotation {
    server: Server,
    package_key: PackageKey,
    folder: TempDir,
}

impl Rotation {
    fn new() -> Self {
        let package_key = PackageKey::new();
        let server = Server::start(&package_key);
        Self { server, package_key, folder: tempfile::tempdir().unwrap() }
    }

    /// Publishes the repository's public keys as they are now, as a package that a package key signed.
    fn publish_keyring(&self, version: &str) {
        let keys = self.folder.path().join("repository.gpg");
        end_to_end::debian_root::put(&keys, &self.server.get("/debian/repository.gpg"));
        let mut command = binary("debfleet");
        command.args(["key", "export"]).arg(keys).args(["--package", REPOSITORY_PACKAGE, "--version", version]);
        command.args(["--maintainer", MAINTAINER, "--key"]).arg(self.package_key.secret());
        let built = run(command.arg("--out").arg(self.folder.path())).success();
        self.server.publish(Path::new(built.trim_end()));
    }

    /// `debfleet-server key` while the server is off.
    fn key(&mut self, arguments: &[&str]) -> String {
        self.server.kill();
        let mut command = binary("debfleet-server");
        let told = run(command.arg("key").args(arguments).arg("--data").arg(self.server.data())).success();
        self.server.resume();
        told
    }

    /// The oldest key that signs.
    fn oldest_key(&mut self) -> String {
        self.key(&["list"]).split_whitespace().next().unwrap().to_owned()
    }
}

#[test]
fn apt_follows_the_repository_from_the_old_key_to_the_new_without_a_gap() {
    let mut rotation = Rotation::new();
    let root = DebianRoot::new();
    rotation.publish_keyring("1");
    // The .sources file that the server offers carries the key; from the keyring package on it names that one's file.
    let source = rotation.server.get("/debian/stable.sources");
    root.write("etc/apt/sources.list.d/stable.sources", &source);
    apt_update(&root).success();
    root.shell(&format!("apt-get install -y {REPOSITORY_PACKAGE}")).success();
    let source = String::from_utf8(source).unwrap();
    let (head, _) = source.split_once("Signed-By:").unwrap();
    let by_file = format!("{head}Signed-By: /{REPOSITORY_KEYS}\n");
    root.write("etc/apt/sources.list.d/stable.sources", by_file.as_bytes());
    apt_update(&root).success();
    let old = rotation.oldest_key();

    // The old key alone is known, both sign.
    rotation.key(&["rotate"]);
    apt_update(&root).success();
    let late = root.shell("cat /etc/apt/sources.list.d/stable.sources").success();
    // Both are known, both sign: by the package, and by the .sources file of a new device.
    rotation.publish_keyring("2");
    apt_update(&root).success();
    root.shell("apt-get upgrade -y").success();
    apt_update(&root).success();
    let newcomer = DebianRoot::new();
    newcomer.write("etc/apt/sources.list.d/stable.sources", &rotation.server.get("/debian/stable.sources"));
    apt_update(&newcomer).success();
    assert!(late.contains(REPOSITORY_KEYS));

    // Both are known, the new one alone signs.
    rotation.key(&["retire", &old]);
    apt_update(&root).success();
    apt_update(&newcomer).success();
    // The new one alone is known.
    rotation.publish_keyring("3");
    apt_update(&root).success();
    root.shell("apt-get upgrade -y").success();
    rotation.server.publish(&Source::hi().build(&rotation.package_key));
    apt_update(&root).success();
    root.shell("apt-get install -y hi").success();
    assert_eq!(root.shell("/opt/hi/hi").success(), "Hello Deb! Version 0.1.0\n");

    // Who knows the old one alone is left behind, and told so.
    let behind = DebianRoot::new();
    behind.write("etc/apt/sources.list.d/stable.sources", source.as_bytes());
    apt_update(&behind).fails(100, "NO_PUBKEY");
}

#[test]
fn the_updater_follows_the_repository_from_the_old_key_to_the_new_without_a_gap() {
    let mut rotation = Rotation::new();
    rotation.publish_keyring("1");
    let device = Device::new(rotation.server.url(), &rotation.package_key);
    let behind = Device::new(rotation.server.url(), &rotation.package_key);
    let check = || device.updater(&["check"]).success();
    device.updater(&["install", REPOSITORY_PACKAGE]).success();
    device.trust_repository_keyring_in_root(REPOSITORY_KEYS);
    check();
    let old = rotation.oldest_key();

    rotation.key(&["rotate"]);
    check();
    rotation.publish_keyring("2");
    device.updater(&["install", REPOSITORY_PACKAGE]).success();
    check();
    rotation.key(&["retire", &old]);
    check();
    rotation.publish_keyring("3");
    device.updater(&["install", REPOSITORY_PACKAGE]).success();
    rotation.server.publish(&Source::hi().build(&rotation.package_key));
    device.install();
    assert_eq!(device.says(), "Hello Deb! Version 0.1.0");

    behind.updater(&["install"]).fails(1, "not among the trusted keys");
}
