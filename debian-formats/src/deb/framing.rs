//! The frame of a compressed member: exactly one stream, of the kind that its name says, from the member's first byte
//! to its last.
//!
//! debsigs signs the members' contents one after the other, and neither their names nor where one ends and the next
//! begins. A member that could lose or gain bytes and still be read would let anybody cut a signed package anew. dpkg
//! itself stops at the end of the first xz or zstd stream and goes on behind that of a gzip stream; with one stream
//! there is no such question.

use super::DebProblem;
use super::members::Member;
use crate::limits::Limits;
use crate::xz_blocks::varint;
use flate2::bufread::GzDecoder;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// Where the tar format has its magic, and what stands there in ustar's and GNU's form alike.
const TAR_MAGIC: (u64, &[u8]) = (257, b"ustar");
const BLOCK: u64 = 512;

/// Demands that the member is one whole stream. `max_bytes` bounds what a gzip stream may unpack to.
pub(super) fn check(path: &Path, member: &Member, max_bytes: u64, limits: &Limits) -> Result<(), DebProblem> {
    let mut frame = Frame { file: BufReader::new(File::open(path)?), member, limits };
    match member.name.rsplit('.').next() {
        Some("gz") => frame.gzip(max_bytes),
        Some("xz") => frame.xz(),
        Some("zst") => frame.zstd(),
        _ => frame.tar(),
    }
}

struct Frame<'a> {
    file: BufReader<File>,
    member: &'a Member,
    limits: &'a Limits,
}

impl Frame<'_> {
    fn bad(&self, problem: &str) -> DebProblem {
        DebProblem::Tar { member: self.member.name.clone(), problem: problem.to_owned() }
    }

    /// Bytes at a place inside the member; outside it is an error.
    fn at<const N: usize>(&mut self, offset: u64) -> Result<[u8; N], DebProblem> {
        let mut bytes = [0; N];
        self.fill(offset, &mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), DebProblem> {
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > self.member.size) {
            return Err(self.bad("it is damaged or truncated"));
        }
        let target = self.member.offset + offset;
        let here = self.file.stream_position()?;
        // Small steps stay inside the buffer.
        self.file.seek_relative(i64::try_from(target).unwrap_or(i64::MAX) - i64::try_from(here).unwrap_or(0))?;
        Ok(self.file.read_exact(bytes)?)
    }

    fn tar(&mut self) -> Result<(), DebProblem> {
        let (offset, magic) = TAR_MAGIC;
        if !self.member.size.is_multiple_of(BLOCK)
            || self.at::<5>(offset).ok().as_ref().is_none_or(|found| found != magic)
        {
            return Err(self.bad("it is not an uncompressed tar, as its name says"));
        }
        Ok(())
    }

    /// RFC 1952. A gzip stream does not say how long it is, so it is unpacked.
    fn gzip(&mut self, max_bytes: u64) -> Result<(), DebProblem> {
        self.file.seek(SeekFrom::Start(self.member.offset))?;
        let mut decoder = GzDecoder::new((&mut self.file).take(self.member.size));
        let unpacked = io::copy(&mut (&mut decoder).take(max_bytes.saturating_add(1)), &mut io::sink());
        let rest = decoder.into_inner().fill_buf().map(<[u8]>::len);
        match unpacked {
            Err(error) => Err(self.bad(&format!("it is not one whole gzip stream: {error}"))),
            Ok(unpacked) if unpacked > max_bytes => {
                Err(DebProblem::TooLarge { what: format!("{}, uncompressed,", self.member.name), limit: max_bytes })
            }
            Ok(_) if rest? > 0 => Err(self.bad("something stands behind its gzip stream")),
            Ok(_) => Ok(()),
        }
    }

    /// The .xz file format 1.2.0, §2: the footer leads to the index, and the index to every block.
    fn xz(&mut self) -> Result<(), DebProblem> {
        const HEADER: u64 = 12;
        const FOOTER: u64 = 12;
        /// Enough for 100000 blocks.
        const MAX_INDEX: u64 = 1 << 20;
        if self.at::<6>(0)? != *b"\xfd7zXZ\0" {
            return Err(self.bad("it is not compressed with xz, as its name says"));
        }
        let footer_at = self.member.size.checked_sub(FOOTER).ok_or_else(|| self.bad("it is truncated"))?;
        let [_, _, _, _, a, b, c, d, _, _, magic @ ..] = self.at::<12>(footer_at)?;
        let index_size = (u64::from(u32::from_le_bytes([a, b, c, d])) + 1) * 4;
        let index_at = footer_at.checked_sub(index_size).filter(|at| *at >= HEADER && index_size <= MAX_INDEX);
        let (Some(index_at), b"YZ") = (index_at, &magic) else {
            return Err(self.bad("its xz stream does not end with the member"));
        };
        let mut index = vec![0; usize::try_from(index_size).unwrap_or_default()];
        self.fill(index_at, &mut index)?;
        let mut fields = index.strip_prefix(&[0]).unwrap_or_default();
        let records = varint(&mut fields).unwrap_or_default();
        let mut block_at = HEADER;
        for _ in 0..records {
            let size = varint(&mut fields).and_then(|size| size.checked_next_multiple_of(4));
            let end = size.zip(varint(&mut fields)).and_then(|(size, _)| block_at.checked_add(size));
            let end = end.filter(|end| *end <= index_at).ok_or_else(|| self.bad("its xz index is damaged"))?;
            self.xz_block(block_at)?;
            block_at = end;
        }
        if block_at != index_at {
            return Err(self.bad("it is more than one xz stream"));
        }
        Ok(())
    }

    /// §3.1: the filters of a block, of which LZMA2 names the memory that unpacking takes.
    fn xz_block(&mut self, offset: u64) -> Result<(), DebProblem> {
        const LZMA2: u64 = 0x21;
        let damaged = "one of its xz blocks is damaged";
        let [size] = self.at::<1>(offset)?;
        let mut header = vec![0; (usize::from(size) + 1) * 4];
        self.fill(offset, &mut header)?;
        let Some((flags, mut fields)) = header.get(1..).and_then(<[u8]>::split_first) else {
            return Err(self.bad(damaged));
        };
        for present in [0x40, 0x80] {
            if flags & present != 0 {
                varint(&mut fields).ok_or_else(|| self.bad(damaged))?;
            }
        }
        for _ in 0..=(flags & 3) {
            let filter = varint(&mut fields).ok_or_else(|| self.bad(damaged))?;
            let length = varint(&mut fields).and_then(|length| usize::try_from(length).ok());
            let properties = length.and_then(|length| fields.split_at_checked(length));
            let (properties, rest) = properties.ok_or_else(|| self.bad(damaged))?;
            fields = rest;
            if filter == LZMA2 {
                let bits = u32::from(properties.first().copied().unwrap_or(u8::MAX));
                // §5.3.1: 2 or 3, shifted.
                let dictionary = if bits < 40 { u64::from(2 | bits & 1) << (bits / 2 + 11) } else { u64::MAX };
                let limit = self.limits.dictionary_bytes;
                if dictionary > limit {
                    let what = format!("the dictionary of {}", self.member.name);
                    return Err(DebProblem::TooLarge { what, limit });
                }
            }
        }
        Ok(())
    }

    /// RFC 8878 §3.1.1. The library bounds the memory itself.
    fn zstd(&mut self) -> Result<(), DebProblem> {
        if self.at::<4>(0)? != [0x28, 0xb5, 0x2f, 0xfd] {
            return Err(self.bad("it is not compressed with zstd, as its name says"));
        }
        let [descriptor] = self.at::<1>(4)?;
        let is_single_segment = descriptor & 0x20 != 0;
        let window = u64::from(!is_single_segment);
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let content_size = match descriptor >> 6 {
            0 => u64::from(is_single_segment),
            power => 1 << power,
        };
        let mut at = 5 + window + dictionary + content_size;
        loop {
            let [a, b, c] = self.at::<3>(at)?;
            let header = u32::from_le_bytes([a, b, c, 0]);
            let is_run = header >> 1 & 3 == 1;
            at += 3 + if is_run { 1 } else { u64::from(header >> 3) };
            if header & 1 == 1 {
                break;
            }
        }
        let checksum = if descriptor & 4 != 0 { 4 } else { 0 };
        if at + checksum != self.member.size {
            return Err(self.bad("its zstd frame does not end with the member"));
        }
        Ok(())
    }
}
