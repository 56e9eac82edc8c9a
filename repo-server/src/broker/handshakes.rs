//! Accepting connections over TLS.

use super::front::Front;
use crate::listening;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Handshakes under way at a time. Who begins one more ends the oldest, which has had its time unless nobody means it.
const MOST_HANDSHAKES: usize = 1024;

/// How often it is told that clients do not finish: a hostile one has thousands of connections.
const TELLING_INTERVAL: Duration = Duration::from_secs(60);

/// Serves MQTT over TLS on an address until told to stop.
pub(crate) async fn serve(listener: TcpListener, tls: TlsAcceptor, front: Arc<Front>, stop: watch::Receiver<bool>) {
    let places = front.places.clone();
    let handshakes = Handshakes::default();
    let unfinished = Arc::new(Mutex::new(Unfinished::default()));
    let not_a_proxy = |_| false;
    listening::accept(listener, &places, stop, not_a_proxy, |stream, address, place| {
        let (tls, front) = (tls.clone(), front.clone());
        let (handshakes, unfinished) = (handshakes.clone(), unfinished.clone());
        let pushed_out = handshakes.begin();
        tokio::spawn(async move {
            // What only the handshake needs is given back after it.
            let shaken = Box::pin(async {
                tokio::select! {
                    shaken = shake_hands(&tls, stream, address) => shaken,
                    () = pushed_out.notified() => Err(Some("others began after it".to_owned())),
                }
            })
            .await;
            handshakes.end(&pushed_out);
            drop((tls, handshakes, pushed_out));
            match shaken {
                Ok(stream) => front.serve_tls(stream, address, place).await,
                Err(Some(reason)) => Unfinished::note(&unfinished, address, &reason),
                Err(None) => {}
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

/// Handshakes that came to no end, since that was told.
#[derive(Default)]
struct Unfinished {
    told: Option<Instant>,
    count: u64,
}

impl Unfinished {
    fn note(unfinished: &Mutex<Self>, address: IpAddr, reason: &str) {
        // Two numbers are whole at any time.
        let count = unfinished.lock().unwrap_or_else(PoisonError::into_inner).one_more(Instant::now());
        if let Some(count) = count {
            tracing::info!(%address, reason, count, "MQTT clients did not finish their TLS handshakes; this is the last one");
        }
    }

    /// How many there were, if it is time to tell.
    fn one_more(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < TELLING_INTERVAL) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

/// The stream, in memory of its own: it is handed from one to the other. Or why there is none, if that is not told yet.
async fn shake_hands(
    tls: &TlsAcceptor,
    stream: TcpStream,
    address: IpAddr,
) -> Result<Box<TlsStream<TcpStream>>, Option<String>> {
    match listening::handshake(tls, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(listening::HandshakeError::Certificate(error)) => {
            tracing::warn!(%address, %error, "refused an MQTT client for its certificate");
            Err(None)
        }
        Err(error) => Err(Some(error.to_string())),
    }
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
    fn thousands_that_do_not_finish_are_told_in_one_line_a_minute() {
        let (mut unfinished, start) = (Unfinished::default(), Instant::now());
        let told = [0, 1, 59, 60, 61, 300].map(|second| unfinished.one_more(start + Duration::from_secs(second)));
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
