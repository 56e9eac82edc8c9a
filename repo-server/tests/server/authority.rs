//! An authority of the operator's own, with openssl for a PKI and for an HSM.

use crate::running::{Answer, Site, agent_trusting};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs openssl in the site's folder, with arguments parted by blanks.
fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Site {
    fn folder(&self) -> PathBuf {
        self.data.parent().unwrap().to_owned()
    }

    /// Makes `ca.pem` and `ca.key`, for this kind of key.
    fn make_authority(&self, key: &str) {
        let folder = self.folder();
        openssl(&folder, &format!("genpkey {key} -out ca.key"));
        openssl(
            &folder,
            "req -new -x509 -key ca.key -subj /O=Acme/CN=Acme -days 30 -out ca.pem -addext keyUsage=keyCertSign",
        );
    }

    fn init_with(&self, arguments: &[&str]) -> Output {
        let mut command = self.command();
        command.current_dir(self.folder()).arg("init").arg("--data").arg(&self.data);
        command.arg("--package-key").arg(&self.package_ring).args(arguments).output().unwrap()
    }

    #[track_caller]
    fn refuses(&self, arguments: &[&str], word: &str) {
        let output = self.init_with(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(word), "{told}");
        assert!(!self.data.join("keys").exists(), "what was made is taken back");
    }
}

fn is_served_to_whoever_trusts(site: &Site) {
    let ca = std::fs::read_to_string(site.folder().join("ca.pem")).unwrap();
    assert_eq!(std::fs::read_to_string(site.data.join("fleet-ca.pem")).unwrap(), ca);
    let server = site.start_with(&["--https", "127.0.0.1:0"]);
    assert_eq!(Answer::of(agent_trusting(&ca).get(server.url("/healthz")).call()).status, 200);
}

#[test]
fn an_authority_is_brought_along_with_its_key() {
    for key in ["-algorithm EC -pkeyopt ec_paramgen_curve:P-384", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"] {
        let mut site = Site::without_data();
        site.make_authority(key);
        let made = site.init_with(&["--ca-certificate", "ca.pem", "--ca-key", "ca.key"]);
        assert!(made.status.success(), "{made:?}");
        site.remember_token(&made);
        is_served_to_whoever_trusts(&site);
    }
}

#[test]
fn an_authority_signs_by_a_command_and_its_key_stays_where_it_is() {
    for (key, digest) in [
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-256", "sha256"),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-384", "sha384"),
    ] {
        let mut site = Site::without_data();
        site.make_authority(key);
        let command = format!("openssl dgst -{digest} -sign {}/ca.key", site.folder().display());
        let made = site.init_with(&["--ca-certificate", "ca.pem", "--ca-sign-command", &command]);
        assert!(made.status.success(), "{made:?}");
        site.remember_token(&made);
        assert!(!site.data.join("keys/fleet-ca.key").exists());
        is_served_to_whoever_trusts(&site);
    }
}

#[test]
fn an_authority_that_devices_would_not_believe_is_refused() {
    let site = Site::without_data();
    let folder = site.folder();
    let p256 = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    site.make_authority(p256);
    openssl(&folder, &format!("genpkey {p256} -out other.key"));
    openssl(
        &folder,
        "req -new -x509 -key ca.key -subj /CN=no -days 30 -out leaf.pem -addext basicConstraints=critical,CA:FALSE",
    );
    let ca = std::fs::read(folder.join("ca.pem")).unwrap();
    durable_files::replace(&folder.join("chain.pem"), &[&ca[..], &ca[..]].concat(), 0o644).unwrap();
    let sign = |with: &str| format!("openssl dgst -sha256 -sign {with}");

    site.refuses(&["--ca-certificate", "ca.pem", "--ca-key", "other.key"], "does not verify");
    site.refuses(&["--ca-certificate", "ca.pem", "--ca-sign-command", &sign("other.key")], "does not verify");
    site.refuses(&["--ca-certificate", "ca.pem", "--ca-sign-command", &sign("absent.key")], "absent.key");
    site.refuses(&["--ca-certificate", "ca.pem", "--ca-sign-command", "echo hello"], "does not verify");
    site.refuses(&["--ca-certificate", "leaf.pem", "--ca-key", "ca.key"], "CA:TRUE");
    site.refuses(&["--ca-certificate", "chain.pem", "--ca-key", "ca.key"], "no chain");
    site.refuses(&["--ca-certificate", "absent.pem", "--ca-key", "ca.key"], "absent.pem");
    site.refuses(&["--ca-certificate", "ca.pem"], "--ca-key");
    site.refuses(&["--ca-key", "ca.key"], "--ca-certificate");
    assert!(site.init_with(&["--ca-certificate", "ca.pem", "--ca-key", "ca.key"]).status.success());
}
