//! What takes connections for the broker, from whoever accepted them.

use super::connection::{self, Transport};
use super::link::Link;
use super::shared::Core;
use crate::certificates::ClientCertificate;
use crate::listening::{HeldPlace, Places};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// After so long a silent client is asked whether it is there.
const IDLE_TIME: Duration = Duration::from_secs(120);

/// Takes connections for the broker.
pub(crate) struct Front {
    core: Arc<Core>,
    pub(crate) places: Places,
}

impl Front {
    pub(super) fn new(core: Arc<Core>, places: Places) -> Self {
        Self { core, places }
    }

    /// Serves a connection whose client showed this certificate of the fleet CA, until it ends.
    pub(crate) async fn serve(
        &self,
        stream: Box<dyn Transport>,
        certificate: Arc<ClientCertificate>,
        address: IpAddr,
        place: HeldPlace,
    ) {
        let link = Arc::new(Link::new(certificate, address, self.core.ids.next()));
        // Before anybody asks whether its certificate counts: whoever ends that from now on finds it.
        self.core.links.insert(&link);
        let listed = Listed { core: self.core.clone(), link };
        // What only its beginning needs is given back after it.
        let opened = Box::pin(connection::open(&self.core, stream, &listed.link)).await;
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
            Some(certificate) => self.serve(stream, Arc::new(certificate), address, place).await,
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
