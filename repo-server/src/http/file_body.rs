//! A body that is read from a file or from memory while it is sent, in pieces.

use super::pace::{Pace, large_piece};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::SemaphorePermit;
use tokio::task::JoinHandle;

/// A large piece still fits into a core's cache, between the copy out of the file and that into the socket.
const LARGE: usize = 256 << 10;
const SMALL: usize = 16 << 10;

/// What is sent, in order.
#[derive(Debug)]
pub(super) enum Segment {
    /// Of the file.
    Part(Range<u64>),
    /// From memory.
    Bytes(Bytes),
}

pub(super) struct FileBody {
    /// None when all is in memory.
    file: Option<Arc<File>>,
    segments: VecDeque<Segment>,
    /// Bytes that are still to come.
    left: u64,
    reading: Option<JoinHandle<(Buffer, io::Result<usize>)>>,
    /// What was handed out lately, to be used again once it was sent.
    lent: VecDeque<Arc<Buffer>>,
    pace: Pace,
}

impl FileBody {
    pub(super) fn new(file: Option<Arc<File>>, segments: VecDeque<Segment>, pace: Pace) -> Self {
        let left = segments.iter().map(Segment::length).sum();
        Self { file, segments, left, reading: None, lent: VecDeque::new(), pace }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let part = match self.segments.front_mut() {
            None => return Poll::Ready(Ok(None)),
            Some(Segment::Bytes(bytes)) => {
                let bytes = std::mem::take(bytes);
                self.segments.pop_front();
                return Poll::Ready(Ok(Some(bytes)));
            }
            Some(Segment::Part(part)) => part.clone(),
        };
        let Some(file) = self.file.clone() else {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        };
        let piece = ready!(self.poll_file(cx, &file, &part))?;
        if piece.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        let rest = part.start + piece.len() as u64..part.end;
        if rest.is_empty() {
            self.segments.pop_front();
        } else {
            self.segments[0] = Segment::Part(rest);
        }
        Poll::Ready(Ok(Some(piece)))
    }

    /// What the kernel has in memory is read at once; for the rest a thread waits for the disk.
    fn poll_file(&mut self, cx: &mut Context<'_>, file: &Arc<File>, part: &Range<u64>) -> Poll<io::Result<Bytes>> {
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => {
                let mut buffer = self.buffer();
                let left = usize::try_from(part.end - part.start).unwrap_or(usize::MAX);
                let (wanted, start) = (buffer.memory.len().min(left), part.start);
                if let Some(read) = read_at_once(file, &mut buffer.memory[..wanted], start) {
                    return Poll::Ready(read.map(|read| self.lend(buffer, read)));
                }
                let file = file.clone();
                tokio::task::spawn_blocking(move || {
                    let read = file.read_at(&mut buffer.memory[..wanted], start);
                    (buffer, read)
                })
            }
        };
        let Poll::Ready(done) = Pin::new(&mut reading).poll(cx) else {
            self.reading = Some(reading);
            return Poll::Pending;
        };
        let (buffer, read) = done.map_err(io::Error::other)?;
        Poll::Ready(read.map(|read| self.lend(buffer, read)))
    }

    /// Memory for the next piece: what was sent already, if it has the right size.
    fn buffer(&mut self) -> Buffer {
        let large = self.pace.deserves_large();
        while let Some(lent) = self.lent.pop_front() {
            match Arc::try_unwrap(lent) {
                Ok(buffer) if buffer.is_large() == large => return buffer,
                // It is of the other kind, or still on its way; then the connection lets it go.
                _ => {}
            }
        }
        Buffer::new(large)
    }

    fn lend(&mut self, mut buffer: Buffer, filled: usize) -> Bytes {
        self.pace.hand_out();
        buffer.filled = filled;
        let buffer = Arc::new(buffer);
        self.lent.push_back(buffer.clone());
        Bytes::from_owner(Lent(buffer))
    }
}

/// None when the disk has to be waited for.
fn read_at_once(file: &File, memory: &mut [u8], start: u64) -> Option<io::Result<usize>> {
    match preadv2(file, &mut [IoSliceMut::new(memory)], start, ReadWriteFlags::NOWAIT) {
        // Some file systems cannot tell, and are always waited for.
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) => None,
        read => Some(read.map_err(io::Error::from)),
    }
}

impl Segment {
    fn length(&self) -> u64 {
        match self {
            Self::Part(part) => part.end.saturating_sub(part.start),
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

/// Memory for a piece.
struct Buffer {
    memory: Vec<u8>,
    filled: usize,
    /// Held by large ones.
    permit: Option<SemaphorePermit<'static>>,
}

impl Buffer {
    /// A large one, if there is still one to be had.
    fn new(large: bool) -> Self {
        let permit = if large { large_piece() } else { None };
        let size = if permit.is_some() { LARGE } else { SMALL };
        Self { memory: vec![0; size], filled: 0, permit }
    }

    fn is_large(&self) -> bool {
        self.permit.is_some()
    }
}

/// A piece on its way.
struct Lent(Arc<Buffer>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0.memory[..self.0.filled]
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(self.poll_piece(cx));
        if let Ok(Some(piece)) = &piece {
            self.left = self.left.saturating_sub(piece.len() as u64);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)).transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.segments.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pace::LARGE_PIECES;
    use super::*;
    use axum::http::Version;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn segments_come_in_order_and_whole() {
        let bytes: Vec<u8> = (0..LARGE * 3 + 7).map(|number| (number / 251) as u8).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        durable_files::replace(file.path(), &bytes, 0o644).unwrap();
        let opened = Some(Arc::new(File::open(file.path()).unwrap()));
        let end = bytes.len() as u64;
        let segments = [Segment::Part(1..end), Segment::Bytes("between".into()), Segment::Part(0..1)];
        let body = FileBody::new(opened.clone(), segments.into(), Pace::over(Version::HTTP_11));
        assert_eq!(body.size_hint().exact(), Some(end + 7));
        let read = body.collect().await.unwrap().to_bytes();
        assert!(read == [&bytes[1..], b"between", &bytes[..1]].concat());

        let error = FileBody::new(opened, [Segment::Part(0..end + 1)].into(), Pace::over(Version::HTTP_2))
            .collect()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "a file cut short is no whole answer");
    }

    #[tokio::test]
    async fn streams_that_are_left_where_they_are_hold_no_large_pieces() {
        let file = tempfile::NamedTempFile::new().unwrap();
        durable_files::replace(file.path(), &[7; 2 * LARGE], 0o644).unwrap();
        let opened = Arc::new(File::open(file.path()).unwrap());
        let left = (0..100).map(|_| {
            let part = [Segment::Part(0..2 * LARGE as u64)];
            FileBody::new(Some(opened.clone()), part.into(), Pace::over(Version::HTTP_2))
        });
        for mut body in left.collect::<Vec<_>>() {
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(piece.len(), SMALL);
        }
    }

    #[test]
    fn large_pieces_are_few() {
        let buffers: Vec<Buffer> = (0..100).map(|_| Buffer::new(true)).collect();
        let memory: usize = buffers.iter().map(|buffer| buffer.memory.len()).sum();
        assert!(memory <= LARGE_PIECES * LARGE + 100 * SMALL);
        assert!(buffers.iter().any(Buffer::is_large));
    }
}
