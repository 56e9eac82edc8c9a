//! The certificate that HTTPS and MQTT show, and how it is renewed and exchanged while the server runs.

use crate::broker;
use crate::config::{Settings, is_certificate_name};
use crate::data_dir::DataDir;
use crate::fleet_ca::{CertificateError, FleetCa, GivenCertificate, RENEWAL_INTERVAL, ServerCertificate};
use crate::http::listener;
use crate::listening::{self, Clients, TlsError};
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_rustls::TlsAcceptor;

/// What HTTPS shows, and where it comes from.
pub(crate) struct Certificate {
    shown: Arc<ServerCertificate>,
    provider: Arc<CryptoProvider>,
    /// What vouches for clients' certificates.
    clients: RootCertStore,
    dir: DataDir,
    source: Mutex<Source>,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// The operator's own.
    Given(GivenCertificate),
    /// The fleet CA, for these names.
    Fleet(Vec<String>),
}

impl Source {
    fn of(settings: &Settings) -> Self {
        match settings.tls.clone() {
            Some((certificate, key)) => Self::Given(GivenCertificate { certificate, key }),
            None => Self::Fleet(certificate_names(&settings.host_names)),
        }
    }

    fn read(&self, dir: &DataDir, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
        match self {
            Self::Given(files) => files.read(provider),
            Self::Fleet(names) => FleetCa::load(dir)?.certify(names, provider, Timestamp::now()),
        }
    }
}

impl Certificate {
    pub(crate) fn new(settings: &Settings, dir: &DataDir) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let source = Source::of(settings);
        let shown = Arc::new(ServerCertificate::new(source.read(dir, &provider)?));
        let clients = FleetCa::client_roots(dir)?;
        Ok(Self { shown, provider, clients, dir: dir.clone(), source: Mutex::new(source) })
    }

    /// For HTTPS, where devices show a certificate, and people do not. Over it MQTT may be spoken, too.
    pub(crate) fn https(&self) -> Result<TlsAcceptor, TlsError> {
        self.acceptor(Clients::MayShowCertificate, &listener::PROTOCOLS)
    }

    /// For MQTT, where every client shows one.
    pub(crate) fn mqtts(&self) -> Result<TlsAcceptor, TlsError> {
        self.acceptor(Clients::MustShowCertificate, &broker::PROTOCOLS)
    }

    fn acceptor(&self, clients: Clients, protocols: &[&[u8]]) -> Result<TlsAcceptor, TlsError> {
        listening::acceptor(self.shown.clone(), self.clients.clone(), clients, protocols, self.provider.clone())
    }

    /// Shows what the settings now say: files are read again, and the fleet CA is asked when the names changed. After
    /// an error the old one stays.
    pub(crate) fn reload(&self, settings: &Settings) -> Result<(), CertificateError> {
        let source = Source::of(settings);
        if self.source() == source && matches!(source, Source::Fleet(_)) {
            return Ok(());
        }
        self.shown.replace(source.read(&self.dir, &self.provider)?);
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = source;
        Ok(())
    }

    /// Renews one from the fleet CA in time, for ever.
    pub(crate) async fn keep_fresh(&self) {
        loop {
            tokio::time::sleep(RENEWAL_INTERVAL).await;
            let source = self.source();
            if matches!(source, Source::Given(_)) {
                continue;
            }
            match source.read(&self.dir, &self.provider) {
                Ok(key) => {
                    self.shown.replace(key);
                    tracing::info!("renewed the server certificate");
                }
                Err(error) => tracing::error!(%error, "could not renew the server certificate; will try again"),
            }
        }
    }

    fn source(&self) -> Source {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The names under which this machine is reached, and those that were asked for.
pub(crate) fn certificate_names(asked: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for name in std::iter::once(&machine).chain(asked) {
        if is_certificate_name(name) && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
