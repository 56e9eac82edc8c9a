//! Hashing the files of a package on a thread of its own, while others compress them: each takes about as long as zstd.

use debian_formats::checksums::{Checksums, Hasher};
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Bytes that are read at once.
const CHUNK: u64 = 1 << 17;
/// Chunks that wait to be hashed at most: a few megabytes.
const WAITING: usize = 32;

enum Message {
    Bytes(Arc<Vec<u8>>),
    EndOfFile,
}

/// The thread.
pub(super) struct Hashing {
    sender: SyncSender<Message>,
    thread: JoinHandle<Vec<Checksums>>,
}

impl Hashing {
    pub(super) fn start() -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("hashing".into()).spawn(move || hash(&receiver))?;
        Ok(Self { sender, thread })
    }

    /// A reader of a file of about this size, all of which is hashed when it gives no more.
    pub(super) fn reader(&self, file: File, size: u64) -> HashedFile<'_> {
        HashedFile { file, left: size, hashing: self, chunk: Arc::default(), given: 0, is_ended: false }
    }

    /// The checksums of all these files that were read, in that order.
    pub(super) fn finish(self, files: usize) -> io::Result<Vec<Checksums>> {
        drop(self.sender);
        let hashed = self.thread.join().ok().filter(|hashed| hashed.len() == files);
        hashed.ok_or_else(stopped)
    }

    fn send(&self, message: Message) -> io::Result<()> {
        self.sender.send(message).map_err(|_| stopped())
    }
}

fn stopped() -> io::Error {
    io::Error::other("the thread that hashes the files stopped; this is a bug, please report it")
}

fn hash(messages: &Receiver<Message>) -> Vec<Checksums> {
    let (mut done, mut hasher) = (Vec::new(), Hasher::default());
    for message in messages {
        match message {
            Message::Bytes(bytes) => hasher.update(&bytes),
            Message::EndOfFile => done.push(std::mem::take(&mut hasher).finish()),
        }
    }
    done
}

/// See [`Hashing::reader`].
pub(super) struct HashedFile<'a> {
    file: File,
    /// What is still expected of it.
    left: u64,
    hashing: &'a Hashing,
    chunk: Arc<Vec<u8>>,
    /// How much of the chunk was given away.
    given: usize,
    is_ended: bool,
}

impl HashedFile<'_> {
    fn next_chunk(&mut self) -> io::Result<()> {
        // One byte more shows the end of a small file, or that it has grown, without another large buffer.
        let room = self.left.saturating_add(1).min(CHUNK);
        let mut chunk = vec![0; usize::try_from(room).unwrap_or_default()];
        let got = self.file.read(&mut chunk)?;
        chunk.truncate(got);
        self.left = self.left.saturating_sub(got as u64);
        self.is_ended = got == 0;
        self.chunk = Arc::new(chunk);
        self.given = 0;
        let message = if self.is_ended { Message::EndOfFile } else { Message::Bytes(Arc::clone(&self.chunk)) };
        self.hashing.send(message)
    }
}

impl Read for HashedFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.chunk.len() && !buffer.is_empty() && !self.is_ended {
            self.next_chunk()?;
        }
        let rest = &self.chunk[self.given..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn every_file_is_hashed_whole_and_in_order() {
        let hashing = Hashing::start().unwrap();
        let mut expected = Vec::new();
        for (size, announced) in [(0, 0), (1, 1), (3 << 17, 3 << 17), (500_000, 7), (7, 500_000), ((1 << 17) - 1, 0)] {
            let content: Vec<u8> = (0..size).map(|byte: u32| byte.to_le_bytes()[1]).collect();
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&content).unwrap();
            let mut read = Vec::new();
            hashing.reader(file.reopen().unwrap(), announced).read_to_end(&mut read).unwrap();
            assert!(read == content, "{size} bytes");
            expected.push(Checksums::of_bytes(&content));
        }
        assert_eq!(hashing.finish(expected.len()).unwrap(), expected);
    }

    #[test]
    fn a_thread_that_is_gone_is_an_error() {
        let (sender, receiver) = sync_channel(WAITING);
        drop(receiver);
        let thread = std::thread::spawn(|| -> Vec<Checksums> { panic!("as a bug would") });
        let hashing = Hashing { sender, thread };
        let error = hashing.reader(tempfile::tempfile().unwrap(), 0).read(&mut [0]).unwrap_err();
        assert!(error.to_string().contains("stopped"), "{error}");
        assert!(hashing.finish(0).is_err());
    }
}
