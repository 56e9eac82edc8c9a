//! Accepting connections over TLS.

use super::front::Front;
use crate::listening;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Handshakes under way at a time. Who begins one more ends the oldest, which has had its time unless nobody means it.
const MOST_HANDSHAKES: usize = 1024;

/// Serves MQTT over TLS on an address until told to stop.
pub(crate) async fn serve(listener: TcpListener, tls: TlsAcceptor, front: Arc<Front>, stop: watch::Receiver<bool>) {
    let places = front.places.clone();
    let handshakes = Handshakes::default();
    let not_a_proxy = |_| false;
    listening::accept(listener, &places, stop, not_a_proxy, |stream, address, place| {
        let (tls, front, handshakes) = (tls.clone(), front.clone(), handshakes.clone());
        let pushed_out = handshakes.begin();
        tokio::spawn(async move {
            // What only the handshake needs is given back after it.
            let shaken = Box::pin(async {
                tokio::select! {
                    shaken = shake_hands(&tls, stream, address) => shaken,
                    () = pushed_out.notified() => None,
                }
            })
            .await;
            handshakes.end(&pushed_out);
            drop((tls, handshakes, pushed_out));
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

/// In memory of its own: it is handed from one to the other.
async fn shake_hands(tls: &TlsAcceptor, stream: TcpStream, address: IpAddr) -> Option<Box<TlsStream<TcpStream>>> {
    match listening::handshake(tls, stream).await {
        Ok(stream) => return Some(Box::new(stream)),
        Err(listening::HandshakeError::Certificate(error)) => {
            tracing::warn!(%address, %error, "refused an MQTT client for its certificate");
        }
        Err(error) => tracing::debug!(%address, %error, "a TLS handshake failed"),
    }
    None
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
}
