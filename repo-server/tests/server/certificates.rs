//! Devices that show a client certificate of the fleet CA, until it is revoked.

use crate::running::{Answer, Server, Site};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SerialNumber};
use std::path::{Path, PathBuf};
use std::process::Output;
use ureq::tls::{Certificate, ClientCert, PrivateKey};

const INRELEASE: &str = "/debian/dists/stable/InRelease";
const METRICS: [&str; 4] = ["--https", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];

/// A device's certificate and key.
pub(crate) struct Identity {
    pub(crate) pem: String,
    pub(crate) key: String,
}

impl Site {
    pub(crate) fn certify(&self, name: &str, serial: &[u8]) -> Identity {
        let read = |path: &str| std::fs::read_to_string(self.data.join(path)).unwrap();
        let ca_key = KeyPair::from_pem(&read("keys/fleet-ca.key")).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&read("fleet-ca.pem"), ca_key).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from_slice(serial));
        let key = KeyPair::generate().unwrap();
        Identity { pem: params.signed_by(&key, &issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.data.with_file_name(name);
        durable_files::replace(&path, content.as_bytes(), 0o600).unwrap();
        path
    }

    fn certificate(&self, arguments: &[&str]) -> Output {
        self.command().arg("certificate").args(arguments).arg("--data").arg(&self.data).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn revoke(&self, certificate: &Path) -> String {
        let output = self.certificate(&["revoke", certificate.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A client that shows this certificate, and keeps its connection.
    pub(crate) fn device(&self, identity: &Identity) -> ureq::Agent {
        let ca = std::fs::read_to_string(self.data.join("fleet-ca.pem")).unwrap();
        let chain = [Certificate::from_pem(identity.pem.as_bytes()).unwrap().to_owned()];
        let key = PrivateKey::from_pem(identity.key.as_bytes()).unwrap();
        let authority = Certificate::from_pem(ca.as_bytes()).unwrap().to_owned();
        let tls = ureq::tls::TlsConfig::builder()
            .root_certs(ureq::tls::RootCerts::new_with_certs(&[authority]))
            .client_cert(Some(ClientCert::new_with_certs(&chain, key)))
            .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        ureq::Agent::config_builder().http_status_as_error(false).tls_config(tls).build().into()
    }

    /// A server with a suite that is only for devices.
    pub(crate) fn start_private(&self, arguments: &[&str]) -> Server {
        self.change_database("UPDATE suites SET access = 'devices'");
        self.start_with(arguments)
    }
}

pub(crate) fn read(device: &ureq::Agent, server: &Server, headers: &[(&str, &str)]) -> Answer {
    // The last listener is the one of HTTPS.
    let mut request = device.get(format!("{}{INRELEASE}", server.bases.last().unwrap()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request.call())
}

#[test]
fn a_revoked_certificate_counts_no_longer_on_a_connection_that_is_open() {
    let site = Site::new();
    let server = site.start_private(&METRICS);
    let (stolen, other) = (site.certify("lamp-1", &[0x5b, 0x3c]), site.certify("lamp-2", &[0x5b, 0x3d]));
    let (thief, neighbour) = (site.device(&stolen), site.device(&other));
    for device in [&thief, &neighbour] {
        assert_eq!(read(device, &server, &[]).status, 200);
    }
    let file = site.file("lamp-1.pem", &stolen.pem);
    let told = site.revoke(&file);
    assert!(told.contains("5b3c") && told.contains("lamp-1"), "{told}");
    let refused = read(&thief, &server, &[]);
    assert_eq!(refused.status, 401);
    assert!(refused.problem().detail.contains("5b3c was revoked at"), "{}", refused.text());
    assert_eq!(read(&neighbour, &server, &[]).status, 200);
    assert_eq!(server.metric("debfleet_connections{listener=\"https\"}"), Some(2.0), "each kept its connection");
    assert_eq!(read(&site.device(&stolen), &server, &[]).status, 401, "nor on a new one");
    // A token is worth what it was.
    let bearer = format!("Bearer {}", server.token);
    assert_eq!(read(&thief, &server, &[("Authorization", &bearer)]).status, 200);

    assert!(site.revoke(&file).contains("revoked already"));
    let listed = String::from_utf8(site.certificate(&["list"]).stdout).unwrap();
    assert!(listed.lines().count() == 1 && listed.starts_with("5b3c ") && listed.contains("CN=lamp-1"), "{listed}");
    let log = Answer::of(thief.get(server.url("/api/v1/audit")).header("Authorization", &bearer).call()).text();
    assert_eq!(log.matches("certificate.revoke").count(), 1, "the second time changed nothing: {log}");
}

#[test]
fn a_certificate_is_revoked_by_its_serial_number_and_nothing_else_is() {
    let site = Site::new();
    let server = site.start_private(&METRICS);
    let device = site.device(&site.certify("lamp-1", &[0xab, 0xcd, 0xef]));
    assert_eq!(read(&device, &server, &[]).status, 200);
    for bad in ["lamp-9.pem", "", &"f".repeat(41), site.package_ring.to_str().unwrap()] {
        let output = site.certificate(&["revoke", bad]);
        assert!(!output.status.success() && output.stdout.is_empty(), "{bad:?}: {output:?}");
    }
    assert_eq!(read(&device, &server, &[]).status, 200);
    site.revoke(Path::new("00:AB:CD:EF"));
    assert_eq!(read(&device, &server, &[]).status, 401);
}

#[test]
fn the_certificate_of_a_proxy_says_nothing_about_those_behind_it() {
    let site = Site::new();
    let proxy = site.device(&site.certify("proxy", &[7]));
    let mut server = site.start_private(&[&METRICS[..], &["--trusted-proxies", "127.0.0.1"]].concat());
    let forwarded = [("X-Forwarded-For", "198.51.100.7")];
    assert_eq!(read(&proxy, &server, &forwarded).status, 401);
    assert_eq!(read(&proxy, &server, &[]).status, 401, "also where it does not say whom it passes on");
    let bearer = format!("Bearer {}", server.token);
    assert_eq!(read(&proxy, &server, &[("Authorization", &bearer), forwarded[0]]).status, 200);
    server.kill();
    let server = site.start_private(&METRICS);
    assert_eq!(read(&proxy, &server, &forwarded).status, 200, "without being a proxy it is a device as any other");
}

/// A certificate's id: the SHA-256 of its DER form.
pub(crate) fn id_of(identity: &Identity) -> String {
    debian_formats::checksums::sha256_hex(&pem::parse(&identity.pem).unwrap().into_contents())
}

pub(crate) const BOTH: [&str; 4] = ["--https", "127.0.0.1:0", "--http", "127.0.0.1:0"];

#[test]
fn a_certificate_that_is_deactivated_counts_no_longer_on_a_connection_that_is_open() {
    let site = Site::new();
    let server = site.start_private(&BOTH);
    let identity = site.certify("lamp-1", &[0x5b, 0x3c]);
    let (device, id) = (site.device(&identity), id_of(&identity));
    let path = format!("/api/v1/certificates/{id}");
    let status =
        |status: &str| server.ask("PUT", &format!("{path}/status"), Some(serde_json::json!({"status": status})));
    assert_eq!(status("INACTIVE").status, 404, "it is not registered");
    let registered =
        server.ask("POST", "/api/v1/certificates", Some(serde_json::json!({"certificatePem": identity.pem})));
    assert_eq!(registered.status, 201, "{}", registered.text());
    let again = server.ask("POST", "/api/v1/certificates", Some(serde_json::json!({"certificatePem": identity.pem})));
    assert_eq!(again.status, 200);
    assert_eq!(read(&device, &server, &[]).status, 200);

    assert_eq!(status("INACTIVE").status, 200);
    let refused = read(&device, &server, &[]);
    assert_eq!(refused.status, 401);
    assert!(refused.problem().detail.contains("was deactivated"), "{}", refused.text());
    assert_eq!(status("ACTIVE").status, 200);
    assert_eq!(read(&device, &server, &[]).status, 200);
    assert_eq!(status("PENDING_ACTIVATION").status, 422);
    assert_eq!(status("REVOKED").status, 200);
    assert!(read(&device, &server, &[]).problem().detail.contains("5b3c was revoked at"));
    assert_eq!(status("ACTIVE").status, 409, "a revocation is for good");
    assert_eq!(read(&device, &server, &[]).status, 401);

    let listed = server.ask("GET", "/api/v1/certificates?status=REVOKED", None);
    let listed: serde_json::Value = serde_json::from_slice(&listed.body).unwrap();
    assert_eq!(listed["certificates"][0]["certificateId"], *id);
    assert_eq!(listed["certificates"][0]["subject"], "CN=lamp-1");
    let local = String::from_utf8(site.certificate(&["list"]).stdout).unwrap();
    assert!(local.starts_with("5b3c "), "{local}");
}

#[test]
fn a_serial_number_that_is_revoked_revokes_the_registered_certificate() {
    let site = Site::new();
    let server = site.start_private(&BOTH);
    let identity = site.certify("lamp-1", &[0x5b, 0x3c]);
    server.ask("POST", "/api/v1/certificates", Some(serde_json::json!({"certificatePem": identity.pem})));
    site.revoke(Path::new("5b3c"));
    let path = format!("/api/v1/certificates/{}", id_of(&identity));
    let described: serde_json::Value = serde_json::from_slice(&server.ask("GET", &path, None).body).unwrap();
    assert_eq!(described["status"], "REVOKED");
    assert_eq!(described["certificatePem"], identity.pem);
}

#[test]
fn what_another_authority_certified_is_not_registered() {
    let (site, other) = (Site::new(), Site::new());
    let server = site.start_with(&BOTH);
    let register =
        |pem: &str| server.ask("POST", "/api/v1/certificates", Some(serde_json::json!({ "certificatePem": pem })));
    let foreign = other.certify("lamp-1", &[1]).pem;
    assert_eq!(register(&foreign).status, 422);
    let ours = site.certify("lamp-1", &[1]).pem;
    let authority = std::fs::read_to_string(site.data.join("fleet-ca.pem")).unwrap();
    for bad in ["", "x", &(ours.clone() + &ours), &authority, &"A".repeat(20_000)] {
        assert_eq!(register(bad).status, 422, "{bad}");
    }
    assert_eq!(register(&ours).status, 201);
}
