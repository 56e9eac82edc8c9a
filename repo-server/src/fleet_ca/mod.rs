//! The fleet's certificate authority, and the server's own certificate.

mod server_certificate;

pub(crate) use server_certificate::{GivenCertificate, RENEWAL_INTERVAL, ServerCertificate};

use crate::data_dir::DataDir;
use durable_files::DurableError;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::{Path, PathBuf};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The authority outlives the devices that trust it.
const CA_DAYS: i32 = 20 * 365;
const SERVER_DAYS: i32 = 90;

/// A certificate or key that could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The library refused.
    #[error("could not make the {what}: {source}")]
    Make {
        /// What was to be made.
        what: &'static str,
        /// Why.
        source: rcgen::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] DurableError),
    /// A file could not be read.
    #[error("could not read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} is not {expected}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key cannot be used for TLS.
    #[error("the server certificate cannot be used: {0}; do certificate and key belong together?")]
    Tls(#[from] rustls::Error),
}

fn making(what: &'static str) -> impl Fn(rcgen::Error) -> CertificateError {
    move |source| CertificateError::Make { what, source }
}

/// The authority that devices trust and that signs their certificates and the server's.
pub(crate) struct FleetCa {
    issuer: Issuer<'static, KeyPair>,
}

impl FleetCa {
    /// Makes an authority and writes it: the key for its owner only, the certificate for everybody. P-256, because
    /// AWS IoT Core registers no Ed25519 authority.
    pub(crate) fn create(dir: &DataDir, now: Timestamp) -> Result<(), CertificateError> {
        let fail = making("fleet CA");
        let key = KeyPair::generate().map_err(&fail)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "debfleet fleet CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_lifetime(&mut params, now, CA_DAYS);
        let certificate = params.self_signed(&key).map_err(&fail)?;
        durable_files::replace(&dir.fleet_ca_key(), key.serialize_pem().as_bytes(), 0o600)?;
        durable_files::replace(&dir.fleet_ca_certificate(), certificate.pem().as_bytes(), 0o644)?;
        Ok(())
    }

    pub(crate) fn load(dir: &DataDir) -> Result<Self, CertificateError> {
        let content = |path: &Path, expected| {
            let path = path.to_owned();
            move |error: rcgen::Error| CertificateError::Content { path, expected, reason: error.to_string() }
        };
        let (key_path, certificate_path) = (dir.fleet_ca_key(), dir.fleet_ca_certificate());
        let key = KeyPair::from_pem(&read(&key_path)?).map_err(content(&key_path, "a private key in PEM form"))?;
        let issuer = Issuer::from_ca_cert_pem(&read(&certificate_path)?, key)
            .map_err(content(&certificate_path, "a CA certificate in PEM form"))?;
        Ok(Self { issuer })
    }

    /// What vouches for the certificates of devices: every certificate of the fleet CA's file, so that a new authority
    /// can stand beside the old one for a time.
    pub(crate) fn client_roots(dir: &DataDir) -> Result<RootCertStore, CertificateError> {
        let path = dir.fleet_ca_certificate();
        let content = |reason: String| CertificateError::Content {
            path: path.clone(),
            expected: "a file of CA certificates in PEM form",
            reason,
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(read(&path)?.as_bytes()) {
            let certificate = certificate.map_err(|error| content(error.to_string()))?;
            roots.add(certificate).map_err(|error| content(error.to_string()))?;
        }
        if roots.is_empty() { Err(content("it holds no certificate".to_owned())) } else { Ok(roots) }
    }

    /// A short-lived certificate for this server under the given names, with its key.
    fn issue_for_server(
        &self,
        names: &[String],
        now: Timestamp,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), CertificateError> {
        let fail = making("server certificate");
        let key = KeyPair::generate().map_err(&fail)?;
        let mut params = CertificateParams::new(names).map_err(&fail)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "debfleet-server");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_lifetime(&mut params, now, SERVER_DAYS);
        let certificate = params.signed_by(&key, &self.issuer).map_err(&fail)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Ok((certificate.der().clone(), key))
    }
}

/// From two days ago, because devices' clocks may be behind.
fn set_lifetime(params: &mut CertificateParams, now: Timestamp, days: i32) {
    let day = |time: Timestamp| {
        let date = time.to_zoned(TimeZone::UTC).date();
        rcgen::date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = day(now.saturating_sub(DAY * 2).unwrap_or(now));
    params.not_after = day(now.saturating_add(DAY * days).unwrap_or(now));
}

fn read(path: &Path) -> Result<String, CertificateError> {
    std::fs::read_to_string(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}
