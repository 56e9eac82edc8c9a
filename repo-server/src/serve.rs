//! The serving process: opens the data folder, listens, and stops when told to.

use crate::access::{Access, AccessError};
use crate::audit::Audit;
use crate::config::{Settings, is_certificate_name};
use crate::data_dir::{DataDir, DataDirState};
use crate::database::{self, DatabaseError, DatabasePlace};
use crate::fleet_ca::{CertificateError, FleetCa, GivenCertificate, RENEWAL_INTERVAL, ServerCertificate};
use crate::http::listener::{self, ListenError, TlsError};
use crate::http::{Scheme, ServerState, Surface, router};
use crate::repository::{OpenError, Repository};
use crate::storage::{Storage, StorageError};
use crate::supervision;
use durable_files::{DurableError, Lock};
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A server that cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No server's data is there.
    #[error("{0} is not initialised; run `debfleet-server init --data {0} --package-key package.gpg` first")]
    NotInitialised(PathBuf),
    /// An init was cut off.
    #[error("{0} was not completely initialised or restored; run `debfleet-server init` or `restore` on it again")]
    Unfinished(PathBuf),
    /// The data folder cannot be read.
    #[error("could not look into {path}: {source}")]
    Look {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another server uses the folder.
    #[error("{0} is in use by another debfleet-server; stop that one first")]
    InUse(PathBuf),
    /// The lock could not be taken.
    #[error(transparent)]
    Lock(DurableError),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The storage cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The repository cannot be opened.
    #[error(transparent)]
    Repository(#[from] OpenError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// An address cannot be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Tokens and access cannot be read.
    #[error("could not read who may do what: {0}")]
    Access(String),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Signals cannot be received.
    #[error("could not wait for signals: {0}")]
    Signals(io::Error),
}

impl From<AccessError> for ServeError {
    fn from(error: AccessError) -> Self {
        Self::Access(error.to_string())
    }
}

/// Serves until SIGTERM or SIGINT. Each address is announced once all of them are ready.
pub async fn serve(settings: Settings, announce: impl Fn(&str)) -> Result<(), ServeError> {
    let dir = DataDir::new(&settings.data);
    let _lock = take(&dir)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;

    // Addresses first: a port in use is the most likely mistake.
    let mut listeners = Vec::new();
    for (scheme, address) in [(Scheme::Http, settings.http), (Scheme::Https, settings.https)] {
        if let Some(address) = address {
            let (socket, bound) = listener::bind(address).await?;
            listeners.push((scheme, socket, bound));
        }
    }
    let certificate = if settings.https.is_some() { Some(Certificate::new(&settings, &dir)?) } else { None };
    let storage = Storage::new(&dir, settings.backends.bucket.as_ref())?;
    if storage.is_shared() {
        // A bucket that cannot be reached is better found out now than by the first reader.
        storage.holds_packages().await?;
    }
    let database = database::open(&DatabasePlace::new(&dir, &settings.backends)).await?;
    let repository = Repository::open(&dir, database.clone(), storage, Timestamp::now).await?;
    let repository = Arc::new(repository.with_max_upload(settings.max_upload));
    let audit = Audit::new(database.clone(), Timestamp::now);
    let access = Arc::new(Access::load(database.clone(), audit.clone()).await?);

    let (stop, stopped) = watch::channel(false);
    let mut serving = JoinSet::new();
    for (scheme, socket, bound) in listeners {
        let tls = match (scheme, &certificate) {
            (Scheme::Https, Some(certificate)) => Some(certificate.acceptor()?),
            _ => None,
        };
        let (repository, access, audit) = (repository.clone(), access.clone(), audit.clone());
        let (surface, redirect) = (surface(scheme, bound), settings.backends.redirect);
        let state = ServerState { repository, access, audit, scheme, surface, redirect };
        serving.spawn(listener::serve(socket, tls, router(state), stopped.clone()));
        announce(&format!("listening on {}://{bound}", scheme.as_str()));
    }
    let maintaining = tokio::spawn(async move { tokio::join!(repository.maintain(), access.suites.keep_up()) });
    let renewing = tokio::spawn(async move {
        if let Some(certificate) = certificate {
            certificate.keep_fresh().await;
        }
    });

    supervision::ready();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = supervision::keep_alive() => {}
    }
    supervision::stopping();
    tracing::info!("stopping");
    stop.send_replace(true);
    while serving.join_next().await.is_some() {}
    maintaining.abort();
    renewing.abort();
    database.close().await;
    Ok(())
}

/// Plain HTTP beyond loopback carries only what is public and signed.
fn surface(scheme: Scheme, bound: SocketAddr) -> Surface {
    match scheme {
        Scheme::Https => Surface::Whole,
        Scheme::Http if bound.ip().to_canonical().is_loopback() => Surface::Whole,
        Scheme::Http => Surface::Repository,
    }
}

fn take(dir: &DataDir) -> Result<Lock, ServeError> {
    let path = dir.root().to_owned();
    match dir.state().map_err(|source| ServeError::Look { path: path.clone(), source })? {
        DataDirState::Initialised => {}
        DataDirState::Unfinished => return Err(ServeError::Unfinished(path)),
        DataDirState::Vacant | DataDirState::Foreign => return Err(ServeError::NotInitialised(path)),
    }
    Lock::acquire(&dir.lock()).map_err(|error| match error {
        DurableError::Locked { .. } => ServeError::InUse(path),
        error => ServeError::Lock(error),
    })
}

/// What HTTPS shows, and what it takes to renew it.
struct Certificate {
    shown: Arc<ServerCertificate>,
    provider: Arc<CryptoProvider>,
    /// What vouches for clients' certificates.
    clients: RootCertStore,
    /// None when the operator gave the certificate.
    issuer: Option<(FleetCa, Vec<String>)>,
}

impl Certificate {
    fn new(settings: &Settings, dir: &DataDir) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let clients = FleetCa::client_roots(dir)?;
        if let Some((certificate, key)) = settings.tls.clone() {
            let shown = ServerCertificate::given(&GivenCertificate { certificate, key }, &provider)?;
            return Ok(Self { shown: Arc::new(shown), provider, clients, issuer: None });
        }
        let (ca, names) = (FleetCa::load(dir)?, certificate_names(&settings.host_names));
        let shown = ServerCertificate::issued(&ca, &names, &provider, Timestamp::now())?;
        Ok(Self { shown: Arc::new(shown), provider, clients, issuer: Some((ca, names)) })
    }

    fn acceptor(&self) -> Result<tokio_rustls::TlsAcceptor, TlsError> {
        listener::tls_acceptor(self.shown.clone(), self.clients.clone(), self.provider.clone())
    }

    async fn keep_fresh(&self) {
        let Some((ca, names)) = &self.issuer else { return };
        loop {
            tokio::time::sleep(RENEWAL_INTERVAL).await;
            match self.shown.renew(ca, names, &self.provider, Timestamp::now()) {
                Ok(()) => tracing::info!("renewed the server certificate"),
                Err(error) => tracing::error!(%error, "could not renew the server certificate; will try again"),
            }
        }
    }
}

/// The names under which this machine is reached, and those that were asked for.
fn certificate_names(asked: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for name in std::iter::once(&machine).chain(asked) {
        if is_certificate_name(name) && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_tls_show_the_api() {
        let over = |scheme, address: &str| surface(scheme, address.parse().unwrap());
        assert_eq!(over(Scheme::Http, "127.0.0.1:80"), Surface::Whole);
        assert_eq!(over(Scheme::Http, "[::1]:80"), Surface::Whole);
        assert_eq!(over(Scheme::Http, "[::ffff:127.0.0.1]:80"), Surface::Whole);
        assert_eq!(over(Scheme::Http, "0.0.0.0:80"), Surface::Repository);
        assert_eq!(over(Scheme::Http, "[::]:80"), Surface::Repository);
        assert_eq!(over(Scheme::Http, "192.0.2.1:80"), Surface::Repository);
        assert_eq!(over(Scheme::Https, "0.0.0.0:443"), Surface::Whole);
    }
}
