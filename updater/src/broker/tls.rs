//! TLS towards the fleet's broker: whom the device trusts, and what it shows of itself.

use crate::device_key;
use crate::repository::SYSTEM_ROOTS;
use rustls::client::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{DEFAULT_VERSIONS, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// TLS that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file that cannot be used.
    #[error("could not use {what} {path}: {reason}")]
    File { what: &'static str, path: PathBuf, reason: String },
    /// Certificate and key that cannot be used.
    #[error("could not use the device's certificate and key: {0}; do they belong together?")]
    Identity(String),
    /// The library refused.
    #[error("could not set up TLS: {0}")]
    Setup(#[from] rustls::Error),
}

/// What the device shows of itself: a certificate in PEM, and a key as [`device_key`] has it.
pub(crate) struct Shown<'a> {
    pub(crate) certificate: &'a str,
    pub(crate) key: &'a str,
}

/// Trusts the authorities of a PEM file, and shows a certificate if there is one.
pub(super) fn client_config(
    ca: Option<&Path>,
    shown: Option<&Shown<'_>>,
    alpn: Option<&str>,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(device_key::provider()))
        .with_protocol_versions(DEFAULT_VERSIONS)?
        .with_root_certificates(authorities(ca.unwrap_or(Path::new(SYSTEM_ROOTS)))?);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(Shown { certificate, key }) => {
            let unusable = |error: &dyn std::fmt::Display| TlsError::Identity(error.to_string());
            let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
            let chain = chain.map_err(|error| unusable(&error))?;
            let key = device_key::for_tls(key).map_err(|error| unusable(&error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| unusable(&error))?
        }
    };
    config.alpn_protocols = alpn.map(|protocol| protocol.as_bytes().to_vec()).into_iter().collect();
    Ok(config)
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let fail = |reason: String| TlsError::File { what: "the authorities of", path: path.to_owned(), reason };
    let pem = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| fail(error.to_string()))?;
        // Debian's file may hold one that the library does not take; the others count.
        if let Err(error) = roots.add(certificate) {
            tracing::debug!("{}: {error}", path.display());
        }
    }
    if roots.is_empty() { Err(fail("it holds no certificate in PEM form".into())) } else { Ok(roots) }
}
