//! A suite that is only for devices, as real apt reads it: with a password from auth.conf, or a client certificate.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::{DebianRoot, PackageKey, Server, Source, run};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const UPDATE: &str = "apt-get update -o APT::Update::Error-Mode=any -o Acquire::Retries=0";

/// A server whose suite is only for devices, and a root that has its source and trusts its certificate.
fn private_suite(key: &PackageKey) -> (Server, DebianRoot) {
    let server = Server::start_https(key);
    server.publish(&Source::hi().build(key));
    run(&mut server.debfleet(&["suite", "access", "stable", "devices"])).success();
    let root = DebianRoot::new();
    let sources = run(Command::new("curl")
        .args(["-sSf", "--cacert"])
        .arg(server.fleet_ca())
        .arg(format!("{}/debian/stable.sources", server.url())));
    root.write("etc/apt/sources.list.d/stable.sources", sources.success().as_bytes());
    root.write("usr/local/share/fleet-ca.pem", &std::fs::read(server.fleet_ca()).unwrap());
    root.write("etc/apt/apt.conf.d/fleet", b"Acquire::https::CAInfo \"/usr/local/share/fleet-ca.pem\";\n");
    (server, root)
}

#[test]
fn apt_reads_a_private_suite_with_a_password_until_it_is_revoked() {
    let key = PackageKey::new();
    let (server, root) = private_suite(&key);
    root.shell(UPDATE).fails(100, "401");

    let create = ["token", "create", "lamps", "--role", "viewer", "--suite", "stable", "--json"];
    let token: Value = serde_json::from_str(&run(&mut server.debfleet(&create)).success()).unwrap();
    let credentials = |password: &str| format!("machine {}/debian login device password {password}\n", server.url());
    root.write("etc/apt/auth.conf.d/debfleet.conf", credentials("dft_wrong").as_bytes());
    root.shell(UPDATE).fails(100, "401");
    root.write("etc/apt/auth.conf.d/debfleet.conf", credentials(token["secret"].as_str().unwrap()).as_bytes());
    root.shell("chmod 600 /etc/apt/auth.conf.d/debfleet.conf").success();
    root.shell(UPDATE).success();
    root.shell("apt-get install -y hi").success();
    assert_eq!(root.shell("/opt/hi/hi").success(), "Hello Deb! Version 0.1.0\n");

    run(&mut server.debfleet(&["token", "revoke", token["id"].as_str().unwrap()])).success();
    root.shell(UPDATE).fails(100, "401");
    let told = run(&mut server.debfleet(&["audit"])).success();
    for change in ["token.revoke", "token.create", "suite.access stable", "package.publish stable"] {
        assert!(told.contains(change), "{told}");
    }
    run(&mut server.debfleet(&["suite", "access", "stable", "public"])).success();
    root.shell("rm /etc/apt/auth.conf.d/debfleet.conf").success();
    root.shell(UPDATE).success();
}

#[test]
fn apt_reads_a_private_suite_with_a_client_certificate_of_the_fleet_and_of_nobody_else() {
    let key = PackageKey::new();
    let (server, root) = private_suite(&key);
    let folder = tempfile::tempdir().unwrap();
    let stranger = folder.path().join("stranger");
    end_to_end::debian_root::put(&folder.path().join("device.ext"), b"extendedKeyUsage=clientAuth\n");
    openssl(
        folder.path(),
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
         -subj /CN=Stranger -keyout stranger.key -out stranger.pem",
    );
    let equip = |ca: &Path, ca_key: &Path| {
        certify(folder.path(), ca, ca_key);
        for name in ["device.pem", "device.key"] {
            root.write(&format!("etc/apt/{name}"), &std::fs::read(folder.path().join(name)).unwrap());
        }
        // apt's https method runs as this user.
        root.shell("chown _apt /etc/apt/device.key && chmod 400 /etc/apt/device.key").success();
    };
    root.write(
        "etc/apt/apt.conf.d/device",
        b"Acquire::https::127.0.0.1 { SslCert \"/etc/apt/device.pem\"; SslKey \"/etc/apt/device.key\"; };\n",
    );
    equip(&stranger.with_extension("pem"), &stranger.with_extension("key"));
    root.shell(UPDATE).fails(100, "E:");
    equip(&server.fleet_ca(), &server.data().join("keys/fleet-ca.key"));
    root.shell(UPDATE).success();
    root.shell("apt-get install -y hi").success();
    assert_eq!(root.shell("/opt/hi/hi").success(), "Hello Deb! Version 0.1.0\n");
    root.shell("rm /etc/apt/apt.conf.d/device").success();
    root.shell(UPDATE).fails(100, "401");
}

#[test]
fn the_updater_reads_a_private_suite_with_a_token_or_a_certificate() {
    let key = PackageKey::new();
    let (server, root) = private_suite(&key);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        end_to_end::debian_root::put(&folder.path().join(name), content);
        folder.path().join(name).display().to_string()
    };
    let updater = |url: &str, extra: &str| {
        let text = format!(
            "repository = \"{url}/debian\"\nsuite = \"stable\"\npackages = [\"hi\"]\nca = \"{}\"\n\
             repository-keyring = \"{}\"\npackage-keyring = \"{}\"\n{extra}",
            server.fleet_ca().display(),
            server.data().join("repository.gpg").display(),
            key.keyring().display(),
        );
        let mut updater = end_to_end::program::binary("debfleet-updater");
        updater.arg("--config").arg(file("updater.toml", text.as_bytes())).arg("--root").arg(root.path());
        run(updater.arg("install"))
    };
    updater(server.url(), "").fails(1, "token-file");
    let token = run(&mut server.debfleet(&["token", "create", "lamp-1", "--role", "viewer"])).success();
    let extra = format!("token-file = \"{}\"\n", file("token", token.as_bytes()));
    updater(&server.url().replace("https://127.0.0.1", "http://updates.test"), &extra).fails(1, "https://");
    updater(server.url(), &format!("token-file = \"{}\"\n", file("empty", b""))).fails(1, "does not hold one token");
    updater(server.url(), &extra).success();
    assert_eq!(root.shell("/opt/hi/hi").success(), "Hello Deb! Version 0.1.0\n");

    server.publish(&Source::hi().bumped("minor").build(&key));
    file("device.ext", b"extendedKeyUsage=clientAuth\n");
    certify(folder.path(), &server.fleet_ca(), &server.data().join("keys/fleet-ca.key"));
    let path = |name: &str| folder.path().join(name).display().to_string();
    let half = format!("client-certificate = \"{}\"\n", path("device.pem"));
    updater(server.url(), &half).fails(1, "belong together");
    updater(server.url(), &format!("{half}client-key = \"{}\"\n", path("device.key"))).success();
    assert_eq!(root.shell("/opt/hi/hi").success(), "Hello Deb! Version 0.2.0\n");
}

/// A device's key and certificate, by this authority.
fn certify(folder: &Path, ca: &Path, ca_key: &Path) {
    openssl(
        folder,
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=lamp-1 -keyout device.key -out device.csr",
    );
    let (ca, ca_key) = (ca.display(), ca_key.display());
    openssl(
        folder,
        &format!("x509 -req -in device.csr -days 2 -extfile device.ext -CA {ca} -CAkey {ca_key} -out device.pem"),
    );
}

fn openssl(folder: &Path, arguments: &str) {
    run(Command::new("openssl").current_dir(folder).args(arguments.split_whitespace())).success();
}
