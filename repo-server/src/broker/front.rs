//! What takes connections for the broker, from whoever accepted them.

use super::connection::{self, Transport};
use super::link::Link;
use super::shared::Core;
use super::wire::DisconnectReasonCode;
use crate::certificates::ClientCertificate;
use crate::listening::{HeldPlace, Places};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// After so long a silent client is asked whether it is there.
const IDLE_TIME: Duration = Duration::from_secs(120);

/// Connections at a time that have not yet said whose they are.
const MOST_STRANGERS: usize = 256;

/// Takes connections for the broker.
pub(crate) struct Front {
    core: Arc<Core>,
    /// For devices, which have shown a certificate.
    pub(crate) places: Places,
    /// For people, and for whoever has shown nothing yet.
    pub(crate) places_of_people: Places,
    strangers: Strangers,
}

impl Front {
    pub(super) fn new(core: Arc<Core>, places: Places, places_of_people: Places) -> Self {
        Self { core, places, places_of_people, strangers: Strangers::default() }
    }

    /// Serves a connection whose client showed this certificate of the fleet CA, or nothing, until it ends.
    pub(crate) async fn serve(
        &self,
        stream: Box<dyn Transport>,
        certificate: Option<Arc<ClientCertificate>>,
        address: IpAddr,
        place: HeldPlace,
    ) {
        let is_stranger = certificate.is_none();
        let link = Arc::new(Link::new(certificate, address, self.core.ids.next()));
        // Before anybody asks whether its certificate counts: whoever ends that from now on finds it.
        self.core.links.insert(&link);
        let listed = Listed { core: self.core.clone(), link };
        // What only its beginning needs is given back after it.
        if is_stranger {
            self.strangers.add(&listed.link);
        }
        let opened = Box::pin(connection::open(&self.core, stream, &listed.link)).await;
        if is_stranger {
            self.strangers.remove(&listed.link);
        }
        if let Some(connection) = opened {
            connection.run().await;
        }
        drop((listed, place));
    }

    /// Serves a connection whose handshake is done.
    pub(crate) async fn serve_tls(&self, stream: Box<TlsStream<TcpStream>>, address: IpAddr, place: HeldPlace) {
        keep_alive(stream.get_ref().0);
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| ClientCertificate::of_der(chain.first()?));
        match shown {
            Some(certificate) => self.serve(stream, Some(Arc::new(certificate)), address, place).await,
            None => tracing::warn!(%address, "refused an MQTT client without a certificate"),
        }
    }
}

/// A client that says nothing may have gone without a word. A socket that cannot be told so still works.
fn keep_alive(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_keepalive(stream, true);
    let _ = rustix::net::sockopt::set_tcp_keepidle(stream, IDLE_TIME);
    let _ = rustix::net::sockopt::set_tcp_keepintvl(stream, IDLE_TIME / 4);
    let _ = rustix::net::sockopt::set_tcp_keepcnt(stream, 4);
}

/// Those who have not yet said who they are, the oldest first.
#[derive(Default)]
struct Strangers(Mutex<VecDeque<Arc<Link>>>);

impl Strangers {
    /// One more. If they are too many, the oldest has had its time, unless nobody means it.
    fn add(&self, link: &Arc<Link>) {
        let mut all = self.all();
        all.push_back(link.clone());
        if all.len() > MOST_STRANGERS
            && let Some(oldest) = all.pop_front()
        {
            oldest.cut(DisconnectReasonCode::ServerBusy);
        }
    }

    fn remove(&self, link: &Arc<Link>) {
        self.all().retain(|other| !Arc::ptr_eq(other, link));
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Arc<Link>>> {
        // A queue is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is found when its certificate ends.
struct Listed {
    core: Arc<Core>,
    link: Arc<Link>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.core.links.remove(&self.link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_strangers_the_oldest_goes() {
        let strangers = Strangers::default();
        let new = |number| Arc::new(Link::new(None, IpAddr::from([192, 0, 2, 1]), number));
        let all: Vec<Arc<Link>> = (0..=MOST_STRANGERS as i64).map(new).collect();
        all.iter().for_each(|link| strangers.add(link));
        assert!(all[0].is_cut() && all[1..].iter().all(|link| !link.is_cut()));
        strangers.remove(&all[1]);
        strangers.add(&new(-1));
        assert!(!all[2].is_cut(), "there was room for it");
    }
}
