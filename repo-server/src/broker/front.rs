//! What clients connect to. The broker reads from plain TCP connections on loopback only; here TLS ends, the client proves
//! who it is, and bytes are passed on.

use super::Core;
use super::link::Link;
use crate::certificates::ClientCertificate;
use crate::listening::{HeldPlace, Places, STALL_TIME, StallGuard};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

/// What is read at once.
const PIECE: usize = 8 << 10;
/// What the kernel keeps for a slow client, in each direction.
const SOCKET_BUFFER: u32 = 64 << 10;
/// For the broker to take in what a client sent last.
const LAST_WORDS_TIME: Duration = Duration::from_secs(5);
/// For a client to be told why it is disconnected.
const FAREWELL_TIME: Duration = Duration::from_secs(2);
/// After so long a silent client is asked whether it is there.
const IDLE_TIME: Duration = Duration::from_secs(120);
/// MQTT 5 §3.14: DISCONNECT.
const DISCONNECT: u8 = 0xe0;
/// MQTT 5 §3.14.2.1: unspecified error.
const UNSPECIFIED: u8 = 0x80;

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
    pub(crate) async fn serve<S>(
        &self,
        stream: S,
        certificate: Arc<ClientCertificate>,
        address: IpAddr,
        place: HeldPlace,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let core = &self.core;
        let identity = match core.identify(certificate).await {
            Ok(identity) => identity,
            Err(refusal) => {
                core.metrics.mqtt_refused("certificate");
                tracing::warn!(%address, %refusal, "refused an MQTT client for its certificate");
                return;
            }
        };
        let link = Arc::new(Link::new(identity, address, core.ids.next()));
        if let Err(error) = self.pass_on(stream, &link).await {
            tracing::debug!(%address, client = link.client_id(), %error, "an MQTT connection broke");
        }
        core.release(&link).await;
        drop(place);
    }

    /// Serves a connection whose handshake is done.
    pub(crate) async fn serve_tls(&self, stream: TlsStream<TcpStream>, address: IpAddr, place: HeldPlace) {
        keep_alive(stream.get_ref().0);
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| ClientCertificate::of_der(chain.first()?));
        match shown {
            Some(certificate) => self.serve(stream, Arc::new(certificate), address, place).await,
            None => tracing::warn!(%address, "refused an MQTT client without a certificate"),
        }
    }

    async fn pass_on<S>(&self, outer: S, link: &Arc<Link>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(SOCKET_BUFFER)?;
        socket.set_send_buffer_size(SOCKET_BUFFER)?;
        let inner = socket.connect(self.core.inner).await?;
        inner.set_nodelay(true)?;
        let inner_address = inner.local_addr()?;
        // Before the broker reads the first byte.
        let _listed = Listed { core: &self.core, inner: inner_address };
        self.core.links.insert(inner_address, link.clone());
        tunnel(StallGuard::new(outer, STALL_TIME), inner, link).await
    }
}

/// A client that says nothing may have gone without a word. A socket that cannot be told so still works.
fn keep_alive(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_keepalive(stream, true);
    let _ = rustix::net::sockopt::set_tcp_keepidle(stream, IDLE_TIME);
    let _ = rustix::net::sockopt::set_tcp_keepintvl(stream, IDLE_TIME / 4);
    let _ = rustix::net::sockopt::set_tcp_keepcnt(stream, 4);
}

/// A connection that the broker's hooks find.
struct Listed<'a> {
    core: &'a Core,
    inner: std::net::SocketAddr,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.core.links.remove(self.inner);
    }
}

/// Follows a client's packets, to see the one with which it leaves: the broker library reads on after it.
#[derive(Debug, Clone, Copy)]
enum Packets {
    /// Before a packet.
    Begin,
    /// In its length (MQTT 5 §1.5.5).
    Length { first: u8, value: usize, shift: u32 },
    /// So many bytes before its end.
    Body { first: u8, left: usize },
    /// The client has left.
    Left,
}

impl Packets {
    /// Takes in what comes next, and gives how much of it belongs to the packets up to DISCONNECT.
    fn take_in(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            *self = match *self {
                Self::Begin => Self::Length { first: bytes[at], value: 0, shift: 0 },
                Self::Length { first, value, shift } => {
                    let value = value | usize::from(bytes[at] & 0x7f) << shift;
                    // A fifth byte is the library's to refuse.
                    let more = bytes[at] & 0x80 != 0 && shift < 21;
                    if more { Self::Length { first, value, shift: shift + 7 } } else { Self::end_or(first, value) }
                }
                Self::Body { first, left } => {
                    let here = left.min(bytes.len() - at);
                    at += here;
                    *self = Self::end_or(first, left - here);
                    continue;
                }
                Self::Left => return at,
            };
            at += 1;
        }
        at
    }

    fn end_or(first: u8, left: usize) -> Self {
        match (left, first & 0xf0) {
            (0, DISCONNECT) => Self::Left,
            (0, _) => Self::Begin,
            (left, _) => Self::Body { first, left },
        }
    }
}

/// Which side has nothing more to say.
enum Ended {
    Client,
    Broker,
    Cut,
}

async fn tunnel<S>(mut outer: S, mut inner: TcpStream, link: &Link) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut up, mut down) = (Copying::of_packets(), Copying::default());
    let both = std::future::poll_fn(|context| {
        // A client that is gone and one that broke off are the same to the broker.
        if up.poll(context, Pin::new(&mut outer), Pin::new(&mut inner)).is_ready() {
            return Poll::Ready(Ended::Client);
        }
        let down = down.poll(context, Pin::new(&mut inner), Pin::new(&mut outer));
        down.map(|ended| if ended.is_ok() { Ended::Broker } else { Ended::Client })
    });
    let ended = tokio::select! {
        ended = both => ended,
        () = link.until_cut() => Ended::Cut,
    };
    match ended {
        Ended::Client => {
            // The broker still reads what was passed on; with an abrupt end it would lose that.
            inner.shutdown().await?;
            let rest = async {
                let mut ignored = vec![0; 1 << 10];
                while inner.read(&mut ignored).await? > 0 {}
                outer.shutdown().await
            };
            return timeout(LAST_WORDS_TIME, rest).await.unwrap_or(Ok(()));
        }
        Ended::Broker => {}
        Ended::Cut => {
            inner.shutdown().await?;
            let rest = std::future::poll_fn(|context| down.poll(context, Pin::new(&mut inner), Pin::new(&mut outer)));
            // What it does not take in this time it does not get.
            let _ = timeout(FAREWELL_TIME, rest).await;
        }
    }
    let farewell = async {
        if link.version5() {
            let reason = timeout(FAREWELL_TIME / 2, link.until_explained()).await.unwrap_or(UNSPECIFIED);
            outer.write_all(&[DISCONNECT, 2, reason, 0]).await?;
        }
        outer.shutdown().await
    };
    timeout(FAREWELL_TIME, farewell).await.unwrap_or(Ok(()))
}

/// One direction. It holds memory only while the writer is slower than the reader.
#[derive(Default)]
struct Copying {
    waiting: Vec<u8>,
    written: usize,
    unflushed: bool,
    /// Of a client's.
    packets: Option<Packets>,
}

impl Copying {
    fn of_packets() -> Self {
        Self { packets: Some(Packets::Begin), ..Self::default() }
    }

    /// Copies until the reader's end.
    fn poll<R, W>(
        &mut self,
        context: &mut Context<'_>,
        mut reader: Pin<&mut R>,
        mut writer: Pin<&mut W>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead,
        W: AsyncWrite,
    {
        loop {
            while self.written < self.waiting.len() {
                let count = ready!(writer.as_mut().poll_write(context, &self.waiting[self.written..]))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.written += count;
                self.unflushed = true;
            }
            if !self.waiting.is_empty() {
                (self.waiting, self.written) = (Vec::new(), 0);
            }
            if let Some(Packets::Left) = self.packets {
                return writer.as_mut().poll_flush(context);
            }
            let mut piece = [std::mem::MaybeUninit::uninit(); PIECE];
            let mut piece = ReadBuf::uninit(&mut piece);
            match reader.as_mut().poll_read(context, &mut piece)? {
                Poll::Pending => {
                    if self.unflushed {
                        ready!(writer.as_mut().poll_flush(context))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
                Poll::Ready(()) if piece.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(()) => {
                    let piece = piece.filled();
                    let piece = self.packets.as_mut().map_or(piece, |packets| &piece[..packets.take_in(piece)]);
                    match writer.as_mut().poll_write(context, piece)? {
                        Poll::Ready(count) => {
                            self.unflushed = true;
                            self.waiting.extend_from_slice(&piece[count..]);
                        }
                        Poll::Pending => self.waiting.extend_from_slice(piece),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    #[test]
    fn what_comes_after_disconnect_is_not_passed_on_wherever_the_pieces_end() {
        let ping = [0xc0, 0];
        let long = [&[0x30, 0xc8, 0x01][..], &[0xe0; 200]].concat();
        for disconnect in [&[0xe0, 0][..], &[0xe0, 2, 4, 0]] {
            let wanted = [&ping[..], &long, &ping, disconnect].concat();
            let sent = [&wanted[..], &ping].concat();
            for size in 1..sent.len() {
                let mut packets = Packets::Begin;
                let passed: usize = sent.chunks(size).map(|piece| packets.take_in(piece)).sum();
                assert_eq!(passed, wanted.len(), "{size}");
                assert!(matches!(packets, Packets::Left));
            }
        }
    }

    #[tokio::test]
    async fn what_a_slow_reader_does_not_take_waits_and_nothing_is_lost_or_kept() {
        let (mut source, mut reader) = duplex(64 << 10);
        let (mut writer, mut sink) = duplex(16);
        let sent: Vec<u8> = (0..40_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let expected = sent.clone();
        let sending = async move {
            source.write_all(&sent).await.unwrap();
            drop(source);
        };
        let copying = async move {
            let mut copying = Copying::default();
            std::future::poll_fn(|context| copying.poll(context, Pin::new(&mut reader), Pin::new(&mut writer)))
                .await
                .unwrap();
            assert_eq!(copying.waiting.capacity(), 0);
        };
        let receiving = async move {
            let mut received = Vec::new();
            sink.read_to_end(&mut received).await.unwrap();
            received
        };
        let ((), (), received) = tokio::join!(sending, copying, receiving);
        assert_eq!(received, expected);
    }
}
