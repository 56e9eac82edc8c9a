//! The serving process: opens the data folder, listens, and stops when told to.

use crate::access::{Access, AccessError};
use crate::audit::Audit;
use crate::broker::{self, Broker, BrokerError, Parts};
use crate::certificate::{Certificate, certificate_names};
use crate::certificates::Certificates;
use crate::config::{Endpoint, Settings, SettingsSource};
use crate::data_dir::{DataDir, DataDirState};
use crate::database::{self, DatabaseError, DatabasePlace};
use crate::external_broker::{self, ExternalBroker, ExternalBrokerError};
use crate::fleet_ca::{Authority, CertificateError};
use crate::http::listener;
use crate::http::{Front, Scheme, ServerState, Shared, Surface, router};
use crate::listening::{self, ListenError, TlsError};
use crate::logging::LogControl;
use crate::messaging::{Nowhere, Outbox};
use crate::metrics::Metrics;
use crate::mqtt::Services;
use crate::people::{People, PeopleError};
use crate::policies::{Policies, PolicyError};
use crate::provisioning::{Domains, Provisioning};
use crate::reload::Reloader;
use crate::repeats::Repeats;
use crate::repository::{OpenError, Repository};
use crate::shadows::Shadows;
use crate::sockets::Inherited;
use crate::storage::{Storage, StorageError};
use crate::supervision;
use crate::things::{Registry, RegistryError};
use durable_files::{DurableError, Lock};
use jiff::Timestamp;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
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
    /// Kept answers cannot be changed.
    #[error("could not forget the requests that the server's last end cut off: {0}")]
    Repeats(sqlx::Error),
    /// Policies cannot be read.
    #[error("could not read what devices may do: {0}")]
    Policies(String),
    /// People cannot be read.
    #[error("could not read who may sign in: {0}")]
    People(String),
    /// Things cannot be read.
    #[error("could not read the things: {0}")]
    Registry(String),
    /// The MQTT broker cannot be started.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The server cannot be a client of its broker.
    #[error(transparent)]
    ExternalBroker(#[from] ExternalBrokerError),
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

impl From<PolicyError> for ServeError {
    fn from(error: PolicyError) -> Self {
        Self::Policies(error.to_string())
    }
}

impl From<PeopleError> for ServeError {
    fn from(error: PeopleError) -> Self {
        Self::People(error.to_string())
    }
}

impl From<RegistryError> for ServeError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error.to_string())
    }
}

/// What a serving process begins with.
pub struct Start {
    /// Checked settings.
    pub settings: Settings,
    /// Where they came from.
    pub source: SettingsSource,
    /// Sockets from the service manager.
    pub inherited: Inherited,
    /// Changes what is logged.
    pub log: LogControl,
}

/// Serves until SIGTERM or SIGINT. Each address is announced once all of them are ready.
pub async fn serve(start: Start, announce: impl Fn(&str)) -> Result<(), ServeError> {
    let Start { settings, source, inherited, log } = start;
    let dir = DataDir::new(&settings.data);
    let _lock = take(&dir)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let hang_up = signal(SignalKind::hangup()).map_err(ServeError::Signals)?;

    // Addresses first: a port in use is the most likely mistake.
    let listeners = listen(&settings, inherited).await?;
    let tls = listeners.iter().any(|listener| matches!(listener.endpoint, Endpoint::Https | Endpoint::Mqtts));
    let certificate = if tls { Some(Arc::new(Certificate::new(&settings, &dir)?)) } else { None };
    let storage = Storage::new(&dir, settings.backends.bucket.as_ref())?;
    if storage.is_shared() {
        // A bucket that cannot be reached is better found out now than by the first reader.
        storage.holds_packages().await?;
    }
    let database = database::open(&DatabasePlace::new(&dir, &settings.backends)).await?;
    let repository = Repository::open(&dir, database.clone(), storage, Timestamp::now).await?;
    let repository = Arc::new(repository.with_max_upload(settings.max_upload));
    // Before the first reader comes: the keys may be others than when the server ended.
    repository.renew_releases().await;
    let audit = Audit::new(database.clone(), Timestamp::now);
    let access = Arc::new(Access::load(database.clone(), audit.clone()).await?);
    let certificates = Arc::new(Certificates::new(database.clone()));
    let authority = Arc::new(Authority::new(&dir));
    let registry = Arc::new(Registry::open(database.clone(), Timestamp::now).await?);
    let repeats = Repeats::open(database.clone(), repository.process().to_owned(), Timestamp::now).await;
    let repeats = Arc::new(repeats.map_err(ServeError::Repeats)?);
    let policies = Arc::new(Policies::open(database.clone(), registry.generation(), Timestamp::now).await?);
    let people = People::open(database.clone(), registry.generation(), policies.clone(), Timestamp::now).await?;
    let people = Arc::new(people);
    let shadows = Arc::new(Shadows::new(database.clone(), audit.clone(), Timestamp::now));
    let provisioning = Arc::new(Provisioning::new(Domains {
        database: database.clone(),
        audit: audit.clone(),
        certificates: certificates.clone(),
        authority: authority.clone(),
        registry: registry.clone(),
        policies: policies.clone(),
    }));
    let metrics = Arc::new(Metrics::new());
    let proxies = Arc::new(settings.trusted_proxies.clone());
    let web_origins = Arc::new(settings.web_origins.clone());

    let services =
        Services { shadows: shadows.clone(), registry: registry.clone(), provisioning: provisioning.clone() };
    let external = match settings.broker.clone() {
        None => None,
        Some(broker) => {
            let mut names = certificate_names(&settings.host_names);
            names.retain(|name| *name != broker.host);
            names.insert(0, broker.host.clone());
            let parts = external_broker::Parts {
                settings: broker,
                data: dir.clone(),
                authority: authority.clone(),
                certificates: certificates.clone(),
                policies: policies.clone(),
                services: services.clone(),
                metrics: metrics.clone(),
                names,
            };
            Some(ExternalBroker::start(parts).await?)
        }
    };
    // Clients show certificates, so there are none without TLS.
    let broker = match (&certificate, &external) {
        (None, _) | (_, Some(_)) => None,
        (Some(_), None) => {
            let parts = Parts {
                database: database.clone(),
                certificates: certificates.clone(),
                policies: policies.clone(),
                people: people.clone(),
                services,
                metrics: metrics.clone(),
                violations: settings.mqtt_violations,
            };
            Some(Broker::start(parts).await?)
        }
    };
    let outbox = match (&broker, &external) {
        (Some(broker), _) => broker.outbox(),
        (None, Some(external)) => external.outbox(),
        (None, None) => Arc::new(Nowhere) as Arc<dyn Outbox>,
    };

    let (stop, stopped) = watch::channel(false);
    let mut serving = JoinSet::new();
    for Listening { endpoint, socket, bound } in listeners {
        if let (Endpoint::Mqtts, Some(certificate), Some(broker)) = (endpoint, &certificate, &broker) {
            serving.spawn(broker::serve(socket, certificate.mqtts()?, broker.front(), stopped.clone()));
            announce(&announcement(endpoint, bound));
            continue;
        }
        let tls = match (endpoint, &certificate) {
            (Endpoint::Https, Some(certificate)) => Some(certificate.https()?),
            _ => None,
        };
        let state = ServerState::new(Shared {
            repository: repository.clone(),
            access: access.clone(),
            audit: audit.clone(),
            certificates: certificates.clone(),
            authority: authority.clone(),
            provisioning: provisioning.clone(),
            registry: registry.clone(),
            repeats: repeats.clone(),
            policies: policies.clone(),
            shadows: shadows.clone(),
            people: people.clone(),
            outbox: outbox.clone(),
            surface: surface(endpoint, bound),
            redirect: settings.backends.redirect,
            metrics: metrics.clone(),
            mqtt: broker.as_ref().map(Broker::front),
            web_origins: web_origins.clone(),
            external_broker: external.as_ref().map(ExternalBroker::state),
            stop: stopped.clone(),
        });
        let mqtt = broker.as_ref().map(Broker::front);
        let front = Front::new(router(state), scheme(endpoint), metrics.clone(), proxies.clone(), mqtt);
        let connections = metrics.connections(endpoint.as_str());
        serving.spawn(listener::serve(socket, tls, Arc::new(front), connections, stopped.clone()));
        announce(&announcement(endpoint, bound));
    }
    let mut helpers = JoinSet::new();
    if let Some(certificate) = certificate.clone() {
        helpers.spawn(async move { certificate.keep_fresh().await });
    }
    let reloader = Reloader { source, started_with: settings, log, repository: repository.clone(), certificate };
    helpers.spawn(reload_on(hang_up, Arc::new(reloader)));
    helpers.spawn(async move {
        tokio::join!(
            repository.maintain(&audit),
            access.suites.keep_up(),
            certificates.tell_changes(),
            registry.keep_up(),
            policies.keep_up(),
            people.keep_up(),
            provisioning.maintain(),
        );
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
    let ended = async { while serving.join_next().await.is_some() {} };
    match broker {
        Some(broker) => drop(tokio::join!(ended, broker.stop())),
        None => ended.await,
    }
    if let Some(external) = external {
        external.stop().await;
    }
    helpers.shutdown().await;
    database.close().await;
    Ok(())
}

/// An address that is listened on.
struct Listening {
    endpoint: Endpoint,
    socket: TcpListener,
    bound: SocketAddr,
}

/// Takes over what the service manager opened, and opens the rest. A socket that was handed over stands in place of
/// the address in the settings.
async fn listen(settings: &Settings, inherited: Inherited) -> Result<Vec<Listening>, ListenError> {
    let handed_over = inherited.endpoints();
    let mut listeners = Vec::new();
    let addresses = [
        (Endpoint::Http, settings.http),
        (Endpoint::Https, settings.https),
        (Endpoint::Mqtts, settings.mqtts),
        (Endpoint::Metrics, settings.metrics),
    ];
    for (endpoint, address) in addresses {
        if let Some(address) = address.filter(|_| !handed_over.contains(&endpoint)) {
            let (socket, bound) = listening::bind(address).await?;
            listeners.push(Listening { endpoint, socket, bound });
        }
    }
    for (endpoint, socket) in inherited.into_sockets() {
        let (socket, bound) = listening::adopt(socket)?;
        listeners.push(Listening { endpoint, socket, bound });
    }
    Ok(listeners)
}

fn announcement(endpoint: Endpoint, bound: SocketAddr) -> String {
    match endpoint {
        Endpoint::Http | Endpoint::Https | Endpoint::Mqtts => format!("listening on {endpoint}://{bound}"),
        Endpoint::Metrics => format!("metrics on http://{bound}/metrics"),
    }
}

async fn reload_on(mut hang_up: Signal, reloader: Arc<Reloader>) {
    while hang_up.recv().await.is_some() {
        supervision::reloading();
        reloader.reload().await;
        supervision::ready();
    }
}

fn scheme(endpoint: Endpoint) -> Scheme {
    match endpoint {
        Endpoint::Https => Scheme::Https,
        Endpoint::Http | Endpoint::Mqtts | Endpoint::Metrics => Scheme::Http,
    }
}

/// Plain HTTP beyond loopback carries only what is public and signed.
fn surface(endpoint: Endpoint, bound: SocketAddr) -> Surface {
    match endpoint {
        Endpoint::Https => Surface::Whole,
        Endpoint::Http if bound.ip().to_canonical().is_loopback() => Surface::Whole,
        Endpoint::Http => Surface::Repository,
        Endpoint::Mqtts | Endpoint::Metrics => Surface::Operations,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_tls_show_the_api() {
        let over = |endpoint, address: &str| surface(endpoint, address.parse().unwrap());
        assert_eq!(over(Endpoint::Http, "127.0.0.1:80"), Surface::Whole);
        assert_eq!(over(Endpoint::Http, "[::1]:80"), Surface::Whole);
        assert_eq!(over(Endpoint::Http, "[::ffff:127.0.0.1]:80"), Surface::Whole);
        assert_eq!(over(Endpoint::Http, "0.0.0.0:80"), Surface::Repository);
        assert_eq!(over(Endpoint::Http, "[::]:80"), Surface::Repository);
        assert_eq!(over(Endpoint::Http, "192.0.2.1:80"), Surface::Repository);
        assert_eq!(over(Endpoint::Https, "0.0.0.0:443"), Surface::Whole);
    }
}
