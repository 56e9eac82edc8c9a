//! A file as `.changes` and `.buildinfo` list it: its name, and its checksums in the three kinds that both demand.

use crate::checksums::{Checksums, Hasher, hex};
use sha1::{Digest, Sha1};
use std::io::{self, Read, Write};

/// One file of an upload. MD5 and SHA-1 stand there because the formats demand them; nothing here trusts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// Its name, without a folder.
    pub name: String,
    /// Length, MD5 and SHA-256.
    pub checksums: Checksums,
    /// Lower-case hex.
    pub sha1: String,
}

impl ListedFile {
    /// Reads a file once, from where the reader stands.
    pub fn of_reader(name: &str, mut reader: impl Read) -> io::Result<Self> {
        let mut both = Both { common: Hasher::default(), sha1: Sha1::default() };
        io::copy(&mut reader, &mut both)?;
        Ok(Self { name: name.to_owned(), checksums: both.common.finish(), sha1: hex(&both.sha1.finalize()) })
    }
}

struct Both {
    common: Hasher,
    sha1: Sha1,
}

impl Write for Both {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.common.update(bytes);
        self.sha1.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A multiline field: nothing on its first line, then one line for each item (deb-changes(5), Files).
pub(crate) fn multiline<T>(items: &[T], line: impl Fn(&T) -> String) -> String {
    items.iter().map(|item| format!("\n{}", line(item))).collect()
}

/// Items on one line, sorted, each once.
pub(crate) fn word_list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let sorted: std::collections::BTreeSet<&str> = words.collect();
    sorted.into_iter().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_digests_are_those_of_the_standards() {
        // The test vectors of RFC 1321, RFC 3174 and FIPS 180 for "abc".
        let file = ListedFile::of_reader("abc", &b"abc"[..]).unwrap();
        assert_eq!(file.checksums.size, 3);
        assert_eq!(file.checksums.md5, "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(file.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(file.checksums.sha256.starts_with("ba7816bf"));
    }
}
