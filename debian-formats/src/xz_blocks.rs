//! One .xz stream put together from blocks that were compressed one by one (The .xz File Format 1.2.0).
//!
//! Readers of a file of several *streams* differ (apt takes the first for the whole), those of several *blocks* in one
//! stream do not. A block depends on its own content only, so blocks that stay can be used again in the next file.

use flate2::Crc;
use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};
use std::io;

/// §2.1.1: the magic bytes, then the flags with their CRC32.
const HEADER_MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
/// §2.1.1.2: the blocks carry a CRC64.
const FLAGS: [u8; 2] = [0, 4];
const FOOTER_MAGIC: [u8; 2] = *b"YZ";
/// Bytes of the largest dictionary. Compressing takes eleven times as much memory; twice as much would make a block of
/// 8 MiB four thousandths smaller.
const DICTIONARY: u32 = 4 << 20;
/// The first preset whose dictionary is larger.
const LARGE_FROM: u32 = 5;
const HEADER: usize = 12;
const FOOTER: usize = 12;

/// A compressed block, as it stands in the stream: header, data, padding and check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct XzBlock {
    /// Its bytes, a multiple of four.
    pub bytes: Vec<u8>,
    /// What the index tells of it.
    pub record: XzRecord,
}

/// What the index at the end of a stream tells of a block (§4.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct XzRecord {
    /// Bytes of the block without its padding.
    pub unpadded: u64,
    /// Bytes of its content.
    pub content: u64,
}

impl XzBlock {
    /// Compresses `content` at a preset level, 0 to 9.
    pub fn compress(content: &[u8], preset: u32) -> io::Result<Self> {
        let stream = compressed(content, preset)?;
        let cut = || io::Error::other("the library's .xz stream is not of one block");
        let (index, footer) = stream.split_at_checked(stream.len().saturating_sub(FOOTER)).ok_or_else(cut)?;
        let size: [u8; 4] = footer.get(4..8).and_then(|bytes| bytes.try_into().ok()).ok_or_else(cut)?;
        let index_at = index.len().checked_sub((u32::from_le_bytes(size) as usize + 1) * 4).ok_or_else(cut)?;
        let mut fields = index.get(index_at..).and_then(|index| index.strip_prefix(&[0])).ok_or_else(cut)?;
        let mut field = || varint(&mut fields).ok_or_else(cut);
        let (records, unpadded, content) = (field()?, field()?, field()?);
        let bytes = stream.get(HEADER..index_at).filter(|bytes| bytes.len() as u64 == unpadded.next_multiple_of(4));
        let bytes = bytes.filter(|_| records == 1).ok_or_else(cut)?.to_vec();
        Ok(Self { bytes, record: XzRecord { unpadded, content } })
    }
}

/// What stands before the first block.
#[must_use]
pub fn stream_header() -> Vec<u8> {
    [HEADER_MAGIC.as_slice(), &FLAGS, &crc32(&FLAGS)].concat()
}

/// What stands behind the last block: the index of all blocks, in their order, and the footer.
#[must_use]
pub fn stream_end(blocks: &[XzRecord]) -> Vec<u8> {
    let mut index = vec![0];
    push_varint(&mut index, blocks.len() as u64);
    for block in blocks {
        push_varint(&mut index, block.unpadded);
        push_varint(&mut index, block.content);
    }
    index.resize(index.len().next_multiple_of(4), 0);
    index.extend(crc32(&index));
    let backward = u32::try_from(index.len() / 4 - 1).unwrap_or(u32::MAX).to_le_bytes();
    let fields = [backward.as_slice(), &FLAGS].concat();
    [index.as_slice(), &crc32(&fields), &fields, &FOOTER_MAGIC].concat()
}

/// A stream of one block; of none, if there is no content.
fn compressed(content: &[u8], preset: u32) -> io::Result<Vec<u8>> {
    let mut options = LzmaOptions::new_preset(preset).map_err(io::Error::other)?;
    if preset >= LARGE_FROM {
        options.dict_size(DICTIONARY);
    }
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let mut encoder = Stream::new_stream_encoder(&filters, Check::Crc64).map_err(io::Error::other)?;
    let mut out = Vec::with_capacity(content.len() / 4 + 1024);
    let mut rest = content;
    loop {
        out.reserve(1 << 16);
        let before = encoder.total_in();
        let status = encoder.process_vec(rest, &mut out, Action::Finish).map_err(io::Error::other)?;
        let taken = usize::try_from(encoder.total_in() - before).unwrap_or(usize::MAX);
        rest = rest.get(taken..).unwrap_or_default();
        if status == Status::StreamEnd {
            return Ok(out);
        }
    }
}

fn crc32(bytes: &[u8]) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

/// §1.2: seven bits in each byte, the lowest first.
pub(crate) fn varint(fields: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = fields.split_first()?;
        *fields = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::process::{Command, Stdio};

    fn stream(blocks: &[XzBlock]) -> Vec<u8> {
        let records: Vec<XzRecord> = blocks.iter().map(|block| block.record).collect();
        let bodies = blocks.iter().flat_map(|block| block.bytes.iter().copied());
        stream_header().into_iter().chain(bodies).chain(stream_end(&records)).collect()
    }

    #[test]
    fn xz_and_the_library_read_what_was_put_together() {
        let contents: Vec<Vec<u8>> = [1usize, 2, 3, 4, 127, 128, 70_000, 3 << 20]
            .map(|size| (0..size).map(|i| (i / 7 % 251) as u8).collect())
            .into();
        for count in [0, 1, 2, contents.len()] {
            let contents = &contents[..count];
            let blocks: Vec<XzBlock> = contents
                .iter()
                .zip([6, 1, 0, 9].iter().cycle())
                .map(|(it, level)| XzBlock::compress(it, *level).unwrap())
                .collect();
            let packed = stream(&blocks);
            let mut unpacked = Vec::new();
            liblzma::read::XzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == contents.concat(), "{count}");
            let mut xz = Command::new("xz").args(["--test", "-"]).stdin(Stdio::piped()).spawn().unwrap();
            xz.stdin.take().unwrap().write_all(&packed).unwrap();
            assert!(xz.wait().unwrap().success(), "{count}");
        }
    }
}
