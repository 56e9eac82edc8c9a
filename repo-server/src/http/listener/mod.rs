//! Speaking HTTP over the connections of a listener, with a bounded time for each request's head and each stalled write.

mod head_timer;

use super::exchange::Front;
use super::peer::Peer;
use crate::broker;
use crate::certificates::ClientCertificate;
use crate::listening::{self, HeldPlace, Places, STALL_TIME, StallGuard};
use head_timer::HeadTimer;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus_client::metrics::gauge::Gauge;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Connections of one listener at a time; more of them wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 2048;
/// Of these, how many one remote party may hold; more are closed at once. A whole fleet may stand behind one address,
/// so it is many; and others still find places.
const MAX_CONNECTIONS_PER_PARTY: usize = 1536;
/// For a request's head; an idle connection is closed after it, too.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How often an HTTP/2 peer is asked whether it is alive.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// What running requests get when the server is told to stop.
const FAREWELL_TIME: Duration = Duration::from_secs(10);
/// For a request's head, and for what waits to be sent beside the piece on its way: each slow reader holds so much.
const BUFFER: usize = 16 << 10;
/// Requests at a time over one connection of HTTP/2: each may hold a piece for as long as the connection lives.
const MAX_STREAMS: u32 = 16;
const HTTP2: &[u8] = b"h2";

/// What clients may ask for on this address, by preference.
pub(crate) const PROTOCOLS: [&[u8]; 4] = [HTTP2, b"http/1.1", broker::PROTOCOLS[0], broker::PROTOCOLS[1]];

/// Serves until told to stop, then lets running requests end.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    front: Arc<Front>,
    open: Gauge,
    stop: watch::Receiver<bool>,
) {
    let places = Places::new(MAX_CONNECTIONS, MAX_CONNECTIONS_PER_PARTY, open);
    let (running, mut ended) = mpsc::channel(1);
    let stopped = stop.clone();
    let is_proxy = |address| front.is_proxy(address);
    listening::accept(listener, &places, stop, is_proxy, |stream, address, place| {
        let (tls, front) = (tls.clone(), front.clone());
        let held = Held { stop: stopped.clone(), _running: running.clone(), _place: place };
        tokio::spawn(async move {
            match tls {
                None => speak_http(stream, Peer { address, certificate: None }, false, front, held).await,
                Some(tls) => serve_tls(stream, address, &tls, front, held).await,
            }
        });
    })
    .await;
    drop(running);
    // There comes nothing, and its end when the last connection has ended.
    if timeout(FAREWELL_TIME, ended.recv()).await.is_err() {
        tracing::warn!("some requests did not end in time and are cut off");
    }
}

/// What a connection holds while it is open.
struct Held {
    stop: watch::Receiver<bool>,
    _running: mpsc::Sender<()>,
    _place: HeldPlace,
}

async fn serve_tls(stream: TcpStream, address: IpAddr, tls: &TlsAcceptor, front: Arc<Front>, held: Held) {
    let stream = match listening::handshake(tls, stream).await {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, %address, "a TLS handshake failed"),
    };
    let session = stream.get_ref().1;
    let protocol = session.alpn_protocol();
    if protocol.is_some_and(|protocol| broker::PROTOCOLS.contains(&protocol)) {
        // It stays for long, and MQTT has places of its own.
        drop(held);
        if let Some(mqtt) = &front.mqtt
            && let Some(place) = mqtt.places.try_take(address)
        {
            mqtt.serve_tls(Box::new(stream), address, place).await;
        }
        return;
    }
    let http2 = protocol == Some(HTTP2);
    // The handshake has verified whatever certificate there is. One that could not be revoked does not count.
    let shown = session.peer_certificates().and_then(|chain| ClientCertificate::of_der(chain.first()?));
    let certificate = shown.map(Arc::new);
    speak_http(stream, Peer { address, certificate }, http2, front, held).await;
}

/// The protocol's version is settled beforehand: guessing it from the first bytes would wait for them for ever.
async fn speak_http<S>(stream: S, peer: Peer, http2: bool, front: Arc<Front>, held: Held)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| front.clone().answer(peer.clone(), request));
    let stream = TokioIo::new(StallGuard::new(stream, STALL_TIME));
    let ended: Result<(), Box<dyn std::error::Error + Send + Sync>> = if http2 {
        let mut builder = auto::Builder::new(TokioExecutor::new()).http2_only();
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .max_concurrent_streams(MAX_STREAMS)
            .max_send_buf_size(BUFFER);
        let connection = builder.serve_connection(stream, service);
        until_stopped(connection, &held, |connection| connection.graceful_shutdown()).await
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(HeadTimer::default()).header_read_timeout(HEAD_TIME).max_buf_size(BUFFER);
        // A WebSocket begins as a request.
        let connection = builder.serve_connection(stream, service).with_upgrades();
        until_stopped(connection, &held, |connection| connection.graceful_shutdown()).await.map_err(Into::into)
    };
    drop(held);
    if let Err(error) = ended {
        tracing::debug!(error, "a connection failed");
    }
}

/// Serves a connection, and has it end with its last running request when the server is told to stop.
async fn until_stopped<C: Future>(connection: C, held: &Held, end: impl Fn(Pin<&mut C>)) -> C::Output {
    let mut connection = pin!(connection);
    let mut stop = held.stop.clone();
    tokio::select! {
        ended = connection.as_mut() => return ended,
        _ = stop.wait_for(|stop| *stop) => {}
    }
    end(connection.as_mut());
    connection.await
}
