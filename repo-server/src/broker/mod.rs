//! The embedded MQTT broker: sessions over the codec of `rmqtt_codec`, and what a fleet needs. The `front` takes connections; a
//! `connection` is a task that speaks the protocol; `sessions`, `index` and `retained` are what they share, with their `store`
//! in the database.
//!
//! Three rules hold whatever a policy says. A client is who its certificate or, of a person, its token says, never its
//! username. It connects only under a client id of its own (`admission`). Its will is checked when it connects, as if it were
//! published then.

mod admission;
mod attendance;
mod client;
mod connection;
mod front;
mod handshakes;
mod identity;
mod ids;
mod index;
mod link;
mod message;
mod presence;
mod retained;
mod sessions;
mod shared;
mod store;
mod wills;
mod wire;

pub(crate) use front::Front;
pub(crate) use handshakes::serve;
pub use store::StoreError;

use crate::certificates::Certificates;
use crate::database;
use crate::listening::Places;
use crate::messaging::{Outbox, Outgoing, Violations};
use crate::metrics::Metrics;
use crate::mqtt::Services;
use crate::people::People;
use crate::policies::Policies;
use attendance::Attendance;
use ids::Ids;
use index::Index;
use jiff::Timestamp;
use link::Links;
use retained::Retained;
use sessions::Sessions;
use shared::Core;
use sqlx::AnyPool;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::interval;
use wills::Wills;
use wire::DisconnectReasonCode;

/// The application protocols by which a client asks for MQTT: its own name, and AWS's for certificates on port 443.
pub(crate) const PROTOCOLS: [&[u8]; 2] = [b"mqtt", b"x-amzn-mqtt-ca"];

/// Connections at a time.
const MAX_CONNECTIONS: usize = 20_000;
/// Connections of people, and of strangers who may be some, at a time.
const MOST_PEOPLE: usize = 2048;
/// File descriptors for everything else.
const OTHER_DESCRIPTORS: u64 = 4096;
/// How often connections are looked through for those whose time is over.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often what nobody needs any more is removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// What connections get to end when the server is told to stop.
const FAREWELL_TIME: Duration = Duration::from_secs(10);
/// Messages of the server that may wait to be published, and that are written together.
const MOST_WAITING: usize = 1 << 16;
const MOST_AT_ONCE: usize = 512;

/// A broker that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Its tables cannot be read.
    #[error("could not start the MQTT broker: {0}")]
    Store(#[from] StoreError),
}

/// The broker of this server.
pub(crate) struct Broker {
    core: Arc<Core>,
    front: Arc<Front>,
    outbox: ToBroker,
    tasks: JoinSet<()>,
    writing: JoinHandle<()>,
}

/// What a broker is made of.
pub(crate) struct Parts {
    pub(crate) database: AnyPool,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) people: Arc<People>,
    pub(crate) services: Services,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) violations: Violations,
}

/// The way of the server's own messages to the broker.
#[derive(Clone)]
struct ToBroker(mpsc::Sender<Outgoing>);

impl Outbox for ToBroker {
    fn send(&self, message: Outgoing) {
        match self.0.try_send(message) {
            // Without a broker nobody listens.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(message)) => {
                tracing::error!(topic = message.topic, "a message was not published: too many wait already");
            }
        }
    }
}

impl Broker {
    /// Reads what was kept, and waits for clients.
    pub(crate) async fn start(parts: Parts) -> Result<Self, BrokerError> {
        let Parts { database, certificates, policies, people, services, metrics, violations } = parts;
        let mut kept = store::read(&database, now()).await?;
        let (store, writing) = Store::start(database.clone());
        let index = Arc::new(Index::default());
        let ids = Ids::new(kept.highest);
        let wills = Wills::new(std::mem::take(&mut kept.wills));
        let retained = Retained::new(store.clone(), std::mem::take(&mut kept.retained));
        let sessions = Sessions::new(store.clone(), index.clone(), metrics.clone(), kept);
        let (attendance, changes) = Attendance::new();
        let (registry, is_alone) = (services.registry.clone(), !database::is_shared(&database));
        let core = Arc::new(Core {
            database,
            certificates,
            policies,
            people,
            services,
            metrics: metrics.clone(),
            violations,
            links: Links::default(),
            sessions,
            index,
            retained,
            wills,
            store,
            attendance,
            ids,
        });
        let (outbox, waiting) = mpsc::channel(MOST_WAITING);
        let mut tasks = JoinSet::new();
        tasks.spawn(publish_all(core.clone(), waiting));
        tasks.spawn(attendance::note_all(registry, changes, is_alone));
        tasks.spawn(look_after(core.clone()));
        let with_wills = core.clone();
        tasks.spawn(async move { with_wills.publish_delayed_wills().await });
        // A whole fleet may stand behind one address, and others still find places.
        let most = most_connections();
        let places = Places::new(most, most / 4 * 3, metrics.connections("mqtt"));
        let places_of_people = Places::new(MOST_PEOPLE, MOST_PEOPLE / 4 * 3, metrics.connections("mqtt-people"));
        let front = Arc::new(Front::new(core.clone(), places, places_of_people));
        Ok(Self { core, front, outbox: ToBroker(outbox), tasks, writing })
    }

    /// What takes connections for it.
    pub(crate) fn front(&self) -> Arc<Front> {
        self.front.clone()
    }

    /// What publishes the server's own messages.
    pub(crate) fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(self.outbox.clone())
    }

    /// Tells the clients that the server stops, and writes what is left to be written.
    pub(crate) async fn stop(mut self) {
        let ended = async {
            loop {
                let links = self.core.links.all();
                if links.is_empty() {
                    return;
                }
                for link in links {
                    link.cut(DisconnectReasonCode::ServerShuttingDown);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(FAREWELL_TIME, ended).await.is_err() {
            tracing::warn!("some MQTT connections did not end in time and are cut off");
        }
        self.tasks.shutdown().await;
        self.core.store.flush().await;
        self.writing.abort();
    }
}

/// As many as file descriptors allow.
fn most_connections() -> usize {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let fitting = descriptors.saturating_sub(OTHER_DESCRIPTORS).max(descriptors / 2);
    usize::try_from(fitting).unwrap_or(usize::MAX).clamp(1, MAX_CONNECTIONS)
}

async fn publish_all(core: Arc<Core>, mut waiting: mpsc::Receiver<Outgoing>) {
    let mut messages = Vec::new();
    while waiting.recv_many(&mut messages, MOST_AT_ONCE).await > 0 {
        core.say(std::mem::take(&mut messages), None).await;
    }
}

/// Ends what must end: connections of certificates and people that no longer count, and sessions whose time is over.
async fn look_after(core: Arc<Core>) {
    let (mut changes, mut people) = (core.certificates.changes(), core.people.generation());
    let (mut looks, mut sweeps) = (interval(LOOK_INTERVAL), interval(SWEEP_INTERVAL));
    loop {
        tokio::select! {
            changed = changes.recv() => match changed {
                Ok(certificate) => core.end_ended(|link| link.shown.as_ref().is_some_and(|shown| shown.id == certificate)).await,
                // Some were missed, so each may have changed.
                Err(RecvError::Lagged(_)) => core.end_ended(|_| true).await,
                Err(RecvError::Closed) => tokio::time::sleep(LOOK_INTERVAL).await,
            },
            Ok(()) = people.changed() => core.end_people(core.links.all()).await,
            _ = looks.tick() => core.end_late(),
            _ = sweeps.tick() => core.sweep().await,
        }
    }
}

/// In milliseconds since 1970.
fn now() -> i64 {
    Timestamp::now().as_millisecond()
}
