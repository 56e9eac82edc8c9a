//! The certificate that the server shows: one from the fleet CA, or one that was given.

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GivenCertificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl GivenCertificate {
    /// Reads them, and checks that they belong together.
    pub(crate) fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
        let wrong = |path: &Path, expected| {
            let path = path.to_owned();
            move |error: rustls::pki_types::pem::Error| match error {
                rustls::pki_types::pem::Error::Io(source) => CertificateError::Read { path, source },
                error => CertificateError::Content { path, expected, reason: error.to_string() },
            }
        };
        const CHAIN: &str = "a certificate chain in PEM form";
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(wrong(&self.certificate, CHAIN))?;
        if chain.is_empty() {
            let (path, reason) = (self.certificate.clone(), "it holds no certificate".to_owned());
            return Err(CertificateError::Content { path, expected: CHAIN, reason });
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(wrong(&self.key, "a private key in PEM form"))?;
        Ok(CertifiedKey::from_der(chain, key, provider)?)
    }
}

impl FleetCa {
    /// A certificate for this server under these names, with its key.
    pub(crate) fn certify(
        &self,
        names: &[String],
        provider: &CryptoProvider,
        now: Timestamp,
    ) -> Result<CertifiedKey, CertificateError> {
        let (chain, key) = self.issue_for_server(names, now)?;
        Ok(CertifiedKey::from_der(chain, key, provider)?)
    }
}

/// What TLS handshakes show. It may be exchanged while they go on.
pub(crate) struct ServerCertificate {
    current: watch::Sender<Arc<CertifiedKey>>,
}

impl ServerCertificate {
    pub(crate) fn new(key: CertifiedKey) -> Self {
        Self { current: watch::Sender::new(Arc::new(key)) }
    }

    /// From now on handshakes show this one.
    pub(crate) fn replace(&self, key: CertifiedKey) {
        self.current.send_replace(Arc::new(key));
    }
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
