//! A package key is replaced on a running fleet: by `debfleet key rotate`, and by nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::{Device, PackageKey, Server, Source, binary, run};
use std::path::{Path, PathBuf};

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
