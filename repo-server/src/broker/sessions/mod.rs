//! Which clients are connected, which sessions outlive their connection, and the way of a message to a client.
//!
//! What a kept session must get is on the disk before its publisher gets a PUBACK. It is handed to the session's connection,
//! if there is one, and removed when the client has acknowledged it; a new connection gets what is left, in the old order,
//! before anything newer.
//!
//! Locks are taken in this order: all clients, one client, the index. What is written about a client's session is given to
//! the store under the client's lock, so that the disk sees it in the order in which it was decided.

mod delivery;

pub(super) use delivery::Delivery;

use super::client::{Body, Client, Handed, Item, KeptState, MOST_PENDING, Next, NotSubscribed, State};
use super::ids::ClientId;
use super::index::Index;
use super::link::Link;
use super::message::Message;
use super::now;
use super::retained::Retained;
use super::store::{Copy, Kept, KeptSession, Store, StoreError, Write};
use super::wire::{RetainHandling, Subscription};
use crate::metrics::Metrics;
use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All clients.
pub(super) struct Sessions {
    clients: Mutex<HashMap<ClientId, Arc<Client>>>,
    store: Store,
    index: Arc<Index>,
    metrics: Arc<Metrics>,
}

/// What a client that connects wants of its session.
pub(super) struct Wanted {
    /// To whom the session belongs.
    pub(super) owner: String,
    /// Nothing of what was kept.
    pub(super) clean: bool,
    /// For how long the session outlives the connection, in seconds.
    pub(super) expiry: i64,
    /// How many messages the client may leave unacknowledged.
    pub(super) window: u16,
}

/// A client's place.
pub(super) struct Seat {
    pub(super) client: Arc<Client>,
    /// It goes on with a session.
    pub(super) present: bool,
    /// The connection that had the place before.
    pub(super) replaced: Option<Arc<Link>>,
}

/// A subscription that was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum SubscribeError {
    #[error("a client has at most 50 subscriptions")]
    TooMany,
    #[error("the client has another connection by now")]
    Gone,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Sessions {
    /// With what was kept when the server ended.
    pub(super) fn new(store: Store, index: Arc<Index>, metrics: Arc<Metrics>, kept: Kept) -> Self {
        let mut clients: HashMap<ClientId, Arc<Client>> = HashMap::new();
        for session in kept.sessions {
            let client = Client::new(&session.client);
            client.state().kept = Some(KeptState::new(session));
            clients.insert(client.id.clone(), client);
        }
        for (client, filter, subscription) in kept.subscriptions {
            if let Some(client) = clients.get(&*client) {
                client.state().restore(&filter, subscription);
                index.insert(&filter, client, subscription);
            }
        }
        for (client, message) in kept.pending {
            if let Some(client) = clients.get(&*client) {
                // There were not more when they were written.
                let _ = client.state().add_pending(message, false);
            }
        }
        Self { clients: Mutex::new(clients), store, index, metrics }
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<ClientId, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client has connected. Whoever has its id is told to go, and what its session has not acknowledged is the first
    /// that it gets.
    pub(super) async fn connect(&self, id: &str, link: &Arc<Link>, wanted: Wanted) -> Result<Seat, StoreError> {
        let (forgetting, noting) = self.store.two_turns().await?;
        let (seat, forgotten) = {
            let mut clients = self.clients();
            let client = match clients.get(id) {
                Some(client) => client.clone(),
                None => {
                    let client = Client::new(id);
                    clients.insert(client.id.clone(), client.clone());
                    client
                }
            };
            let mut state = client.state();
            let replaced = state.unseat();
            let present = !wanted.clean && state.is_kept_for(&wanted.owner);
            let mut forgotten = None;
            if !present {
                self.remove_subscriptions(&client, &mut state);
                if state.kept.take().is_some() {
                    forgotten = Some(forgetting.write(Write::Forget(client.id.clone())));
                }
            }
            if present || wanted.expiry > 0 {
                let Wanted { owner, expiry, .. } = wanted;
                let session = KeptSession { client: client.id.clone(), owner, expiry, disconnected_at: None };
                match &mut state.kept {
                    Some(kept) => kept.session = session.clone(),
                    none => *none = Some(KeptState::new(session.clone())),
                }
                // What is kept for it comes behind, and is waited for.
                noting.write_later(Write::Session(session));
            }
            state.seat(link.clone(), usize::from(wanted.window));
            drop(state);
            (Seat { client, present, replaced }, forgotten)
        };
        if let Some(forgotten) = forgotten
            && let Err(error) = forgotten.wait().await
        {
            self.abandon(&seat.client, link.number);
            return Err(error);
        }
        Ok(seat)
    }

    /// A client's connection has ended, unless it has a newer one by now. `expiry` is for how long its session is kept, if
    /// the client said so at the end. Gives for how long it is.
    pub(super) async fn disconnect(
        &self,
        client: &Arc<Client>,
        number: i64,
        expiry: Option<i64>,
    ) -> Result<Option<i64>, StoreError> {
        let turn = self.store.turn().await?;
        let mut clients = self.clients();
        let mut state = client.state();
        if state.seated(number).is_none() {
            return Ok(None);
        }
        state.unseat();
        let kept = state.kept.as_mut().map(|kept| {
            kept.session.expiry = expiry.unwrap_or(kept.session.expiry);
            kept.session.disconnected_at = Some(now());
            kept.session.clone()
        });
        let seconds = kept.as_ref().map_or(0, |session| session.expiry);
        match kept {
            Some(session) if seconds > 0 => turn.write_later(Write::Session(session)),
            kept => {
                self.remove_subscriptions(client, &mut state);
                state.kept = None;
                if kept.is_some() {
                    turn.write_later(Write::Forget(client.id.clone()));
                }
                clients.remove(&client.id);
            }
        }
        Ok(Some(seconds))
    }

    /// Without a promise to anybody: the store could not be asked.
    pub(super) fn abandon(&self, client: &Arc<Client>, number: i64) {
        let mut clients = self.clients();
        let mut state = client.state();
        if state.seated(number).is_some() {
            state.unseat();
            if state.kept.is_none() {
                self.remove_subscriptions(client, &mut state);
                clients.remove(&client.id);
            }
        }
    }

    fn remove_subscriptions(&self, client: &Arc<Client>, state: &mut State) {
        for (filter, _) in state.take_subscriptions() {
            self.index.remove(&filter, client);
        }
    }

    /// Forgets sessions whose time is over.
    pub(super) async fn sweep(&self, now: i64) -> Result<(), StoreError> {
        let all: Vec<Arc<Client>> = self.clients().values().cloned().collect();
        for client in all.into_iter().filter(|client| client.state().is_expired(now)) {
            let turn = self.store.turn().await?;
            let mut clients = self.clients();
            let mut state = client.state();
            // It may have connected again.
            if state.is_expired(now) {
                tracing::debug!(client = %client.id, "an MQTT session has expired");
                self.remove_subscriptions(&client, &mut state);
                state.kept = None;
                turn.write_later(Write::Forget(client.id.clone()));
                clients.remove(&client.id);
            }
        }
        Ok(())
    }

    /// Subscribes, and puts in the queue what is retained. A kept session's subscription is on the disk when it returns.
    /// `renumbered` gives a retained message a number of its own.
    pub(super) async fn subscribe(
        &self,
        client: &Arc<Client>,
        number: i64,
        wanted: (&str, Subscription, RetainHandling),
        retained: &Retained,
        renumbered: impl Fn(&Message) -> Message,
    ) -> Result<(), SubscribeError> {
        let (filter, subscription, handling) = wanted;
        let turn = self.store.turn().await?;
        let (is_new, written) = {
            let mut state = client.state();
            let is_new = state.subscribe(number, filter, subscription).map_err(|why| match why {
                NotSubscribed::TooMany => SubscribeError::TooMany,
                NotSubscribed::Gone => SubscribeError::Gone,
            })?;
            self.index.insert(filter, client, subscription);
            let write = Write::Subscribed(client.id.clone(), filter.to_owned(), subscription);
            (is_new, state.kept.as_ref().map(|_| turn.write(write)))
        };
        if let Some(written) = written {
            written.wait().await?;
        }
        let wants_retained = match handling {
            RetainHandling::Always => true,
            RetainHandling::WhenNew => is_new,
            RetainHandling::Never => false,
        };
        if wants_retained {
            let copies = self.queue_retained(client, filter, subscription, retained, renumbered);
            self.store.messages(copies).await?;
        }
        Ok(())
    }

    /// Under the client's lock, so that nothing newer comes before what is retained. Gives what goes to the disk.
    fn queue_retained(
        &self,
        client: &Arc<Client>,
        filter: &str,
        subscription: Subscription,
        retained: &Retained,
        renumbered: impl Fn(&Message) -> Message,
    ) -> Vec<(Arc<Message>, Vec<Copy>)> {
        let mut copies = Vec::new();
        let mut state = client.state();
        for message in retained.matching(filter, now()) {
            let at_least_once = subscription.at_least_once && message.is_at_least_once();
            let message = Arc::new(renumbered(&message));
            let identifiers: Vec<_> = subscription.identifier.into_iter().collect();
            if at_least_once && state.kept.is_some() {
                let copy = Copy { client: client.id.clone(), retain: true, identifiers: identifiers.clone() };
                copies.push((message.clone(), vec![copy]));
                if let Some(oldest) = state.add_pending(message.id, false) {
                    self.note_full(&client.id);
                    copies.retain(|(message, _)| message.id != oldest);
                }
            }
            let item =
                Item { body: Body::Here(message), at_least_once, retain: true, identifiers, costs_nothing: true };
            if state.hand_over(item) == Handed::TooMuch {
                break;
            }
        }
        copies
    }

    /// Whether there was such a subscription. It is gone from the disk when this returns.
    pub(super) async fn unsubscribe(
        &self,
        client: &Arc<Client>,
        number: i64,
        filter: &str,
    ) -> Result<bool, StoreError> {
        let turn = self.store.turn().await?;
        let written = {
            let mut state = client.state();
            if state.seated(number).is_none() || !state.unsubscribe(filter) {
                return Ok(false);
            }
            self.index.remove(filter, client);
            state.kept.as_ref().map(|_| turn.write(Write::Unsubscribed(client.id.clone(), filter.to_owned())))
        };
        if let Some(written) = written {
            written.wait().await?;
        }
        Ok(true)
    }

    /// What a connection sends next; messages that wait on the disk are read.
    pub(super) async fn next(&self, client: &Client, number: i64) -> Result<Option<(Arc<Message>, Item)>, StoreError> {
        loop {
            let (first, last) = match client.state().next(number) {
                Next::Nothing => return Ok(None),
                Next::Message(message, item) => return Ok(Some((message, item))),
                Next::OnDisk { first, last } => (first, last),
            };
            let found = self.store.pending(&client.id, first, last).await?;
            client.state().fill(number, last, found);
        }
    }

    /// Under which packet identifier a message is sent, and whether it was before.
    pub(super) fn begin(&self, client: &Client, number: i64, message: i64) -> Option<(NonZeroU16, bool)> {
        client.state().begin(number, message)
    }

    /// A client has acknowledged a packet.
    pub(super) async fn acknowledged(&self, client: &Client, number: i64, packet_id: NonZeroU16) {
        let message = client.state().acknowledge(number, packet_id);
        if let Some(message) = message {
            self.store.acknowledged(&client.id, message).await;
        }
    }

    /// A client is not to get a message any more.
    pub(super) async fn settle(&self, client: &Client, message: i64) {
        let was_kept = client.state().settle(message);
        if was_kept {
            self.store.acknowledged(&client.id, message).await;
        }
    }

    fn note_full(&self, client: &str) {
        self.metrics.mqtt_dropped("session-full");
        tracing::warn!(client, "dropped a session's oldest message: it has {MOST_PENDING} already");
    }
}
