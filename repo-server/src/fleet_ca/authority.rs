//! The authority as other domains ask for it. Its files are read each time, so that one that was exchanged counts at once.

use super::{CertificateError, CertificateRequest, ClientSubject, FleetCa};
use crate::data_dir::DataDir;
use jiff::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Certificates that are issued at a time; a key elsewhere may be slow.
const AT_A_TIME: usize = 4;

/// The authority of this server's fleet.
#[derive(Debug)]
pub(crate) struct Authority {
    dir: DataDir,
    places: Semaphore,
}

impl Authority {
    pub(crate) fn new(dir: &DataDir) -> Self {
        Self { dir: dir.clone(), places: Semaphore::new(AT_A_TIME) }
    }

    /// A client's certificate for the key of a request, in DER form.
    pub(crate) async fn issue(
        &self,
        request: CertificateRequest,
        subject: ClientSubject,
        now: Timestamp,
    ) -> Result<CertificateDer<'static>, CertificateError> {
        let _place = self.places.acquire().await.map_err(|_| CertificateError::Stopped)?;
        let dir = self.dir.clone();
        let issuing = move || FleetCa::load(&dir)?.issue_for_client(&request, &subject, now);
        tokio::task::spawn_blocking(issuing).await.map_err(|_| CertificateError::Stopped)?
    }

    /// The certificates of the authority, in PEM form.
    pub(crate) fn pem(&self) -> Result<String, CertificateError> {
        super::read(&self.dir.fleet_ca_certificate())
    }

    /// Whether a client that shows this certificate would be let in by a handshake now.
    pub(crate) fn vouches_for(&self, certificate: &[u8], now: Timestamp) -> bool {
        let Ok(roots) = FleetCa::client_roots(&self.dir) else { return false };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        verifier
            .is_ok_and(|verifier| verifier.verify_client_cert(&CertificateDer::from(certificate), &[], time).is_ok())
    }
}
