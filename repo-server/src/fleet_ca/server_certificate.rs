//! The certificate that the server shows: one from the fleet CA, renewed while it runs, or one that was given.

use super::{CertificateError, FleetCa};
use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A third of the certificate's life.
pub(crate) const RENEWAL_INTERVAL: Duration = Duration::from_secs(30 * 24 * 3600);

/// Certificate and key files from the operator's own authority.
#[derive(Debug, Clone)]
pub(crate) struct GivenCertificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What TLS handshakes show. It may be exchanged while they go on.
pub(crate) struct ServerCertificate {
    current: watch::Sender<Arc<CertifiedKey>>,
}

impl ServerCertificate {
    /// The operator's own.
    pub(crate) fn given(files: &GivenCertificate, provider: &CryptoProvider) -> Result<Self, CertificateError> {
        let wrong = |path: &Path, expected| {
            let path = path.to_owned();
            move |error: rustls::pki_types::pem::Error| match error {
                rustls::pki_types::pem::Error::Io(source) => CertificateError::Read { path, source },
                error => CertificateError::Content { path, expected, reason: error.to_string() },
            }
        };
        const CHAIN: &str = "a certificate chain in PEM form";
        let chain = CertificateDer::pem_file_iter(&files.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(wrong(&files.certificate, CHAIN))?;
        if chain.is_empty() {
            let (path, reason) = (files.certificate.clone(), "it holds no certificate".to_owned());
            return Err(CertificateError::Content { path, expected: CHAIN, reason });
        }
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(wrong(&files.key, "a private key in PEM form"))?;
        Ok(Self::showing(CertifiedKey::from_der(chain, key, provider)?))
    }

    /// One from the fleet CA.
    pub(crate) fn issued(
        ca: &FleetCa,
        names: &[String],
        provider: &CryptoProvider,
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        Ok(Self::showing(certify(ca, names, provider, now)?))
    }

    /// Replaces the one from the fleet CA by a fresh one.
    pub(crate) fn renew(
        &self,
        ca: &FleetCa,
        names: &[String],
        provider: &CryptoProvider,
        now: Timestamp,
    ) -> Result<(), CertificateError> {
        self.current.send_replace(Arc::new(certify(ca, names, provider, now)?));
        Ok(())
    }

    fn showing(key: CertifiedKey) -> Self {
        Self { current: watch::Sender::new(Arc::new(key)) }
    }
}

fn certify(
    ca: &FleetCa,
    names: &[String],
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<CertifiedKey, CertificateError> {
    let (certificate, key) = ca.issue_for_server(names, now)?;
    Ok(CertifiedKey::from_der(vec![certificate], key, provider)?)
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.borrow().clone())
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerCertificate")
    }
}
