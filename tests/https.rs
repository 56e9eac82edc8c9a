//! Over HTTPS with the fleet's own authority: publishing, plain apt, and the updater.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::{DebianRoot, PackageKey, Server, Source, run};
use std::process::Command;

#[test]
fn publisher_apt_and_updater_trust_the_fleets_authority_and_no_other() {
    let key = PackageKey::new();
    let server = Server::start_https(&key);
    server.publish(&Source::hi().build(&key));
    let url = server.url();

    let curl = |ca: &std::path::Path| {
        run(Command::new("curl").args(["-sSf", "--cacert"]).arg(ca).arg(format!("{url}/debian/stable.sources")))
    };
    let sources = curl(&server.fleet_ca()).success();
    assert_ne!(curl("/etc/ssl/certs/ca-certificates.crt".as_ref()).code, 0, "the system knows no such authority");

    let root = DebianRoot::new();
    root.write("etc/apt/sources.list.d/stable.sources", sources.as_bytes());
    root.write("usr/local/share/fleet-ca.pem", &std::fs::read(server.fleet_ca()).unwrap());
    let update = "apt-get update -o APT::Update::Error-Mode=any -o Acquire::Retries=0";
    root.shell(update).fails(100, "certificate");
    root.write("etc/apt/apt.conf.d/fleet", b"Acquire::https::CAInfo \"/usr/local/share/fleet-ca.pem\";\n");
    root.shell(update).success();

    let etc = tempfile::tempdir().unwrap();
    let config = |ca: &str| {
        let text = format!(
            "repository = \"{url}/debian\"\nsuite = \"stable\"\npackages = [\"hi\"]\n{ca}\
             repository-keyring = \"{}\"\npackage-keyring = \"{}\"\n",
            server.data().join("repository.gpg").display(),
            key.keyring().display(),
        );
        end_to_end::debian_root::put(&etc.path().join("updater.toml"), text.as_bytes());
        let mut updater = end_to_end::program::binary("debfleet-updater");
        updater.arg("--config").arg(etc.path().join("updater.toml")).arg("--root").arg(root.path()).arg("install");
        run(&mut updater)
    };
    config("").fails(1, "certificate");
    config(&format!("ca = \"{}\"\n", server.fleet_ca().display())).success();
    assert_eq!(root.shell("/opt/hi/hi").success(), "Hello Deb! Version 0.1.0\n");
}
