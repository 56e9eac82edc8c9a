//! The fleet's certificate authority: it issues the certificates of devices and the server's own.

mod adoption;
mod authority;
mod authority_key;
mod for_brokers;
mod request;
mod server_certificate;
mod sign_command;

pub use adoption::{AuthoritySource, KeySource};
pub(crate) use authority::Authority;
pub(crate) use for_brokers::PemIdentity;
pub(crate) use request::{BadRequest, CertificateRequest};
pub(crate) use server_certificate::{GivenCertificate, RENEWAL_INTERVAL, ServerCertificate};
pub(crate) use sign_command::SignCommandError;

use crate::data_dir::DataDir;
use authority_key::{AuthorityKey, CommandKey};
use debian_formats::checksums::hex;
use durable_files::DurableError;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SerialNumber, SubjectPublicKeyInfo,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use x509_parser::parse_x509_certificate;

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
    /// The command that has the key did not sign.
    #[error(transparent)]
    Sign(#[from] SignCommandError),
    /// The server ends.
    #[error("the server is being stopped")]
    Stopped,
    /// No random numbers.
    #[error("no random numbers for a certificate: {0}")]
    Random(getrandom::Error),
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
    /// Devices would refuse what this authority issues.
    #[error(
        "what is signed for {certificate} does not verify with it: {reason}; the key must be the one of that certificate, \
         and a signing command must use SHA-256 (of a P-384 key: SHA-384) and print the signature's bytes"
    )]
    Unusable {
        /// The authority's certificate.
        certificate: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

fn making(what: &'static str) -> impl Fn(rcgen::Error) -> CertificateError {
    move |source| CertificateError::Make { what, source }
}

/// Whose certificate is issued, and until when.
#[derive(Debug, Clone)]
pub(crate) struct ClientSubject {
    /// The common name; None: the certificate's own serial number, by which it can be found.
    pub(crate) common_name: Option<String>,
    pub(crate) not_after: Timestamp,
}

/// The authority that devices trust and that signs their certificates and the server's.
pub(crate) struct FleetCa {
    issuer: Issuer<'static, AuthorityKey>,
    certificate: CertificateDer<'static>,
    path: PathBuf,
    not_after: Timestamp,
    /// Somebody above vouches for it.
    is_subordinate: bool,
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
        set_lifetime(&mut params, now, now.saturating_add(DAY * CA_DAYS).unwrap_or(now));
        let certificate = params.self_signed(&key).map_err(&fail)?;
        durable_files::replace(&dir.fleet_ca_key(), key.serialize_pem().as_bytes(), 0o600)?;
        durable_files::replace(&dir.fleet_ca_certificate(), certificate.pem().as_bytes(), 0o644)?;
        Ok(())
    }

    /// The authority whose certificate is the first in the fleet CA's file, with its key or the command that has it.
    pub(crate) fn load(dir: &DataDir) -> Result<Self, CertificateError> {
        let (key_path, path, command_path) =
            (dir.fleet_ca_key(), dir.fleet_ca_certificate(), dir.fleet_ca_sign_command());
        let pem = read(&path)?;
        let content = |reason: String| CertificateError::Content {
            path: path.clone(),
            expected: "a CA certificate in PEM form",
            reason,
        };
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| content(error.to_string()))?;
        let (_, parsed) = parse_x509_certificate(&certificate).map_err(|error| content(error.to_string()))?;
        let not_after = Timestamp::from_second(parsed.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX);
        let is_subordinate = parsed.subject() != parsed.issuer();
        let key = if command_path.exists() {
            let public = SubjectPublicKeyInfo::from_der(parsed.public_key().raw);
            let public = public.map_err(|error| content(format!("its key cannot sign: {error}")))?;
            AuthorityKey::Command(CommandKey::new(read(&command_path)?.trim().to_owned(), public))
        } else {
            let key = KeyPair::from_pem(&read(&key_path)?).map_err(|error| CertificateError::Content {
                path: key_path,
                expected: "a private key in PEM form",
                reason: error.to_string(),
            })?;
            AuthorityKey::File(Box::new(key))
        };
        let certificate = certificate.clone().into_owned();
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| content(error.to_string()))?;
        Ok(Self { issuer, certificate, path, not_after, is_subordinate })
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

    /// A client's certificate for the key of a request, in DER form. A key behind a command blocks until that has signed.
    pub(crate) fn issue_for_client(
        &self,
        request: &CertificateRequest,
        subject: &ClientSubject,
        now: Timestamp,
    ) -> Result<CertificateDer<'static>, CertificateError> {
        let mut params = CertificateParams::default();
        let serial = new_serial()?;
        let common_name = subject.common_name.clone().unwrap_or_else(|| hex(&serial));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        set_lifetime(&mut params, now, subject.not_after.min(self.not_after));
        self.issue(&params, &request.public_key, "client certificate")
    }

    /// A short-lived certificate for this server under the given names, with its key.
    fn issue_for_server(
        &self,
        names: &[String],
        now: Timestamp,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CertificateError> {
        let fail = making("server certificate");
        let key = KeyPair::generate().map_err(&fail)?;
        let mut params = CertificateParams::new(names).map_err(&fail)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "debfleet-server");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let end = now.saturating_add(DAY * SERVER_DAYS).unwrap_or(now);
        set_lifetime(&mut params, now, end.min(self.not_after));
        let mut chain = vec![self.issue(&params, &key, "server certificate")?];
        if self.is_subordinate {
            // For clients that trust only whoever stands above.
            chain.push(self.certificate.clone());
        }
        Ok((chain, PrivateKeyDer::Pkcs8(key.serialize_der().into())))
    }

    /// Signs, and makes sure that it was this authority's key that did.
    fn issue(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
        what: &'static str,
    ) -> Result<CertificateDer<'static>, CertificateError> {
        let made = params.signed_by(key, &self.issuer).map_err(|source| match self.issuer.key().failure() {
            Some(failure) => failure.into(),
            None => making(what)(source),
        })?;
        self.verify(made.der())?;
        Ok(made.der().clone())
    }

    /// Checks that a certificate is by this authority.
    fn verify(&self, certificate: &CertificateDer<'_>) -> Result<(), CertificateError> {
        let unusable = |reason: String| CertificateError::Unusable { certificate: self.path.clone(), reason };
        let (_, issuer) = parse_x509_certificate(&self.certificate).map_err(|error| unusable(error.to_string()))?;
        let (_, made) = parse_x509_certificate(certificate).map_err(|error| unusable(error.to_string()))?;
        if made.issuer().as_raw() != issuer.subject().as_raw() {
            return Err(unusable("its name has a form that cannot be repeated in another certificate".to_owned()));
        }
        made.verify_signature(Some(issuer.public_key())).map_err(|error| unusable(error.to_string()))
    }
}

/// 159 random bits, positive (RFC 5280 §4.1.2.2).
fn new_serial() -> Result<[u8; 20], CertificateError> {
    let mut serial = [0u8; 20];
    getrandom::fill(&mut serial).map_err(CertificateError::Random)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(serial)
}

/// From two days ago, because devices' clocks may be behind.
fn set_lifetime(params: &mut CertificateParams, now: Timestamp, end: Timestamp) {
    let time = |at: Timestamp| {
        let second = u64::try_from(at.as_second()).unwrap_or_default();
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(second)
    };
    params.not_before = time(now.saturating_sub(DAY * 2).unwrap_or(now));
    params.not_after = time(end);
}

fn read(path: &Path) -> Result<String, CertificateError> {
    std::fs::read_to_string(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}
