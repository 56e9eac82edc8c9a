//! One client: its subscriptions, what waits for it, and what it has not acknowledged. No database, no clock, no socket.

mod queue;

pub(super) use queue::{Body, Item, Next};

use super::ids::ClientId;
use super::link::Link;
use super::message::Message;
use super::store::{Copy, KeptSession};
use super::wire::{DisconnectReasonCode, Subscription};
use queue::Queue;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// AWS: subscriptions of a client.
const MOST_SUBSCRIPTIONS: usize = 50;
/// Messages that a session may leave unacknowledged; the oldest leave when there are more.
pub(super) const MOST_PENDING: usize = 1000;
/// Bytes that may wait for a client that takes them too slowly.
const MOST_BACKLOG: usize = 8 << 20;

/// A client that is connected, or whose session is kept.
pub(super) struct Client {
    pub(super) id: ClientId,
    state: Mutex<State>,
}

impl Client {
    pub(super) fn new(id: &str) -> Arc<Self> {
        Arc::new(Self { id: id.into(), state: Mutex::default() })
    }

    /// Whether something waits that this connection may send now.
    pub(super) fn has_mail(&self, number: i64) -> bool {
        self.state().seated(number).is_some_and(|seated| seated.queue.has_next(seated.is_full()))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole before the lock is given back.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) seated: Option<Seated>,
    pub(super) kept: Option<KeptState>,
    subscriptions: Vec<(Box<str>, Subscription)>,
}

/// A client's connection.
pub(super) struct Seated {
    pub(super) link: Arc<Link>,
    queue: Queue,
    /// What the client has not acknowledged: messages by their packet identifiers, the oldest first.
    inflight: Vec<(NonZeroU16, i64)>,
    last_packet_id: u16,
    /// As much as it may leave so.
    window: usize,
}

impl Seated {
    /// The client has to acknowledge something before it gets more.
    fn is_full(&self) -> bool {
        self.inflight.len() >= self.window
    }
}

/// A session that outlives its connection.
pub(super) struct KeptState {
    pub(super) session: KeptSession,
    /// Messages that are not acknowledged, and whether the connection has got them.
    pending: BTreeMap<i64, bool>,
    /// Under which packet identifiers the last connection sent them.
    sent_as: HashMap<i64, NonZeroU16>,
}

impl KeptState {
    pub(super) fn new(session: KeptSession) -> Self {
        Self { session, pending: BTreeMap::new(), sent_as: HashMap::new() }
    }

    fn settle(&mut self, message: i64) -> bool {
        self.sent_as.remove(&message);
        self.pending.remove(&message).is_some()
    }
}

/// What came of handing a message over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handed {
    Over,
    /// The client has it already, or gets it when it connects.
    NotNow,
    /// The client takes what it gets too slowly.
    TooMuch,
}

/// A subscription that is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotSubscribed {
    TooMany,
    /// The client has another connection by now.
    Gone,
}

impl State {
    pub(super) fn seated(&mut self, number: i64) -> Option<&mut Seated> {
        self.seated.as_mut().filter(|seated| seated.link.number == number)
    }

    /// Whether a session is kept that this owner may go on with.
    pub(super) fn is_kept_for(&self, owner: &str) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.session.owner == owner)
    }

    /// The client has a connection, which gets first what is not acknowledged.
    pub(super) fn seat(&mut self, link: Arc<Link>, window: usize) {
        let mut queue = Queue::default();
        if let Some(kept) = &mut self.kept {
            for (message, handed) in &mut kept.pending {
                queue.push(Item::on_disk(*message));
                *handed = true;
            }
        }
        self.seated = Some(Seated { link, queue, inflight: Vec::new(), last_packet_id: 0, window });
    }

    /// The client's connection counts no longer.
    pub(super) fn unseat(&mut self) -> Option<Arc<Link>> {
        let seated = self.seated.take()?;
        if let Some(kept) = &mut self.kept {
            kept.pending.values_mut().for_each(|handed| *handed = false);
            let sent = seated.inflight.into_iter().filter(|(_, message)| kept.pending.contains_key(message));
            kept.sent_as.extend(sent.map(|(packet_id, message)| (message, packet_id)));
        }
        Some(seated.link)
    }

    /// Notes a subscription; says whether it is a new one.
    pub(super) fn subscribe(
        &mut self,
        number: i64,
        filter: &str,
        subscription: Subscription,
    ) -> Result<bool, NotSubscribed> {
        self.seated(number).ok_or(NotSubscribed::Gone)?;
        if let Some((_, known)) = self.subscriptions.iter_mut().find(|(known, _)| **known == *filter) {
            *known = subscription;
            return Ok(false);
        }
        if self.subscriptions.len() >= MOST_SUBSCRIPTIONS {
            return Err(NotSubscribed::TooMany);
        }
        self.restore(filter, subscription);
        Ok(true)
    }

    pub(super) fn restore(&mut self, filter: &str, subscription: Subscription) {
        // Most clients have few.
        self.subscriptions.reserve_exact(1);
        self.subscriptions.push((filter.into(), subscription));
    }

    /// Whether there was such a subscription.
    pub(super) fn unsubscribe(&mut self, filter: &str) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|(known, _)| **known != *filter);
        self.subscriptions.len() < before
    }

    pub(super) fn take_subscriptions(&mut self) -> Vec<(Box<str>, Subscription)> {
        std::mem::take(&mut self.subscriptions)
    }

    /// Whether the session is kept and does not have this message yet.
    pub(super) fn lacks(&self, message: i64) -> bool {
        self.kept.as_ref().is_some_and(|kept| !kept.pending.contains_key(&message))
    }

    /// The session has a message on the disk; gives the one that leaves for it.
    pub(super) fn add_pending(&mut self, message: i64, handed: bool) -> Option<i64> {
        let kept = self.kept.as_mut()?;
        *kept.pending.entry(message).or_insert(handed) |= handed;
        if kept.pending.len() <= MOST_PENDING {
            return None;
        }
        let (oldest, _) = kept.pending.pop_first()?;
        kept.sent_as.remove(&oldest);
        Some(oldest)
    }

    /// Gives a message to the connection.
    pub(super) fn hand_over(&mut self, item: Item) -> Handed {
        let Some(seated) = self.seated.as_mut().filter(|seated| !seated.link.is_cut()) else { return Handed::NotNow };
        let mut handed = match (&mut self.kept, item.at_least_once) {
            (Some(kept), true) => kept.pending.get_mut(&item.id()),
            _ => None,
        };
        if handed.as_deref() == Some(&true) {
            return Handed::NotNow;
        }
        if seated.queue.backlog() > MOST_BACKLOG {
            seated.link.cut(DisconnectReasonCode::QuotaExceeded);
            return Handed::TooMuch;
        }
        if let Some(handed) = &mut handed {
            **handed = true;
        }
        seated.queue.push(item);
        seated.link.wake();
        Handed::Over
    }

    /// What the connection sends next.
    pub(super) fn next(&mut self, number: i64) -> Next {
        let Some(seated) = self.seated(number) else { return Next::Nothing };
        let is_full = seated.is_full();
        seated.queue.next(is_full)
    }

    /// Puts messages that were read in the place of their numbers. What is not there any more leaves.
    pub(super) fn fill(&mut self, number: i64, last: i64, found: Vec<(Arc<Message>, Copy)>) {
        let Some(seated) = self.seated(number) else { return };
        let missing = seated.queue.fill(last, found);
        if let Some(kept) = &mut self.kept {
            for message in missing {
                kept.settle(message);
            }
        }
    }

    /// Under which packet identifier a message is sent, and whether it was sent under it before.
    pub(super) fn begin(&mut self, number: i64, message: i64) -> Option<(NonZeroU16, bool)> {
        let seated = self.seated.as_mut().filter(|seated| seated.link.number == number)?;
        let again = self.kept.as_mut().and_then(|kept| kept.sent_as.remove(&message));
        let packet_id = match again {
            Some(packet_id) => packet_id,
            None => loop {
                seated.last_packet_id = seated.last_packet_id.checked_add(1).unwrap_or(1);
                let free = NonZeroU16::new(seated.last_packet_id)?;
                let is_taken = seated.inflight.iter().any(|(taken, _)| *taken == free)
                    || self.kept.as_ref().is_some_and(|kept| kept.sent_as.values().any(|taken| *taken == free));
                if !is_taken {
                    break free;
                }
            },
        };
        seated.inflight.push((packet_id, message));
        Some((packet_id, again.is_some()))
    }

    /// The client has acknowledged a packet; gives the message, if it was kept.
    pub(super) fn acknowledge(&mut self, number: i64, packet_id: NonZeroU16) -> Option<i64> {
        let seated = self.seated(number)?;
        let at = seated.inflight.iter().position(|(sent, _)| *sent == packet_id)?;
        let (_, message) = seated.inflight.remove(at);
        if seated.inflight.is_empty() {
            seated.inflight = Vec::new();
        }
        self.settle(message).then_some(message)
    }

    /// The client is not to get a message any more; says whether it was kept.
    pub(super) fn settle(&mut self, message: i64) -> bool {
        self.kept.as_mut().is_some_and(|kept| kept.settle(message))
    }

    /// Whether the session's time is over.
    pub(super) fn is_expired(&self, now: i64) -> bool {
        let Some(kept) = self.kept.as_ref().filter(|_| self.seated.is_none()) else { return false };
        let expiry = kept.session.expiry.saturating_mul(1000);
        kept.session.disconnected_at.is_some_and(|at| at.saturating_add(expiry) <= now)
    }
}

impl Item {
    pub(super) fn id(&self) -> i64 {
        match &self.body {
            Body::Here(message) => message.id,
            Body::OnDisk(message) => *message,
        }
    }
}

#[cfg(test)]
mod tests;
