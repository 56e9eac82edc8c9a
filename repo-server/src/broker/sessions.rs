//! Which clients are connected, which sessions outlive their connection, and the way of a message to a client.
//!
//! What a kept session must get is on the disk before its publisher gets a PUBACK. It is handed to the session's connection,
//! if there is one, and removed when the client has acknowledged it; a new connection gets what is left, in the old order,
//! before anything newer.

use super::index::{Index, Subscriber};
use super::link::Link;
use super::now;
use super::store::{Copy, Kept, KeptSession, Store, StoreError, Stored};
use crate::metrics::Metrics;
use rmqtt::codec::v5::DisconnectReasonCode;
use rmqtt::inflight::OutInflightMessage;
use rmqtt::types::{ClientId, From, Id, Message, Publish, QoS, SubscriptionOptions, Subscriptions, TopicFilter, Tx};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Messages that a session may leave unacknowledged; the oldest leave when there are more.
const MOST_PENDING: usize = 1000;
/// Bytes that may wait for a client that takes them too slowly.
const MOST_BACKLOG: usize = 8 << 20;
/// What a message costs beside its topic and payload.
const OVERHEAD: usize = 256;

/// All clients.
pub(super) struct Sessions {
    clients: Mutex<HashMap<ClientId, Arc<Client>>>,
    store: Store,
    index: Index,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Client(Mutex<State>);

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    kept: Option<KeptState>,
}

struct Connection {
    id: Id,
    tx: Tx,
    link: Option<Arc<Link>>,
}

/// A session that outlives its connection.
struct KeptState {
    session: KeptSession,
    /// Messages that are not acknowledged, and whether the connection has got them.
    pending: BTreeMap<i64, bool>,
    /// Under which packet ids the last connection sent them.
    sent_as: HashMap<i64, NonZeroU16>,
    /// As which connection its subscriptions are indexed.
    subscribed_as: Option<Id>,
    /// What it subscribed to before the server was started.
    restored: Subscriptions,
}

impl Client {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole before the lock is given back.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of handing a message over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handed {
    Over,
    /// The client has it already, or gets it when it connects.
    NotNow,
    /// The client takes what it gets too slowly.
    TooMuch,
}

impl Sessions {
    /// With what was kept when the server ended.
    pub(super) fn new(store: Store, index: Index, metrics: Arc<Metrics>, kept: &Kept) -> Self {
        let mut clients: HashMap<ClientId, KeptState> = HashMap::new();
        for session in &kept.sessions {
            let subscribed_as = Some(Id::from(super::NODE, session.client.clone()));
            let state = KeptState::new(session.clone(), subscribed_as);
            clients.insert(session.client.clone(), state);
        }
        for (client, filter, options) in &kept.subscriptions {
            if let Some(state) = clients.get_mut(client)
                && let Some(id) = state.subscribed_as.clone()
            {
                index.insert(filter, id, options.clone());
                state.restored.push((filter.clone(), options.clone()));
            }
        }
        for (client, message) in &kept.pending {
            if let Some(state) = clients.get_mut(client) {
                state.pending.insert(*message, false);
            }
        }
        let client = |kept| Arc::new(Client(Mutex::new(State { connection: None, kept: Some(kept) })));
        let clients = clients.into_iter().map(|(id, kept)| (id, client(kept))).collect();
        Self { clients: Mutex::new(clients), store, index, metrics }
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<ClientId, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self, client: &str) -> Option<Arc<Client>> {
        self.clients().get(client).cloned()
    }

    /// Whether a session is kept for this client.
    pub(super) fn is_kept(&self, client: &str) -> bool {
        self.client(client).is_some_and(|client| client.state().kept.is_some())
    }

    /// Whether a session is kept that belongs to somebody else.
    pub(super) fn is_anothers(&self, client: &str, owner: &str) -> bool {
        let belongs = |state: &State| state.kept.as_ref().is_none_or(|kept| kept.session.owner == owner);
        self.client(client).is_some_and(|client| !belongs(&client.state()))
    }

    /// The connection of a client.
    pub(super) fn link(&self, client: &str) -> Option<Arc<Link>> {
        self.client(client)?.state().connection.as_ref()?.link.clone()
    }

    /// What a session subscribed to before the server was started; given once.
    pub(super) fn take_restored(&self, client: &str) -> Option<Subscriptions> {
        let client = self.client(client)?;
        let mut state = client.state();
        Some(std::mem::take(&mut state.kept.as_mut()?.restored))
    }

    /// Under which packet ids a connection that ends has sent what is not acknowledged.
    pub(super) fn remember_sent(&self, client: &str, inflight: &[OutInflightMessage]) {
        let Some(client) = self.client(client) else { return };
        if let Some(kept) = &mut client.state().kept {
            let sent = |message: &OutInflightMessage| Some((message.publish.create_time?, message.publish.packet_id?));
            kept.sent_as = inflight.iter().filter_map(sent).collect();
        }
    }

    /// Removes a session and what is kept for it.
    pub(super) async fn forget(&self, client: &str) -> Result<(), StoreError> {
        let Some(known) = self.client(client) else { return Ok(()) };
        let Some(kept) = known.state().kept.take() else { return Ok(()) };
        if let Some(id) = &kept.subscribed_as {
            for (filter, _) in &kept.restored {
                self.index.take_out(filter, id);
            }
        }
        self.drop_if_idle(&kept.session.client);
        self.store.forget(&kept.session.client).await
    }

    fn drop_if_idle(&self, client: &ClientId) {
        let mut clients = self.clients();
        let is_idle = |client: &Arc<Client>| {
            let state = client.state();
            state.connection.is_none() && state.kept.is_none()
        };
        if clients.get(client).is_some_and(is_idle) {
            clients.remove(client);
        }
    }

    /// A client has connected. Whatever its session has not acknowledged is the first that it gets.
    pub(super) async fn connect(
        &self,
        id: Id,
        tx: Tx,
        link: Option<Arc<Link>>,
        keep: Option<KeptSession>,
    ) -> Result<(), StoreError> {
        let client = self.clients().entry(id.client_id.clone()).or_default().clone();
        match keep {
            Some(session) => {
                self.store.session(session.clone()).await?;
                let mut state = client.state();
                match &mut state.kept {
                    Some(kept) => kept.session = session,
                    none => *none = Some(KeptState::new(session, None)),
                }
            }
            None => self.forget(&id.client_id).await?,
        }
        loop {
            let before = client.state().kept.as_ref().map(|kept| kept.pending.clone()).unwrap_or_default();
            let waiting = if before.is_empty() { Vec::new() } else { self.store.pending(&id.client_id).await? };
            let mut state = client.state();
            if let Some(kept) = &mut state.kept {
                let read: HashSet<i64> = waiting.iter().map(|(stored, _)| stored.id).collect();
                // What has been there and is not any more has expired.
                kept.pending.retain(|message, _| read.contains(message) || !before.contains_key(message));
                if !kept.pending.keys().all(|message| read.contains(message)) {
                    // One was stored in the meantime.
                    continue;
                }
                kept.subscribed_as = Some(id.clone());
                let sent_as = std::mem::take(&mut kept.sent_as);
                for (stored, Copy { retain, identifiers, .. }) in waiting {
                    let message = stored.id;
                    let mut publish = stored.publish(QoS::AtLeastOnce, retain, identifiers);
                    if let Some(packet_id) = sent_as.get(&message) {
                        // MQTT 5 §4.4: again, under the old packet identifier.
                        publish.dup = true;
                        publish.packet_id = Some(*packet_id);
                    }
                    kept.pending.insert(message, true);
                    if let Some(link) = &link {
                        link.handed(size(&publish));
                    }
                    // A connection that has ended gets nothing; the message stays.
                    let _ = tx.unbounded_send(Message::Forward(server(), publish));
                }
            }
            state.connection = Some(Connection { id, tx, link });
            return Ok(());
        }
    }

    /// A client's connection has ended, unless it has a newer one by now.
    pub(super) async fn disconnect(&self, id: &Id, expiry: i64) {
        let Some(client) = self.client(&id.client_id) else { return };
        let session = {
            let mut state = client.state();
            if state.connection.as_ref().is_none_or(|connection| connection.id != *id) {
                return;
            }
            state.connection = None;
            state.kept.as_mut().map(|kept| {
                kept.pending.values_mut().for_each(|handed| *handed = false);
                kept.session.expiry = expiry;
                kept.session.disconnected_at = Some(now());
                kept.session.clone()
            })
        };
        match session {
            Some(session) => self.store.disconnected(session).await,
            None => self.drop_if_idle(&id.client_id),
        }
    }

    /// A connection has ended; gives its session's id if nobody noticed, because the client left before it was answered.
    pub(super) async fn released(&self, link: &Arc<Link>) -> Option<Id> {
        let client = self.client(link.client_id())?;
        let (id, expiry) = {
            let state = client.state();
            let connection = state.connection.as_ref()?;
            if !connection.tx.is_closed() || !connection.link.as_ref().is_some_and(|of| Arc::ptr_eq(of, link)) {
                return None;
            }
            (connection.id.clone(), state.kept.as_ref().map_or(0, |kept| kept.session.expiry))
        };
        self.disconnect(&id, expiry).await;
        Some(id)
    }

    /// Subscribes on the disk, if the session is kept.
    pub(super) async fn subscribed(
        &self,
        client: &ClientId,
        filter: &TopicFilter,
        options: &SubscriptionOptions,
    ) -> Result<(), StoreError> {
        if self.is_kept(client) { self.store.subscribed(client, filter, options).await } else { Ok(()) }
    }

    /// Unsubscribes on the disk, if the session is kept.
    pub(super) async fn unsubscribed(&self, client: &ClientId, filter: &TopicFilter) -> Result<(), StoreError> {
        if self.is_kept(client) { self.store.unsubscribed(client, filter).await } else { Ok(()) }
    }

    /// A client has acknowledged a message, or is not to get it.
    pub(super) async fn settle(&self, client: &ClientId, message: i64) {
        let Some(known) = self.client(client) else { return };
        let was_pending = match &mut known.state().kept {
            Some(kept) => kept.pending.remove(&message).is_some(),
            None => false,
        };
        if was_pending {
            self.store.acknowledged(client, message).await;
        }
    }

    /// Puts a message on the disk for those of its subscribers whose sessions are kept.
    pub(super) async fn keep(&self, publish: &Publish, subscribers: &[Subscriber]) -> Result<(), StoreError> {
        if publish.qos == QoS::AtMostOnce {
            return Ok(());
        }
        let Some(stored) = Stored::of(publish) else { return Ok(()) };
        let message = stored.id;
        let mut copies = Vec::new();
        let mut kept_for = Vec::new();
        for subscriber in subscribers.iter().filter(|subscriber| subscriber.at_least_once) {
            let Some(client) = self.client(&subscriber.client) else { continue };
            let lacks = client.state().kept.as_ref().is_some_and(|kept| !kept.pending.contains_key(&message));
            if lacks {
                let identifiers = subscriber.identifiers.clone();
                let retain = publish.retain && subscriber.retain_as_published;
                copies.push(Copy { client: subscriber.client.clone(), retain, identifiers });
                kept_for.push(client);
            }
        }
        if copies.is_empty() {
            return Ok(());
        }
        self.store.message(stored, copies.clone()).await?;
        for (client, copy) in kept_for.iter().zip(copies) {
            let oldest = {
                let mut state = client.state();
                let Some(kept) = &mut state.kept else { continue };
                kept.pending.entry(message).or_insert(false);
                (kept.pending.len() > MOST_PENDING).then(|| kept.pending.pop_first()).flatten()
            };
            if let Some((oldest, _)) = oldest {
                self.metrics.mqtt_dropped("session-full");
                tracing::warn!(client = %copy.client, "dropped a session's oldest message: it has {MOST_PENDING} already");
                self.store.acknowledged(&copy.client, oldest).await;
            }
        }
        Ok(())
    }

    /// Hands a message to its subscribers. What kept sessions must get was put on the disk before.
    pub(super) fn deliver(&self, from: &From, publish: &Publish, subscribers: &[Subscriber]) -> usize {
        let mut delivered = 0;
        for subscriber in subscribers {
            let Some(client) = self.client(&subscriber.client) else { continue };
            let retain = publish.retain && subscriber.retain_as_published;
            match hand_over(&client, from, publish, subscriber.at_least_once, retain, &subscriber.identifiers) {
                Handed::Over => delivered += 1,
                Handed::NotNow => {}
                Handed::TooMuch => {
                    self.metrics.mqtt_dropped("slow-client");
                    tracing::warn!(client = %subscriber.client, "disconnects a client that takes its messages too slowly");
                }
            }
        }
        delivered
    }

    /// Whether there is a connection whose end is not known yet.
    pub(super) fn any_connected(&self) -> bool {
        let is_connected = |client: &Arc<Client>| {
            client.state().connection.as_ref().is_some_and(|connection| !connection.tx.is_closed())
        };
        self.clients().values().any(is_connected)
    }

    /// Those whose time is over.
    pub(super) fn expired(&self, now: i64) -> Vec<ClientId> {
        let is_expired = |client: &Client| {
            let state = client.state();
            let Some(kept) = state.kept.as_ref().filter(|_| state.connection.is_none()) else { return false };
            kept.session.disconnected_at.is_some_and(|at| at.saturating_add(kept.session.expiry * 1000) <= now)
        };
        let clients = self.clients();
        clients.iter().filter(|(_, client)| is_expired(client)).map(|(id, _)| id.clone()).collect()
    }
}

impl KeptState {
    fn new(session: KeptSession, subscribed_as: Option<Id>) -> Self {
        Self { session, pending: BTreeMap::new(), sent_as: HashMap::new(), subscribed_as, restored: Vec::new() }
    }
}

fn hand_over(
    client: &Client,
    from: &From,
    publish: &Publish,
    at_least_once: bool,
    retain: bool,
    identifiers: &[std::num::NonZeroU32],
) -> Handed {
    let State { connection, kept } = &mut *client.state();
    let Some(Connection { tx, link, .. }) = connection else { return Handed::NotNow };
    let mut copy = publish.clone();
    copy.dup = false;
    copy.retain = retain;
    copy.packet_id = None;
    if !at_least_once {
        copy.qos = QoS::AtMostOnce;
    }
    copy.properties.get_or_insert_default().subscription_ids = identifiers.to_vec();
    let mut handed = match (kept, publish.create_time) {
        (Some(kept), Some(message)) if copy.qos != QoS::AtMostOnce => kept.pending.get_mut(&message),
        _ => None,
    };
    if handed.as_deref() == Some(&true) || link.as_ref().is_some_and(|link| link.is_cut()) {
        return Handed::NotNow;
    }
    if let Some(link) = link {
        if link.backlog() > MOST_BACKLOG {
            link.cut(DisconnectReasonCode::QuotaExceeded);
            return Handed::TooMuch;
        }
        link.handed(size(&copy));
    }
    let is_over = tx.unbounded_send(Message::Forward(from.clone(), copy)).is_ok();
    if let Some(handed) = &mut handed {
        **handed = is_over;
    }
    if is_over { Handed::Over } else { Handed::NotNow }
}

/// What a message counts among those that wait for a client.
pub(super) fn size(publish: &Publish) -> usize {
    publish.topic.len() + publish.payload.len() + OVERHEAD
}

/// The server as a sender.
pub(super) fn server() -> From {
    From::from_system(Id::from(super::NODE, ClientId::from_static("")))
}
