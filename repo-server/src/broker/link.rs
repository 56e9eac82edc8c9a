//! One client's connection, as the rest of the broker sees it.

use super::identity::{Asking, Identity};
use super::wire::{DisconnectReasonCode, Will};
use crate::certificates::ClientCertificate;
use crate::people::Person;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Notify;

/// It goes on.
const NO_REASON: u8 = 0;

/// A connection.
pub(super) struct Link {
    /// What the client showed in its handshake; a person shows nothing before CONNECT.
    pub(super) shown: Option<Arc<ClientCertificate>>,
    pub(super) address: IpAddr,
    /// Higher than that of any connection before it, also of those before a restart.
    pub(super) number: i64,
    client: OnceLock<Admitted>,
    reason: AtomicU8,
    will: Mutex<Option<Will>>,
    /// Something waits for the client, or the connection is to end.
    woken: Notify,
}

/// As whom a client was admitted.
#[derive(Debug, Clone)]
pub(super) struct Admitted {
    pub(super) identity: Identity,
    pub(super) asking: Asking,
    /// It speaks MQTT 5, so it can be told why something is refused.
    pub(super) version5: bool,
}

impl Link {
    pub(super) fn new(shown: Option<Arc<ClientCertificate>>, address: IpAddr, number: i64) -> Self {
        Self {
            shown,
            address,
            number,
            client: OnceLock::new(),
            reason: AtomicU8::new(NO_REASON),
            will: Mutex::default(),
            woken: Notify::new(),
        }
    }

    /// A connection has one CONNECT.
    pub(super) fn admit(&self, admitted: Admitted) {
        let _ = self.client.set(admitted);
    }

    pub(super) fn admitted(&self) -> Option<&Admitted> {
        self.client.get()
    }

    pub(super) fn client_id(&self) -> &str {
        self.client.get().map_or("", |admitted| admitted.asking.client_id())
    }

    /// The person who was let in, if it is one.
    pub(super) fn person(&self) -> Option<&Person> {
        self.client.get()?.identity.person()
    }

    /// Ends the connection for this reason, unless it ends for another one already.
    pub(super) fn cut(&self, reason: DisconnectReasonCode) {
        let _ = self.reason.compare_exchange(NO_REASON, reason.into(), Ordering::AcqRel, Ordering::Acquire);
        self.wake();
    }

    /// Why the connection is to end, if it is.
    pub(super) fn reason(&self) -> Option<DisconnectReasonCode> {
        match self.reason.load(Ordering::Acquire) {
            NO_REASON => None,
            reason => Some(DisconnectReasonCode::try_from(reason).unwrap_or(DisconnectReasonCode::UnspecifiedError)),
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.reason().is_some()
    }

    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Only the connection's own task waits for it.
    pub(super) async fn until_woken(&self) {
        self.woken.notified().await;
    }

    pub(super) async fn until_cut(&self) -> DisconnectReasonCode {
        loop {
            match self.reason() {
                Some(reason) => return reason,
                None => self.until_woken().await,
            }
        }
    }

    pub(super) fn leave_will(&self, will: Option<Will>) {
        *self.locked_will() = will;
    }

    /// Whoever takes it sees to it.
    pub(super) fn take_will(&self) -> Option<Will> {
        self.locked_will().take()
    }

    fn locked_will(&self) -> MutexGuard<'_, Option<Will>> {
        self.will.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All connections, by their numbers.
#[derive(Default)]
pub(super) struct Links(Mutex<HashMap<i64, Arc<Link>>>);

impl Links {
    pub(super) fn insert(&self, link: &Arc<Link>) {
        self.lock().insert(link.number, link.clone());
    }

    pub(super) fn remove(&self, link: &Link) {
        self.lock().remove(&link.number);
    }

    pub(super) fn all(&self) -> Vec<Arc<Link>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Arc<Link>>> {
        // A map is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) fn example_link(number: i64) -> Arc<Link> {
    let shown = ClientCertificate {
        id: "0".repeat(64).parse().unwrap(),
        serial: "1".parse().unwrap(),
        subject: String::new(),
        common_name: None,
        not_before: jiff::Timestamp::MIN,
        not_after: jiff::Timestamp::MAX,
        public_key: String::new(),
    };
    Arc::new(Link::new(Some(Arc::new(shown)), IpAddr::from([127, 0, 0, 1]), number))
}
