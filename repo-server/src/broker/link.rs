//! One client's connection, as the front and the broker see it: the front proves who it is, the broker says what becomes
//! of it.

use super::identity::Identity;
use crate::policies::Subject;
use rmqtt::codec::v5::DisconnectReasonCode;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// Nobody said anything; and a client that left by itself need not be told.
const NO_REASON: u8 = 0;

/// A connection.
pub(super) struct Link {
    pub(super) identity: Identity,
    pub(super) address: IpAddr,
    /// Higher than that of any connection before it, also of those before a restart.
    pub(super) number: i64,
    pub(super) opened: Instant,
    client: OnceLock<Admitted>,
    reason: AtomicU8,
    cut: AtomicBool,
    changed: Notify,
    /// Bytes that were handed to the client's session and have not been sent.
    backlog: AtomicUsize,
}

/// As whom a client was admitted.
#[derive(Debug, Clone)]
pub(super) struct Admitted {
    pub(super) subject: Subject,
    /// It speaks MQTT 5, so it can be told why it is disconnected.
    pub(super) version5: bool,
}

impl Link {
    pub(super) fn new(identity: Identity, address: IpAddr, number: i64) -> Self {
        Self {
            identity,
            address,
            number,
            opened: Instant::now(),
            client: OnceLock::new(),
            reason: AtomicU8::new(NO_REASON),
            cut: AtomicBool::new(false),
            changed: Notify::new(),
            backlog: AtomicUsize::new(0),
        }
    }

    /// False if it was admitted before: a connection has one CONNECT.
    pub(super) fn admit(&self, admitted: Admitted) -> bool {
        self.client.set(admitted).is_ok()
    }

    pub(super) fn admitted(&self) -> Option<&Admitted> {
        self.client.get()
    }

    pub(super) fn client_id(&self) -> &str {
        self.client.get().map_or("", |admitted| &admitted.subject.client_id)
    }

    pub(super) fn version5(&self) -> bool {
        self.client.get().is_some_and(|admitted| admitted.version5)
    }

    /// Says why the connection ends, if nobody did before.
    pub(super) fn explain(&self, reason: DisconnectReasonCode) {
        let new = u8::from(reason);
        let _ = self.reason.compare_exchange(NO_REASON, new, Ordering::AcqRel, Ordering::Acquire);
        self.changed.notify_waiters();
    }

    /// Why the connection ends, if somebody said so.
    pub(super) fn reason(&self) -> Option<u8> {
        Some(self.reason.load(Ordering::Acquire)).filter(|reason| *reason != NO_REASON)
    }

    /// The same, once it is said.
    pub(super) async fn until_explained(&self) -> u8 {
        loop {
            let changed = self.changed.notified();
            match self.reason() {
                Some(reason) => return reason,
                None => changed.await,
            }
        }
    }

    /// Ends the connection: nothing more is read from the client.
    pub(super) fn cut(&self, reason: DisconnectReasonCode) {
        self.explain(reason);
        self.cut.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    pub(super) async fn until_cut(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_cut() {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn backlog(&self) -> usize {
        self.backlog.load(Ordering::Relaxed)
    }

    pub(super) fn handed(&self, bytes: usize) {
        self.backlog.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        let less = |backlog: usize| Some(backlog.saturating_sub(bytes));
        let _ = self.backlog.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// All connections, by the address from which the front speaks to the broker for them.
#[derive(Default)]
pub(super) struct Links(Mutex<HashMap<SocketAddr, Arc<Link>>>);

impl Links {
    pub(super) fn insert(&self, inner: SocketAddr, link: Arc<Link>) {
        self.lock().insert(inner, link);
    }

    pub(super) fn remove(&self, inner: SocketAddr) {
        self.lock().remove(&inner);
    }

    pub(super) fn get(&self, inner: SocketAddr) -> Option<Arc<Link>> {
        self.lock().get(&inner).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Link>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Arc<Link>>> {
        // A map is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
