//! Packets over a stream of bytes. It holds memory only for what is on its way.

use super::Transport;
use crate::broker::wire::{self, Answer, Codec, DisconnectReasonCode, Malformed, Packet};
use crate::listening::{STALL_TIME, StallGuard};
use bytes::{Buf as _, BytesMut};
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};

/// What is read at once.
const PIECE: usize = 8 << 10;
/// With so much to write, nothing more is read or made ready.
const FULL: usize = 64 << 10;
/// For a client to be told why it is disconnected.
pub(super) const FAREWELL_TIME: Duration = Duration::from_secs(2);

pub(super) struct WireStream {
    stream: StallGuard<Box<dyn Transport>>,
    pub(super) codec: Codec,
    incoming: BytesMut,
    outgoing: BytesMut,
    unflushed: bool,
}

/// What happened.
pub(super) enum Turn {
    Packet(Packet),
    /// Everything was written.
    Written,
    /// The client has closed its side.
    Closed,
}

/// Why it cannot go on.
#[derive(Debug)]
pub(super) enum Broken {
    Malformed(DisconnectReasonCode),
    Stream(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Stream(error)
    }
}

impl WireStream {
    pub(super) fn new(stream: Box<dyn Transport>) -> Self {
        Self {
            stream: StallGuard::new(stream, STALL_TIME),
            codec: Codec::Unknown,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            unflushed: false,
        }
    }

    /// Whether the client has to take something before it gets more.
    pub(super) fn is_full(&self) -> bool {
        self.outgoing.len() >= FULL
    }

    /// Has a packet sent; false: it is none for this client, for example because it is too large.
    pub(super) fn put(&mut self, answer: Answer) -> bool {
        let before = self.outgoing.len();
        match self.codec.encode(answer, &mut self.outgoing) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "not sent");
                self.outgoing.truncate(before);
                false
            }
        }
    }

    /// Has the client told that its version is not spoken here, if that is so.
    pub(super) fn put_refused_version(&mut self) {
        wire::refuse_version(&self.incoming, &mut self.outgoing);
    }

    /// Writes what waits, and returns when something happens. Nothing is lost when it is dropped before.
    pub(super) async fn turn(&mut self) -> Result<Turn, Broken> {
        std::future::poll_fn(|context| self.poll_turn(context)).await
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Result<Turn, Broken>> {
        // What has come is dealt with first, so that what it brings about is written together.
        if !self.is_full()
            && let Some(packet) = self.next_packet()?
        {
            return Poll::Ready(Ok(Turn::Packet(packet)));
        }
        if let Poll::Ready(done) = self.poll_write(context)?
            && done
        {
            return Poll::Ready(Ok(Turn::Written));
        }
        while !self.is_full() {
            if let Some(packet) = self.next_packet()? {
                return Poll::Ready(Ok(Turn::Packet(packet)));
            }
            let mut piece = [MaybeUninit::uninit(); PIECE];
            let mut piece = ReadBuf::uninit(&mut piece);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece))?;
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(Turn::Closed));
            }
            self.incoming.extend_from_slice(piece.filled());
        }
        Poll::Pending
    }

    /// One that has come already.
    pub(super) fn next_packet(&mut self) -> Result<Option<Packet>, Broken> {
        if self.incoming.is_empty() {
            return Ok(None);
        }
        let packet = self.codec.decode(&mut self.incoming).map_err(|Malformed(why)| Broken::Malformed(why))?;
        if self.incoming.is_empty() {
            self.incoming = BytesMut::new();
        }
        Ok(packet)
    }

    /// Writes what the stream takes at once.
    pub(super) async fn push(&mut self) -> Result<(), Broken> {
        std::future::poll_fn(|context| match self.poll_write(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Ready(Ok(())),
        })
        .await
    }

    /// Ready when nothing is left: true if there was something.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let there_was = !self.outgoing.is_empty();
        while !self.outgoing.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, &self.outgoing))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.advance(count);
            self.unflushed = true;
        }
        if there_was {
            self.outgoing = BytesMut::new();
            // More may wait by now, and is flushed with this.
            return Poll::Ready(Ok(true));
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(false))
    }

    /// Returns when everything is on its way.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        std::future::poll_fn(|context| {
            while ready!(self.poll_write(context))? {}
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Writes what is left and closes the stream; returns when the client has closed it, too. With bytes unread, it would
    /// be reset, and the client might never see what was written last.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.shutdown().await?;
        self.incoming = BytesMut::new();
        let mut ignored = vec![0; PIECE];
        while self.stream.read(&mut ignored).await? > 0 {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{DuplexStream, duplex};

    const CONNECT: &[u8] = b"\x10\x12\0\x04MQTT\x04\x02\0\x3c\0\x06lamp-1";

    fn pair(room: usize) -> (WireStream, DuplexStream) {
        let (near, far) = duplex(room);
        (WireStream::new(Box::new(near)), far)
    }

    #[tokio::test]
    async fn packets_are_found_wherever_the_pieces_end_and_leave_no_memory_behind() {
        for size in 1..CONNECT.len() {
            let (mut wire, mut far) = pair(1024);
            let sending = async {
                for piece in CONNECT.chunks(size) {
                    far.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                far.write_all(&[0xc0, 0, 0xc0, 0]).await.unwrap();
                far
            };
            let receiving = async {
                for _ in 0..3 {
                    assert!(matches!(wire.turn().await.unwrap(), Turn::Packet(_)));
                }
                wire
            };
            let (far, mut wire) = tokio::join!(sending, receiving);
            assert_eq!(wire.incoming.capacity(), 0);
            drop(far);
            assert!(matches!(wire.turn().await.unwrap(), Turn::Closed));
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_not_heard_before_it_does() {
        let (mut wire, mut far) = pair(16);
        wire.incoming.extend_from_slice(CONNECT);
        assert!(matches!(wire.turn().await.unwrap(), Turn::Packet(_)));
        for _ in 0..FULL {
            assert!(wire.put(Answer::Pong));
        }
        far.write_all(&[0xc0, 0]).await.unwrap();
        let turned = tokio::time::timeout(std::time::Duration::from_millis(50), wire.turn()).await;
        assert!(turned.is_err(), "nothing happens");
        let taking = async {
            let mut taken = vec![0; FULL * 2];
            far.read_exact(&mut taken).await.unwrap();
        };
        let turning = async {
            let mut seen = Vec::new();
            while !matches!(seen.last(), Some(Turn::Packet(Packet::Ping))) {
                seen.push(wire.turn().await.unwrap());
            }
            wire.flush().await.unwrap();
        };
        tokio::join!(taking, turning);
        assert_eq!(wire.outgoing.capacity(), 0);
    }
}
