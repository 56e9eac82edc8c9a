//! Accepting connections, so that slow strangers cannot take the server from others: a bounded number of them, and
//! a bounded time for each handshake and each stalled write. What is then spoken is others' concern.

mod places;
mod stall_guard;
mod tls;

pub(crate) use stall_guard::StallGuard;
pub(crate) use tls::TlsError;
pub(crate) use tls::{Clients, HandshakeError, acceptor, handshake};

use places::{PerParty, Place};
use prometheus_client::metrics::gauge::Gauge;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// A peer that takes nothing for so long has gone.
pub(crate) const STALL_TIME: Duration = Duration::from_secs(60);
/// After a failed accept, such as one for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("could not listen on {address}: {source}{}", advice(source))]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program uses the port, choose another one or stop that program",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege, choose a higher one",
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        _ => "",
    }
}

/// Takes an address, and gives the one that was taken (port 0 asks for any).
pub(crate) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ListenError> {
    let fail = |source| ListenError { address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    Ok((listener, bound))
}

/// Takes a socket that listens already, and tells its address.
pub(crate) fn adopt(socket: std::net::TcpListener) -> Result<(TcpListener, SocketAddr), ListenError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    let address = socket.local_addr().map_err(|source| ListenError { address: unknown, source })?;
    let listener = TcpListener::from_std(socket).map_err(|source| ListenError { address, source })?;
    Ok((listener, address))
}

/// The places for connections of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    per_party: Arc<PerParty>,
    open: Gauge,
}

impl Places {
    /// So many at a time, of which one remote party holds at most `per_party`; `open` tells how many there are.
    pub(crate) fn new(all: usize, per_party: usize, open: Gauge) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), per_party: PerParty::new(per_party), open }
    }

    /// A place at once, or none.
    pub(crate) fn try_take(&self, address: IpAddr) -> Option<HeldPlace> {
        let place = self.all.clone().try_acquire_owned().ok()?;
        let of_party = self.per_party.take(address)?;
        Some(self.hold(Some(place), Some(of_party)))
    }

    fn hold(&self, place: Option<OwnedSemaphorePermit>, of_party: Option<Place>) -> HeldPlace {
        self.open.inc();
        HeldPlace { _place: place, _of_party: of_party, open: self.open.clone() }
    }
}

/// One connection's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct HeldPlace {
    _place: Option<OwnedSemaphorePermit>,
    _of_party: Option<Place>,
    open: Gauge,
}

impl Drop for HeldPlace {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// Accepts connections until told to stop. More than there are places for wait in the kernel's queue; those of a party
/// that has all of its own are closed at once, unless it is a proxy, behind which there may be any number of parties.
pub(crate) async fn accept(
    listener: TcpListener,
    places: &Places,
    mut stop: watch::Receiver<bool>,
    is_proxy: impl Fn(IpAddr) -> bool,
    mut each: impl FnMut(TcpStream, IpAddr, HeldPlace),
) {
    loop {
        let next = async {
            let place = places.all.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (stream, address) = match accepted {
            Ok((stream, address)) => (stream, address.ip().to_canonical()),
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let of_party = places.per_party.take(address);
        if of_party.is_none() && !is_proxy(address) {
            tracing::debug!(%address, "closed a connection: this address has too many");
            continue;
        }
        // Small answers go out at once; a socket that cannot be told so still works.
        let _ = stream.set_nodelay(true);
        each(stream, address, places.hold(place.ok(), of_party));
    }
}
