//! Hashing the files of a tar on a thread of its own, while others compress it: each takes about as long as zstd.

use debian_formats::checksums::{Md5Hasher, Sha256Hasher};
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Bytes that are passed on at once: many small files, so that the threads need not wake each other for every one.
const CHUNK: usize = 1 << 18;
/// Chunks that wait to be hashed at most: a few megabytes.
const WAITING: usize = 16;

/// What is learnt of a file; digests are lower-case hex.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hashed {
    pub(super) md5: String,
    /// If it is wanted.
    pub(super) sha256: Option<String>,
}

/// Passes on what is written to it, and has the files in it hashed.
pub(super) struct Hashing<W: Write> {
    out: W,
    chunk: Vec<u8>,
    sender: SyncSender<Arc<Vec<u8>>>,
    thread: JoinHandle<Vec<Hashed>>,
}

impl<W: Write> Hashing<W> {
    /// `files` are the places of the files in the tar, in their order. MD5 for md5sums; SHA-256 only `with_sha256`.
    pub(super) fn start(out: W, files: Vec<Range<u64>>, with_sha256: bool) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let hash = move || hash(&receiver, files, with_sha256);
        let thread = std::thread::Builder::new().name("hashing".into()).spawn(hash)?;
        Ok(Self { out, chunk: Vec::with_capacity(CHUNK), sender, thread })
    }

    /// What everything was passed on to, and what was learnt of each file.
    pub(super) fn finish(mut self) -> io::Result<(W, Vec<Hashed>)> {
        self.pass_on()?;
        drop(self.sender);
        let hashed = self.thread.join().map_err(|_| stopped())?;
        Ok((self.out, hashed))
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let chunk = Arc::new(std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK)));
        self.sender.send(Arc::clone(&chunk)).map_err(|_| stopped())?;
        self.out.write_all(&chunk)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK {
            self.pass_on()?;
        }
        let count = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stopped() -> io::Error {
    io::Error::other("the thread that hashes the files stopped; this is a bug, please report it")
}

fn hash(chunks: &Receiver<Arc<Vec<u8>>>, files: Vec<Range<u64>>, with_sha256: bool) -> Vec<Hashed> {
    let (mut start, mut chunk) = (0, Arc::<Vec<u8>>::default());
    let mut hashed = Vec::with_capacity(files.len());
    for file in files {
        let (mut md5, mut sha256) = (Md5Hasher::default(), with_sha256.then(Sha256Hasher::default));
        let mut at = file.start;
        while at < file.end {
            let here = within(&chunk, start, at..file.end);
            if here.is_empty() {
                start += chunk.len() as u64;
                // Whoever writes has failed, and tells it.
                let Ok(next) = chunks.recv() else { return hashed };
                chunk = next;
                continue;
            }
            md5.update(here);
            if let Some(sha256) = &mut sha256 {
                sha256.update(here);
            }
            at += here.len() as u64;
        }
        hashed.push(Hashed { md5: md5.finish(), sha256: sha256.map(Sha256Hasher::finish) });
    }
    // Behind the last file the tar goes on.
    chunks.iter().for_each(drop);
    hashed
}

/// What of a range's beginning is in a chunk that stands at `start`.
fn within(chunk: &[u8], start: u64, range: Range<u64>) -> &[u8] {
    let place = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX).min(chunk.len());
    &chunk[place(range.start)..place(range.end)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use debian_formats::checksums::Checksums;

    #[test]
    fn every_file_is_hashed_whole_and_in_order() {
        let (mut tar, mut files, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        for size in [0, 1, 3 * CHUNK, 500_000, 7, 0, CHUNK - 1, 5, 2 * CHUNK] {
            tar.extend([b'h'; 512]);
            let content: Vec<u8> = (0..size).map(|byte| byte.to_le_bytes()[1]).collect();
            let start = tar.len() as u64;
            files.push(start..start + size as u64);
            tar.extend(&content);
            let Checksums { md5, sha256, .. } = Checksums::of_bytes(&content);
            expected.push(Hashed { md5, sha256: Some(sha256) });
        }
        tar.extend(vec![0; 3 * CHUNK]);
        for piece in [1000, 512, 3 * CHUNK] {
            let mut hashing = Hashing::start(Vec::new(), files.clone(), true).unwrap();
            tar.chunks(piece).for_each(|bytes| hashing.write_all(bytes).unwrap());
            let (out, hashed) = hashing.finish().unwrap();
            assert!(out == tar, "{piece}");
            assert_eq!(hashed, expected, "{piece}");
        }
    }

    #[test]
    fn a_thread_that_is_gone_is_an_error() {
        let (sender, receiver) = sync_channel(WAITING);
        drop(receiver);
        let thread = std::thread::spawn(|| -> Vec<Hashed> { panic!("as a bug would") });
        let mut hashing = Hashing { out: io::sink(), chunk: Vec::new(), sender, thread };
        hashing.write_all(b"x").unwrap();
        let error = hashing.finish().map(drop).unwrap_err();
        assert!(error.to_string().contains("stopped"), "{error}");
    }
}
