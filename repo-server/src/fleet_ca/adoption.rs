//! An authority that the operator brings along.

use super::{CertificateError, FleetCa, read};
use crate::data_dir::DataDir;
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use x509_parser::parse_x509_certificate;

const EXPECTED: &str = "the certificate of an authority that can issue certificates";
/// What a server's certificate is made for to see whether it would be believed.
const PROBE: &str = "localhost";

/// An authority in place of one that the server makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthoritySource {
    /// Its certificate, a PEM file.
    pub certificate: PathBuf,
    /// What signs for it.
    pub key: KeySource,
}

/// Where an authority's key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In a PEM file, which is copied into the data folder.
    File(PathBuf),
    /// Elsewhere: this shell command signs what it gets on its standard input.
    Command(String),
}

impl FleetCa {
    /// Takes an authority over into the data folder, if devices would believe what it issues.
    pub(crate) fn adopt(dir: &DataDir, source: &AuthoritySource, now: Timestamp) -> Result<(), CertificateError> {
        let pem = read(&source.certificate)?;
        let certificate = check(&source.certificate, &pem, now)?;
        match &source.key {
            KeySource::File(path) => durable_files::replace(&dir.fleet_ca_key(), read(path)?.as_bytes(), 0o600)?,
            KeySource::Command(command) => {
                durable_files::replace(&dir.fleet_ca_sign_command(), format!("{command}\n").as_bytes(), 0o600)?;
            }
        }
        durable_files::replace(&dir.fleet_ca_certificate(), pem.as_bytes(), 0o644)?;
        // The key is tried, and with it whatever else a chain is judged by.
        let unusable = |reason: String| CertificateError::Unusable { certificate: source.certificate.clone(), reason };
        let (chain, _) = Self::load(dir)?.issue_for_server(&[PROBE.to_owned()], now)?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let verifier = verifier.map_err(|error| unusable(error.to_string()))?;
        let name = ServerName::try_from(PROBE).map_err(|error| unusable(error.to_string()))?;
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let Some(leaf) = chain.first() else { return Ok(()) };
        verifier.verify_server_cert(leaf, &[], &name, &[], time).map_err(|error| unusable(error.to_string()))?;
        Ok(())
    }
}

/// Whether the file holds the certificate of one authority that may issue others now.
fn check(path: &Path, pem: &str, now: Timestamp) -> Result<CertificateDer<'static>, CertificateError> {
    let wrong = |reason: &str| CertificateError::Content {
        path: path.to_owned(),
        expected: EXPECTED,
        reason: reason.to_owned(),
    };
    let all = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| wrong(&error.to_string()))?;
    let [certificate] = all.as_slice() else {
        // Whoever any of them certified would be a device of this fleet.
        return Err(wrong("it must hold one certificate in PEM form, that of the authority itself, and no chain"));
    };
    let (_, parsed) = parse_x509_certificate(certificate).map_err(|error| wrong(&error.to_string()))?;
    let usage = parsed.key_usage().map_err(|error| wrong(&error.to_string()))?;
    if !parsed.is_ca() {
        return Err(wrong("its basicConstraints do not say CA:TRUE"));
    }
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err(wrong("its keyUsage lacks keyCertSign"));
    }
    let validity = parsed.validity();
    let second = now.as_second();
    if second < validity.not_before.timestamp() || validity.not_after.timestamp() <= second {
        return Err(wrong("it is not valid today"));
    }
    Ok(certificate.clone())
}
