//! TLS towards the broker: whom this server trusts, and what it shows of itself.

use super::ExternalBrokerError;
use crate::config::{BrokerKind, BrokerSettings, HTTPS_PORT};
use crate::data_dir::DataDir;
use crate::fleet_ca::{CertificateError, FleetCa, GivenCertificate, RENEWAL_INTERVAL};
use jiff::Timestamp;
use rustls::client::{ClientConfig, ResolvesClientCert};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// Where Debian keeps the authorities that everybody trusts.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// AWS IoT Core takes MQTT on the port of HTTPS from clients that ask for it by this name.
const ALPN_AT_443: &[u8] = b"x-amzn-mqtt-ca";

/// What is shown: exchanged while the server runs.
pub(super) struct Shown {
    current: RwLock<Arc<CertifiedKey>>,
    source: Source,
    provider: Arc<CryptoProvider>,
}

/// Where a certificate comes from.
enum Source {
    Given(GivenCertificate),
    Fleet(DataDir, &'static str),
}

impl Source {
    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
        match self {
            Self::Given(files) => files.read(provider),
            Self::Fleet(data, name) => FleetCa::load(data)?.certify_client(name, provider, Timestamp::now()),
        }
    }
}

impl Shown {
    pub(super) fn new(
        broker: &BrokerSettings,
        data: &DataDir,
        common_name: &'static str,
    ) -> Result<Arc<Self>, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let source = match broker.identity.clone() {
            Some((certificate, key)) => Source::Given(GivenCertificate { certificate, key }),
            None => Source::Fleet(data.clone(), common_name),
        };
        let current = RwLock::new(Arc::new(source.read(&provider)?));
        Ok(Arc::new(Self { current, source, provider }))
    }

    /// Renews it in time, for ever; files are read again.
    pub(super) async fn keep_fresh(self: Arc<Self>) {
        loop {
            tokio::time::sleep(RENEWAL_INTERVAL).await;
            let shown = self.clone();
            let read = tokio::task::spawn_blocking(move || shown.source.read(&shown.provider)).await;
            match read {
                Ok(Ok(key)) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                    tracing::info!("renewed the certificate that the broker is shown");
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "could not renew the certificate that the broker is shown; will try again");
                }
                Err(_) => return,
            }
        }
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown")
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Trusts the given authorities, or the fleet CA, or on AWS those that everybody trusts.
pub(super) fn client_config(
    broker: &BrokerSettings,
    data: &DataDir,
    shown: Arc<Shown>,
) -> Result<ClientConfig, ExternalBrokerError> {
    let roots = match (&broker.ca, &broker.kind) {
        (Some(path), _) => authorities(path)?,
        (None, BrokerKind::Mosquitto { .. }) => FleetCa::client_roots(data)?,
        (None, BrokerKind::Aws) => authorities(Path::new(SYSTEM_ROOTS))?,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(CertificateError::Tls)?
        .with_root_certificates(roots)
        .with_client_cert_resolver(shown);
    if broker.kind == BrokerKind::Aws && broker.port == HTTPS_PORT {
        config.alpn_protocols = vec![ALPN_AT_443.to_vec()];
    }
    Ok(config)
}

fn authorities(path: &Path) -> Result<RootCertStore, ExternalBrokerError> {
    let fail = |reason: String| ExternalBrokerError::Authorities { path: path.to_owned(), reason };
    let pem = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| fail(error.to_string()))?;
        // Of many one may be of a kind that the library does not take; the others count.
        if let Err(error) = roots.add(certificate) {
            tracing::debug!(%error, path = %path.display(), "an authority is not taken");
        }
    }
    if roots.is_empty() { Err(fail("it holds no certificate in PEM form".to_owned())) } else { Ok(roots) }
}
