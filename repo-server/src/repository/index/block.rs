//! A block: some entries of an index, compressed in every form by itself. What stays in an index is never compressed
//! twice; an index file is its blocks, one behind the other.

use super::Kind;
use bytes::Bytes;
use debian_formats::checksums::sha256_hex;
use debian_formats::xz_blocks::{XzBlock, XzRecord};
use flate2::write::GzEncoder;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

/// How an index file is compressed. Every reader accepts members of gzip and frames of zstd one behind the other, and
/// blocks of one xz stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::repository) enum Form {
    Plain,
    Gzip,
    Xz,
    Zstd,
}

impl Form {
    pub(in crate::repository) const ALL: [Self; 4] = [Self::Plain, Self::Gzip, Self::Xz, Self::Zstd];

    /// What follows the index's name.
    pub(in crate::repository) fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }
}

/// How much time compressing may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::repository) enum Effort {
    /// Somebody waits: tenths of a second for megabytes.
    Quick,
    /// For good.
    Full,
}

impl Effort {
    fn gzip(self) -> flate2::Compression {
        flate2::Compression::new(match self {
            Self::Quick => 4,
            Self::Full => 9,
        })
    }

    fn xz(self) -> u32 {
        match self {
            Self::Quick => 1,
            Self::Full => 6,
        }
    }

    fn zstd(self) -> i32 {
        match self {
            Self::Quick => 3,
            Self::Full => 15,
        }
    }
}

/// One entry of an index: what belongs to one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::repository) struct IndexEntry {
    /// SHA-256 of the package, lower-case hex.
    pub(in crate::repository) package: Arc<str>,
    /// The text, as it stands in the index.
    pub(in crate::repository) text: Bytes,
}

/// See the module's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::repository) struct Block {
    /// Names its content: SHA-256 of its stored form.
    pub(in crate::repository) id: String,
    /// Whether it was compressed for good.
    pub(in crate::repository) is_settled: bool,
    /// The packages, in the order of their texts, and where each text ends.
    pub(in crate::repository) entries: Vec<(Arc<str>, usize)>,
    plain: Bytes,
    gzip: Bytes,
    xz: Bytes,
    xz_record: XzRecord,
    zstd: Bytes,
}

/// Before the parts of a stored block: their lengths.
#[derive(serde::Serialize, serde::Deserialize)]
struct StoredHead {
    is_settled: bool,
    gzip: usize,
    xz: usize,
    xz_unpadded: u64,
    xz_content: u64,
    zstd: usize,
    /// Packages and the ends of their texts.
    entries: Vec<(Arc<str>, usize)>,
}

impl Block {
    /// Compresses some entries, of which there is at least one.
    pub(in crate::repository) fn new(kind: Kind, entries: &[IndexEntry], effort: Effort) -> io::Result<Self> {
        let size = entries.iter().map(|entry| entry.text.len()).sum();
        let (mut plain, mut ends) = (Vec::with_capacity(size), Vec::with_capacity(entries.len()));
        for entry in entries {
            plain.extend_from_slice(&entry.text);
            ends.push((entry.package.clone(), plain.len()));
        }
        Self::pack(kind, plain.into(), ends, effort)
    }

    /// The same, compressed for good; the text itself is shared.
    pub(in crate::repository) fn settled(&self, kind: Kind) -> io::Result<Self> {
        Self::pack(kind, self.plain.clone(), self.entries.clone(), Effort::Full)
    }

    fn pack(kind: Kind, plain: Bytes, entries: Vec<(Arc<str>, usize)>, effort: Effort) -> io::Result<Self> {
        let (zstd_level, with_xz) = match kind {
            Kind::Packages => (effort.zstd(), true),
            // It is served in gzip only, and stored in zstd.
            Kind::Contents => (Effort::Quick.zstd(), false),
        };
        let zstd = || zstd::bulk::compress(&plain, zstd_level);
        let rest = || {
            let xz = if with_xz { XzBlock::compress(&plain, effort.xz())? } else { XzBlock::default() };
            Ok::<_, io::Error>((gzip(&plain, effort)?, xz))
        };
        let ((gzip, xz), zstd) = match effort {
            Effort::Quick => std::thread::scope(|scope| {
                let zstd = scope.spawn(zstd);
                let rest = rest()?;
                let zstd = zstd.join().map_err(|_| io::Error::other("the thread that compresses stopped"))?;
                Ok::<_, io::Error>((rest, zstd?))
            })?,
            // Nobody waits, and each takes tens of megabytes while it works.
            Effort::Full => (rest()?, zstd()?),
        };
        let mut block = Self {
            id: String::new(),
            is_settled: effort == Effort::Full,
            entries,
            plain,
            gzip: fitted(gzip),
            xz: fitted(xz.bytes),
            xz_record: xz.record,
            zstd: fitted(zstd),
        };
        block.id = sha256_hex(&block.to_stored()?);
        Ok(block)
    }

    /// The same, with one copy of the text for it and for a block that differs only in how it is compressed.
    pub(in crate::repository) fn sharing_text<'a>(mut self, others: impl IntoIterator<Item = &'a Arc<Self>>) -> Self {
        if let Some(other) = others.into_iter().find(|other| other.plain == self.plain) {
            self.plain = other.plain.clone();
        }
        self
    }

    /// Bytes of its entries.
    pub(in crate::repository) fn size(&self) -> usize {
        self.plain.len()
    }

    /// Its entries, in order.
    pub(in crate::repository) fn entries(&self) -> impl Iterator<Item = IndexEntry> {
        let mut start = 0;
        self.entries.iter().map(move |(package, end)| {
            let text = self.plain.slice(start..*end);
            start = *end;
            IndexEntry { package: package.clone(), text }
        })
    }

    /// Its part of an index file in this form.
    pub(in crate::repository) fn bytes(&self, form: Form) -> &Bytes {
        match form {
            Form::Plain => &self.plain,
            Form::Gzip => &self.gzip,
            Form::Xz => &self.xz,
            Form::Zstd => &self.zstd,
        }
    }

    pub(in crate::repository) fn xz_record(&self) -> XzRecord {
        self.xz_record
    }

    /// As it lies in the storage: a line of JSON, then the three compressed forms.
    pub(in crate::repository) fn to_stored(&self) -> io::Result<Vec<u8>> {
        let head = StoredHead {
            is_settled: self.is_settled,
            gzip: self.gzip.len(),
            xz: self.xz.len(),
            xz_unpadded: self.xz_record.unpadded,
            xz_content: self.xz_record.content,
            zstd: self.zstd.len(),
            entries: self.entries.clone(),
        };
        let mut stored = serde_json::to_vec(&head)?;
        stored.push(b'\n');
        for part in [&self.gzip, &self.xz, &self.zstd] {
            stored.extend_from_slice(part);
        }
        Ok(stored)
    }

    /// Reads a stored block again; none if it is not what was stored under this name.
    pub(in crate::repository) fn from_stored(id: &str, stored: &Bytes) -> Option<Self> {
        if sha256_hex(stored) != id {
            return None;
        }
        let line = stored.iter().position(|byte| *byte == b'\n')?;
        let head: StoredHead = serde_json::from_slice(&stored[..line]).ok()?;
        let mut at = line + 1;
        let mut part = |length: usize| {
            let end = at.checked_add(length).filter(|end| *end <= stored.len())?;
            let part = stored.slice(at..end);
            at = end;
            Some(part)
        };
        let (gzip, xz, zstd) = (part(head.gzip)?, part(head.xz)?, part(head.zstd)?);
        let content = head.entries.last().map_or(0, |(_, end)| *end);
        let mut plain = Vec::with_capacity(content);
        let mut decoder = zstd::stream::read::Decoder::with_buffer(&zstd[..]).ok()?.take(content as u64 + 1);
        decoder.read_to_end(&mut plain).ok().filter(|read| *read == content)?;
        let xz_record = XzRecord { unpadded: head.xz_unpadded, content: head.xz_content };
        let (id, is_settled, entries) = (id.to_owned(), head.is_settled, head.entries);
        Some(Self { id, is_settled, entries, plain: plain.into(), gzip, xz, xz_record, zstd })
    }
}

/// Without the room that was left for more: it is kept for long.
fn fitted(bytes: Vec<u8>) -> Bytes {
    bytes.into_boxed_slice().into()
}

fn gzip(plain: &[u8], effort: Effort) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), effort.gzip());
    encoder.write_all(plain)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_block_comes_back_and_a_damaged_one_does_not() {
        let entry = |package: &str, text: &str| IndexEntry { package: package.into(), text: text.to_owned().into() };
        let entries = [entry("aa", "Package: a\n\n"), entry("bb", "Package: b\nX: y\n\n")];
        for effort in [Effort::Quick, Effort::Full] {
            let block = Block::new(Kind::Packages, &entries, effort).unwrap();
            assert_eq!(block.entries().collect::<Vec<_>>(), entries);
            let stored = Bytes::from(block.to_stored().unwrap());
            assert_eq!(Block::from_stored(&block.id, &stored), Some(block.clone()));
            for at in [0, stored.len() / 2, stored.len() - 1] {
                let mut damaged = stored.to_vec();
                damaged[at] ^= 1;
                assert_eq!(Block::from_stored(&block.id, &damaged.into()), None);
            }
            assert_eq!(Block::from_stored(&block.id, &stored.slice(..stored.len() - 1)), None);
        }
    }
}
