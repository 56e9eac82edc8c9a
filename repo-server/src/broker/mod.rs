//! The embedded MQTT broker: rmqtt as a library, and around it what a fleet needs. Clients connect to the `front`, which
//! proves who they are; the library, which only this process can reach, asks `hooks` at each step; `shared` is its idea of
//! sessions and subscriptions, with ours behind it: `sessions`, `index`, `retained` and their `store` in the database.
//!
//! Three rules hold whatever a policy says. A client is who its certificate says, never its username. It connects only under
//! a client id of its own (`admission`). Its will is checked when it connects, as if it were published then.

mod admission;
mod attendance;
mod front;
mod hooks;
mod identity;
mod index;
mod link;
mod presence;
mod retained;
mod sessions;
mod shared;
mod store;
mod topics;

pub(crate) use front::Front;
pub use store::StoreError;

use crate::certificates::{Certificates, Standing};
use crate::database;
use crate::listening::{self, Places};
use crate::messaging::{Audience, Outbox, Outgoing, Violations};
use crate::metrics::Metrics;
use crate::mqtt::Services;
use crate::policies::Policies;
use attendance::Attendance;
use hooks::{ASKED_AT, Hooks};
use index::{Index, Subscriber};
use jiff::Timestamp;
use link::{Link, Links};
use retained::Retained;
use rmqtt::codec::v5::DisconnectReasonCode;
use rmqtt::context::ServerContext;
use rmqtt::net::Builder;
use rmqtt::server::MqttServer;
use rmqtt::shared::DefaultShared;
use rmqtt::types::{ClientId, CodecPublish, NodeId, Publish, QoS};
use sessions::Sessions;
use sqlx::AnyPool;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use store::Store;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::interval;
use tokio_rustls::TlsAcceptor;

/// The application protocols by which a client asks for MQTT: its own name, and AWS's for certificates on port 443.
pub(crate) const PROTOCOLS: [&[u8]; 2] = [b"mqtt", b"x-amzn-mqtt-ca"];

/// The library's number of this server.
const NODE: NodeId = 0;
/// Connections at a time. Each has three file descriptors.
const MAX_CONNECTIONS: usize = 20_000;
/// Handshakes under way at a time. Who begins one more ends the oldest, which has had its time unless nobody means it.
const MOST_HANDSHAKES: usize = 1024;
/// File descriptors for everything else.
const OTHER_DESCRIPTORS: u64 = 4096;
/// AWS: the longest packet, in bytes.
const LONGEST_PACKET: u32 = 146 << 10;
/// AWS: messages that a client may leave unacknowledged, in each direction.
const MOST_INFLIGHT: u16 = 100;
/// AWS: subscriptions of a client.
const MOST_SUBSCRIPTIONS: usize = 50;
/// AWS: topic aliases of a connection.
const MOST_TOPIC_ALIASES: u16 = 8;
/// AWS: the longest time that a session outlives its connection. It is what a client of MQTT 3.1.1 gets, too.
const SESSION_EXPIRY: Duration = Duration::from_secs(7 * 24 * 3600);
/// Messages in memory for one client: those that a kept session may leave, and as many new ones.
const MOST_QUEUED: usize = 2000;
/// From the handshake of TLS to an admitted CONNECT.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// How often connections are looked through for those whose time is over.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often what nobody needs any more is removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// What connections get to end when the server is told to stop.
const FAREWELL_TIME: Duration = Duration::from_secs(10);
/// Messages of the server that may wait to be published.
const MOST_WAITING: usize = 1 << 16;

/// A broker that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Its tables cannot be read.
    #[error("could not start the MQTT broker: {0}")]
    Store(#[from] StoreError),
    /// Its own address cannot be had.
    #[error("could not start the MQTT broker: could not listen on loopback: {0}")]
    Loopback(rmqtt::Error),
}

/// What everything in the broker works with.
struct Core {
    database: AnyPool,
    certificates: Arc<Certificates>,
    policies: Arc<Policies>,
    services: Services,
    metrics: Arc<Metrics>,
    violations: Violations,
    /// Where the library listens.
    inner: SocketAddr,
    links: Links,
    sessions: Sessions,
    index: Index,
    retained: Retained,
    store: Store,
    attendance: Attendance,
    ids: Ids,
    library: OnceLock<ServerContext>,
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
        let Parts { database, certificates, policies, services, metrics, violations } = parts;
        let kept = store::read(&database, now()).await?;
        let (store, writing) = Store::start(database.clone());
        let index = Index::default();
        let sessions = Sessions::new(store.clone(), index.clone(), metrics.clone(), &kept);
        let retained = Retained::new(store.clone(), &kept.retained);
        let listener = settings().bind().and_then(|listener| listener.tcp()).map_err(BrokerError::Loopback)?;
        let inner = listener.local_addr().map_err(BrokerError::Loopback)?;
        let (attendance, changes) = Attendance::new();
        let (registry, is_alone) = (services.registry.clone(), !database::is_shared(&database));
        let core = Arc::new(Core {
            database,
            certificates,
            policies,
            services,
            metrics: metrics.clone(),
            violations,
            inner,
            links: Links::default(),
            sessions,
            index: index.clone(),
            retained: retained.clone(),
            store,
            attendance,
            ids: Ids::new(kept.highest),
            library: OnceLock::new(),
        });
        let library = ServerContext::new().node_id(NODE).busy_check_enable(false).build().await;
        let shared = DefaultShared::new(Some(library.clone()));
        *library.extends.shared_mut().await = Box::new(shared::Kept::new(shared, core.clone()));
        *library.extends.router_mut().await = Box::new(index);
        *library.extends.retain_mut().await = Box::new(retained);
        let register = library.extends.hook_mgr().register();
        for step in ASKED_AT {
            register.add(step, Box::new(Hooks(core.clone()))).await;
        }
        register.start().await;
        // It is set once, here.
        let _ = core.library.set(library.clone());
        let server = MqttServer::new(library).listener_by_id(listener, 1).build();
        let (outbox, waiting) = mpsc::channel(MOST_WAITING);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            if let Err(error) = server.run().await {
                tracing::error!(%error, "the MQTT broker ended");
            }
        });
        tasks.spawn(publish_all(core.clone(), waiting));
        tasks.spawn(attendance::note_all(registry, changes, is_alone));
        tasks.spawn(look_after(core.clone()));
        // A whole fleet may stand behind one address, and others still find places.
        let most = most_connections();
        let places = Places::new(most, most / 4 * 3, metrics.connections("mqtt"));
        let front = Arc::new(Front::new(core.clone(), places));
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
                if links.is_empty() && !self.core.sessions.any_connected() {
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

/// Serves MQTT over TLS on an address until told to stop.
pub(crate) async fn serve(listener: TcpListener, tls: TlsAcceptor, front: Arc<Front>, stop: watch::Receiver<bool>) {
    let places = front.places.clone();
    let handshakes = Handshakes::default();
    let not_a_proxy = |_| false;
    listening::accept(listener, &places, stop, not_a_proxy, |stream, address, place| {
        let (tls, front, handshakes) = (tls.clone(), front.clone(), handshakes.clone());
        let pushed_out = handshakes.begin();
        tokio::spawn(async move {
            let shaken = tokio::select! {
                shaken = shake_hands(&tls, stream, address) => shaken,
                () = pushed_out.notified() => None,
            };
            handshakes.end(&pushed_out);
            if let Some(stream) = shaken {
                front.serve_tls(stream, address, place).await;
            }
        });
    })
    .await;
}

/// The handshakes that are under way, the oldest first.
#[derive(Clone, Default)]
struct Handshakes(Arc<Mutex<VecDeque<Arc<Notify>>>>);

impl Handshakes {
    /// One more; it is told when it has to make room for others.
    fn begin(&self) -> Arc<Notify> {
        let pushed_out = Arc::new(Notify::new());
        let mut all = self.all();
        all.push_back(pushed_out.clone());
        if all.len() > MOST_HANDSHAKES
            && let Some(oldest) = all.pop_front()
        {
            oldest.notify_one();
        }
        pushed_out
    }

    fn end(&self, ended: &Arc<Notify>) {
        self.all().retain(|other| !Arc::ptr_eq(other, ended));
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Arc<Notify>>> {
        // A queue is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn shake_hands(
    tls: &TlsAcceptor,
    stream: TcpStream,
    address: IpAddr,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    match listening::handshake(tls, stream).await {
        Ok(stream) => return Some(stream),
        Err(listening::HandshakeError::Certificate(error)) => {
            tracing::warn!(%address, %error, "refused an MQTT client for its certificate");
        }
        Err(error) => tracing::debug!(%address, %error, "a TLS handshake failed"),
    }
    None
}

/// The library's settings. It listens where only this machine reaches it, and whoever did not come through the front is
/// refused.
fn settings() -> Builder {
    Builder::new()
        .name("inner")
        .laddr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .backlog(1024)
        .nodelay(true)
        .tcp_keepalive(false)
        .max_connections(MAX_CONNECTIONS)
        .max_packet_size(LONGEST_PACKET)
        .allow_anonymous(false)
        .max_inflight(NonZeroU16::MIN.saturating_add(MOST_INFLIGHT - 1))
        .handshake_timeout(CONNECT_TIME)
        .send_timeout(listening::STALL_TIME)
        .max_mqueue_len(MOST_QUEUED)
        .max_qos_allowed(QoS::AtLeastOnce)
        .max_subscriptions(MOST_SUBSCRIPTIONS)
        .max_topic_aliases(MOST_TOPIC_ALIASES)
        .session_expiry_interval(SESSION_EXPIRY)
        .max_session_expiry_interval(SESSION_EXPIRY)
        // MQTT 5 §4.4: on a connection that lives nothing is sent again.
        .message_retry_interval(Duration::ZERO)
        .message_expiry_interval(Duration::ZERO)
}

/// As many as file descriptors allow.
fn most_connections() -> usize {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let fitting = descriptors.saturating_sub(OTHER_DESCRIPTORS).max(descriptors / 2) / 3;
    usize::try_from(fitting).unwrap_or(usize::MAX).clamp(1, MAX_CONNECTIONS)
}

async fn publish_all(core: Arc<Core>, mut waiting: mpsc::Receiver<Outgoing>) {
    while let Some(message) = waiting.recv().await {
        core.say(message, None).await;
    }
}

/// Ends what must end: connections of certificates that no longer count, those that never say who they are, and sessions
/// whose time is over.
async fn look_after(core: Arc<Core>) {
    let mut changes = core.certificates.changes();
    let (mut looks, mut sweeps) = (interval(LOOK_INTERVAL), interval(SWEEP_INTERVAL));
    loop {
        tokio::select! {
            changed = changes.recv() => match changed {
                Ok(certificate) => core.end_ended(|link| *link.identity.certificate() == certificate).await,
                // Some were missed, so each may have changed.
                Err(RecvError::Lagged(_)) => core.end_ended(|_| true).await,
                Err(RecvError::Closed) => tokio::time::sleep(LOOK_INTERVAL).await,
            },
            _ = looks.tick() => core.end_late(),
            _ = sweeps.tick() => core.sweep().await,
        }
    }
}

impl Core {
    /// Publishes a message of the server. `requester` is the client that it answers.
    async fn say(&self, message: Outgoing, requester: Option<&str>) {
        let Outgoing { topic, payload, audience } = message;
        let publish = CodecPublish {
            dup: false,
            retain: false,
            qos: QoS::AtLeastOnce,
            topic: topic.into(),
            packet_id: None,
            payload,
            properties: Some(Default::default()),
        };
        let publish = Publish::from(publish).create_time(self.ids.next());
        let mut subscribers = self.index.subscribers(&publish.topic, None);
        if let (Audience::Requester, Some(requester)) = (audience, requester) {
            subscribers.retain(|subscriber| *subscriber.client == *requester);
        }
        if let Err(error) = self.sessions.keep(&publish, &subscribers).await {
            tracing::error!(%error, topic = %publish.topic, "a message reaches only the clients that are connected");
        }
        self.sessions.deliver(&sessions::server(), &publish, &subscribers);
    }

    /// Sends a message to one client, whatever it subscribed to.
    async fn send_to(&self, client: &ClientId, publish: &Publish) -> Result<(), StoreError> {
        let publish = publish.clone().create_time(self.ids.next());
        let subscriber = Subscriber {
            client: client.clone(),
            at_least_once: publish.qos != QoS::AtMostOnce,
            retain_as_published: publish.retain,
            identifiers: Vec::new(),
        };
        let subscribers = std::slice::from_ref(&subscriber);
        self.sessions.keep(&publish, subscribers).await?;
        self.sessions.deliver(&sessions::server(), &publish, subscribers);
        Ok(())
    }

    /// A connection has ended. The library does not notice when a client leaves before it was answered, and would keep
    /// its session for ever.
    async fn release(&self, link: &Arc<Link>) {
        let Some(id) = self.sessions.released(link).await else { return };
        if let Some(library) = self.library.get().filter(|_| !self.sessions.is_kept(&id.client_id)) {
            let removed = library.extends.shared().await.entry(id.clone()).remove_with(&id).await;
            if let Err(error) = removed {
                tracing::warn!(%error, client = %id.client_id, "a session without a client was not removed");
            }
        }
    }

    fn disconnects(&self, link: &Link) -> bool {
        self.violations == Violations::Disconnect || !link.version5()
    }

    /// Ends connections whose time is over.
    fn end_late(&self) {
        let now = Timestamp::now();
        for link in self.links.all() {
            if link.identity.shown.not_after < now {
                tracing::warn!(client = link.client_id(), "ends an MQTT connection: its certificate has ended");
                link.cut(DisconnectReasonCode::AdministrativeAction);
            } else if link.admitted().is_none() && link.opened.elapsed() > CONNECT_TIME {
                tracing::debug!(address = %link.address, "ends an MQTT connection without CONNECT");
                link.cut(DisconnectReasonCode::UnspecifiedError);
            }
        }
    }

    /// Ends those of these connections whose certificate does not count any more.
    async fn end_ended(&self, concerned: impl Fn(&Link) -> bool) {
        for link in self.links.all().into_iter().filter(|link| concerned(link)) {
            match self.certificates.standing(&link.identity.shown, Timestamp::now()).await {
                Ok(Ok(Standing::Claim(_) | Standing::Device { .. })) => {}
                Ok(Ok(Standing::Unregistered)) => link.cut(DisconnectReasonCode::AdministrativeAction),
                Ok(Err(why)) => {
                    tracing::warn!(client = link.client_id(), %why, "ends an MQTT connection");
                    link.cut(DisconnectReasonCode::AdministrativeAction);
                }
                Err(error) => {
                    tracing::error!(%error, client = link.client_id(), "could not look up a certificate; ends its connection");
                    link.cut(DisconnectReasonCode::UnspecifiedError);
                }
            }
        }
    }

    async fn sweep(&self) {
        let now = now();
        for client in self.sessions.expired(now) {
            tracing::debug!(%client, "an MQTT session has expired");
            if let Err(error) = self.sessions.forget(&client).await {
                tracing::warn!(%error, %client, "an expired MQTT session was not removed; it is tried again");
            }
        }
        self.retained.sweep(now);
        self.store.sweep(now).await;
    }
}

/// Numbers for messages and connections: the time in milliseconds, and never the same twice, also after a restart.
struct Ids(AtomicI64);

impl Ids {
    fn new(highest: i64) -> Self {
        Self(AtomicI64::new(highest))
    }

    fn next(&self) -> i64 {
        let now = now();
        let next = |last: i64| Some(now.max(last + 1));
        // It is always given a next one.
        let last = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).unwrap_or_else(|last| last);
        now.max(last + 1)
    }
}

/// In milliseconds since 1970.
fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_handshake_too_many_ends_the_oldest_and_no_other() {
        let handshakes = Handshakes::default();
        let all: Vec<_> = (0..=MOST_HANDSHAKES).map(|_| handshakes.begin()).collect();
        all[0].notified().await;
        handshakes.end(&all[1]);
        let _one_more = handshakes.begin();
        assert_eq!(handshakes.all().len(), MOST_HANDSHAKES);
        assert!(Arc::ptr_eq(&handshakes.all()[0], &all[2]), "there was room for it");
    }

    #[test]
    fn numbers_are_never_the_same_even_when_the_clock_goes_back() {
        let ahead = now() + 1_000_000;
        let ids = Ids::new(ahead);
        assert_eq!([ids.next(), ids.next()], [ahead + 1, ahead + 2]);
        let ids = Ids::new(0);
        let first = ids.next();
        assert!(first >= ahead - 1_000_000 && ids.next() > first);
    }
}
