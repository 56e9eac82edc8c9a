//! Compressing a tar on several threads, into bytes that do not depend on how many they are.

use super::Compression;
use liblzma::stream::{Action, Check, MtStreamBuilder, Status, Stream};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use zstd::zstd_safe::CParameter;

/// xz's own level, and dpkg-deb's.
const XZ_LEVEL: u32 = 6;
/// dpkg-deb's blocks: three dictionaries of level 6. What is in one block finds no repetition in another.
const XZ_BLOCK: u64 = 24 << 20;

/// zstd's own level, and dpkg-deb's.
const ZSTD_LEVEL: i32 = 3;
/// Half the tables of that level, which then fit a core's own cache, and jobs that do not look back into what others work
/// on: a tenth faster, and one or two percent larger. Whoever wants it smaller takes xz.
const ZSTD_HASH_LOG: u32 = 16;
const ZSTD_CHAIN_LOG: u32 = 15;
const ZSTD_NO_OVERLAP: u32 = 1;
/// Every thread works on one such piece, and some more wait: few megabytes, so that many threads take little memory.
const ZSTD_JOB: u32 = 2 << 20;
/// More than can be fed by one thread that reads and hashes.
const ZSTD_THREADS: usize = 4;

const OUTPUT: usize = 1 << 16;

/// Compresses what is written to it. Without [`Compressor::finish`] the output is not whole.
pub struct Compressor<W: Write> {
    kind: Kind<W>,
}

enum Kind<W: Write> {
    Xz(Box<Xz<W>>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    /// Compresses into `out`, on at most so many threads, what will be `size` bytes long. The output depends on the
    /// size and the content, and not on the threads.
    pub fn new(out: W, compression: Compression, size: u64, threads: NonZeroUsize) -> io::Result<Self> {
        let kind = match compression {
            Compression::Xz => {
                let stream = xz(size, threads).encoder().map_err(xz_error)?;
                Kind::Xz(Box::new(Xz { out, stream, buffer: vec![0; OUTPUT] }))
            }
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
                // As dpkg-deb: whatever leads to a package tells its SHA-256.
                encoder.include_checksum(false)?;
                encoder.set_parameter(CParameter::HashLog(ZSTD_HASH_LOG))?;
                encoder.set_parameter(CParameter::ChainLog(ZSTD_CHAIN_LOG))?;
                encoder.set_parameter(CParameter::OverlapSizeLog(ZSTD_NO_OVERLAP))?;
                // One thread of the library's, too, cuts the content into jobs; none at all would not.
                // One more than cores, as they wait for what they are fed.
                encoder.multithread(u32::try_from((threads.get() + 1).min(ZSTD_THREADS)).unwrap_or(1))?;
                encoder.set_parameter(CParameter::JobSize(ZSTD_JOB))?;
                encoder.set_pledged_src_size(Some(size))?;
                Kind::Zstd(encoder)
            }
        };
        Ok(Self { kind })
    }

    /// Writes the end and gives `out` back.
    pub fn finish(self) -> io::Result<W> {
        match self.kind {
            Kind::Xz(xz) => xz.finish(),
            Kind::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.kind {
            Kind::Xz(xz) => xz.write(bytes),
            Kind::Zstd(encoder) => encoder.write(bytes),
        }
    }

    /// Does nothing: a flush would begin a new block, and the output would depend on it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Compression {
    /// About how many bytes of memory compressing `size` bytes on so many threads takes.
    #[must_use]
    pub fn memory(self, size: u64, threads: NonZeroUsize) -> u64 {
        match self {
            Self::Xz => xz(size, threads).memusage(),
            // A job's input and output, and the tables, for each of them; they are measured by `cargo xtask bench`.
            Self::Zstd => 64 << 20,
        }
    }
}

/// One stream of even blocks, which threads compress independently of each other.
fn xz(size: u64, threads: NonZeroUsize) -> MtStreamBuilder {
    let blocks = xz_blocks(size);
    let threads = u64::try_from(threads.get()).unwrap_or(u64::MAX).min(blocks);
    let mut builder = MtStreamBuilder::new();
    builder
        .preset(XZ_LEVEL)
        .check(Check::Crc64)
        .threads(u32::try_from(threads).unwrap_or(u32::MAX))
        .block_size(size.div_ceil(blocks).max(1));
    builder
}

/// As few blocks as dpkg-deb makes, since each costs some compression, but an even number of blocks of one size: two
/// cores then end at the same time, where dpkg-deb's last block is a short one that the other core waits for.
fn xz_blocks(size: u64) -> u64 {
    match size.div_ceil(XZ_BLOCK) {
        0 | 1 => 1,
        blocks => blocks.next_multiple_of(2),
    }
}

/// liblzma's own writer would, after an error, first compress all that it was given before it let the error go.
struct Xz<W> {
    out: W,
    stream: Stream,
    buffer: Vec<u8>,
}

impl<W: Write> Xz<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let (taken, _) = self.step(bytes, Action::Run)?;
            if taken > 0 || bytes.is_empty() {
                return Ok(taken);
            }
        }
    }

    fn finish(mut self) -> io::Result<W> {
        while self.step(&[], Action::Finish)?.1 != Status::StreamEnd {}
        Ok(self.out)
    }

    /// How many bytes it took, and whether it ended.
    fn step(&mut self, bytes: &[u8], action: Action) -> io::Result<(usize, Status)> {
        let (taken, given) = (self.stream.total_in(), self.stream.total_out());
        let status = self.stream.process(bytes, &mut self.buffer, action).map_err(xz_error)?;
        let count = |from, to: u64| usize::try_from(to - from).unwrap_or(usize::MAX);
        self.out.write_all(&self.buffer[..count(given, self.stream.total_out())])?;
        Ok((count(taken, self.stream.total_in()), status))
    }
}

fn xz_error(error: liblzma::stream::Error) -> io::Error {
    match error {
        liblzma::stream::Error::Mem => {
            let text = "there is not enough memory to compress; give fewer --threads, or compress with zstd";
            io::Error::new(io::ErrorKind::OutOfMemory, text)
        }
        error => io::Error::other(format!("xz failed: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn blocks_are_even_and_no_larger_than_dpkgs() {
        for (size, blocks) in [
            (0, 1),
            (1, 1),
            (24 * MIB, 1),
            (24 * MIB + 1, 2),
            (40 * MIB, 2),
            (64 * MIB, 4),
            (100 * MIB, 6),
            (146 * MIB, 8),
            (u64::MAX, (u64::MAX).div_ceil(XZ_BLOCK).next_multiple_of(2)),
        ] {
            assert_eq!(xz_blocks(size), blocks, "{size}");
            assert!(size.div_ceil(blocks) <= XZ_BLOCK, "{size}");
        }
    }
}
