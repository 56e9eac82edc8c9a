//! Size, MD5 and SHA-256 of a stream, read once.
//!
//! MD5 stands in Debian's indexes for old tools; nothing here trusts it.

use fast_md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

/// What identifies a file's content in Debian's indexes. Digests are lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksums {
    /// Length in bytes.
    pub size: u64,
    /// MD5, for tools that still print it.
    pub md5: String,
    /// SHA-256, the one that is checked.
    pub sha256: String,
}

impl Checksums {
    /// Checksums of a byte slice.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Checksums of everything a reader gives.
    pub fn of_reader(mut reader: impl Read) -> io::Result<Self> {
        let mut hasher = Hasher::default();
        io::copy(&mut reader, &mut hasher)?;
        Ok(hasher.finish())
    }
}

/// Checksums in the making; bytes may also be written to it.
#[derive(Default)]
pub struct Hasher {
    size: u64,
    md5: Md5Hasher,
    sha256: Sha256Hasher,
}

/// MD5 alone, for `md5sums`.
pub struct Md5Hasher(Md5);

impl Default for Md5Hasher {
    fn default() -> Self {
        Self(Md5::new())
    }
}

/// SHA-256 alone. A copy goes on from where the original stands.
#[derive(Debug, Clone, Default)]
pub struct Sha256Hasher(Sha256);

impl Md5Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Lower-case hex.
    #[must_use]
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

impl Sha256Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Lower-case hex.
    #[must_use]
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

impl Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.md5.update(bytes);
        self.sha256.update(bytes);
    }

    /// The checksums of all bytes added.
    #[must_use]
    pub fn finish(self) -> Checksums {
        Checksums { size: self.size, md5: self.md5.finish(), sha256: self.sha256.finish() }
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// SHA-256 of a byte slice as lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digits = b"0123456789abcdef";
    let text = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|half| char::from(digits[usize::from(half)]));
    text.collect()
}
