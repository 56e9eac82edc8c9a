//! Accepting connections, so that slow strangers cannot take the server from others: a bounded number of them, and
//! a bounded time for each handshake, each request's head, and each stalled write.

mod head_timer;
mod places;
mod stall_guard;

use super::exchange::Front;
use super::peer::Peer;
use crate::certificates::ClientCertificate;
use head_timer::HeadTimer;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use places::PerParty;
use prometheus_client::metrics::gauge::Gauge;
use rustls::RootCertStore;
use rustls::server::{ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier};
use stall_guard::StallGuard;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Connections of one listener at a time; more of them wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 2048;
/// Of these, how many one remote party may hold; more are closed at once. A whole fleet may stand behind one address,
/// so it is many; and others still find places.
const MAX_CONNECTIONS_PER_PARTY: usize = 1536;
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// For a request's head; an idle connection is closed after it, too.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// A peer that takes nothing for so long has gone.
const STALL_TIME: Duration = Duration::from_secs(60);
/// How often an HTTP/2 peer is asked whether it is alive.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// What running requests get when the server is told to stop.
const FAREWELL_TIME: Duration = Duration::from_secs(10);
/// After a failed accept, such as one for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For a request's head, and for what waits to be sent beside the piece on its way: each slow reader holds so much.
const BUFFER: usize = 16 << 10;
/// Requests at a time over one connection of HTTP/2: each may hold a piece for as long as the connection lives.
const MAX_STREAMS: u32 = 16;
const HTTP2: &[u8] = b"h2";

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

/// TLS that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The library refused.
    #[error("could not set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The authority of the clients cannot be used.
    #[error("could not set up TLS for client certificates of the fleet CA: {0}")]
    Clients(#[from] VerifierBuilderError),
}

/// TLS 1.2 and 1.3 with the certificates that `certificates` shows. Clients may show one that `clients` vouch for.
pub(crate) fn tls_acceptor(
    certificates: Arc<dyn ResolvesServerCert>,
    clients: RootCertStore,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<TlsAcceptor, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(clients), provider.clone());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves until told to stop, then lets running requests end.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    front: Arc<Front>,
    open: Gauge,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let per_party = PerParty::new(MAX_CONNECTIONS_PER_PARTY);
    let connections = GracefulShutdown::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, address) = match accepted {
            Ok((stream, address)) => (stream, address.ip().to_canonical()),
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Behind a proxy there may be any number of them.
        let place_of_party = per_party.take(address);
        if place_of_party.is_none() && !front.is_proxy(address) {
            tracing::debug!(%address, "closed a connection: this address has too many");
            continue;
        }
        let (tls, front, watcher) = (tls.clone(), front.clone(), connections.watcher());
        let counted = Counted::new(&open);
        tokio::spawn(async move {
            let _held = (place, place_of_party, counted);
            serve_connection(stream, address, tls, front, watcher).await;
        });
    }
    drop(listener);
    if timeout(FAREWELL_TIME, connections.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time and are cut off");
    }
}

/// One open connection.
struct Counted(Gauge);

impl Counted {
    fn new(open: &Gauge) -> Self {
        open.inc();
        Self(open.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

async fn serve_connection(
    stream: TcpStream,
    address: IpAddr,
    tls: Option<TlsAcceptor>,
    front: Arc<Front>,
    watcher: Watcher,
) {
    // Small answers go out at once; a socket that cannot be told so still works.
    let _ = stream.set_nodelay(true);
    match tls {
        None => speak_http(stream, Peer { address, certificate: None }, false, front, watcher).await,
        Some(tls) => match timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let session = stream.get_ref().1;
                let http2 = session.alpn_protocol() == Some(HTTP2);
                // The handshake has verified whatever certificate there is. One that could not be revoked does not count.
                let shown = session.peer_certificates().and_then(|chain| ClientCertificate::of_der(chain.first()?));
                let certificate = shown.map(Arc::new);
                speak_http(stream, Peer { address, certificate }, http2, front, watcher).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

/// The protocol's version is settled beforehand: guessing it from the first bytes would wait for them for ever.
async fn speak_http<S>(stream: S, peer: Peer, http2: bool, front: Arc<Front>, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(HeadTimer::default()).header_read_timeout(HEAD_TIME).max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(BUFFER);
    let builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    let service = service_fn(move |request| front.clone().answer(peer.clone(), request));
    let stream = TokioIo::new(StallGuard::new(stream, STALL_TIME));
    let connection = builder.serve_connection(stream, service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(error, "a connection failed");
    }
}
