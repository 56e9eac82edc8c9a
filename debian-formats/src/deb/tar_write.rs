//! Writing a tar whose bytes depend on its input alone: sorted by the caller, owned by whom it is told, one time for
//! all, no host names.

use super::{EntryKind, TarEntry};
use std::io::{self, Read, Write};
use std::ops::Range;

const BLOCK: u64 = 512;
/// Bytes that are read at once.
const BUFFER: usize = 1 << 17;
/// The longest name that fits a header; a longer one stands in an entry of its own.
const NAME: usize = 100;
/// Two empty blocks.
const END: u64 = 2 * BLOCK;

/// An entry that was not written.
#[derive(Debug, thiserror::Error)]
pub enum TarWriteError {
    /// Its content could not be read.
    #[error("{0}")]
    Content(io::Error),
    /// Its content is not of the length that was announced: somebody writes to it.
    #[error("it became {0} while it was packed; build when nothing writes to it")]
    Changed(&'static str),
    /// A header cannot hold it.
    #[error("{0}")]
    Header(io::Error),
    /// What it is written to failed.
    #[error("{0}")]
    Output(io::Error),
}

/// A tar in GNU's form, as dpkg-deb writes it.
pub struct TarWriter<W: Write> {
    out: tar::Builder<W>,
    buffer: Vec<u8>,
}

impl<W: Write> TarWriter<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out: tar::Builder::new(out), buffer: vec![0; BUFFER] }
    }

    /// Adds an entry owned by `owner` (user, group); a file's content must be exactly `entry.size` bytes long.
    pub fn append(
        &mut self,
        entry: &TarEntry,
        owner: (&str, &str),
        content: &mut dyn Read,
    ) -> Result<(), TarWriteError> {
        let mut header = header(entry, owner).map_err(TarWriteError::Header)?;
        if let Some(target) = link_of(entry) {
            self.long_name_before(b'K', &target)?;
            copy_cut(&mut header.as_old_mut().linkname, &target);
        }
        let name = name_of(entry);
        self.long_name_before(b'L', &name)?;
        copy_cut(&mut header.as_old_mut().name, &name);
        header.set_cksum();
        self.put(header.as_bytes())?;
        self.copy(content, content_size(entry))
    }

    /// Exactly so many bytes, and what fills up the last block: a file that changes while it is packed is an error, never
    /// a broken archive.
    fn copy(&mut self, content: &mut dyn Read, size: u64) -> Result<(), TarWriteError> {
        let mut left = size;
        while left > 0 {
            let want = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = match content.read(&mut self.buffer[..want]) {
                Ok(0) => return Err(TarWriteError::Changed("shorter")),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(TarWriteError::Content(error)),
            };
            self.out.get_mut().write_all(&self.buffer[..got]).map_err(TarWriteError::Output)?;
            left -= got as u64;
        }
        match content.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(TarWriteError::Changed("longer")),
            Err(error) => return Err(TarWriteError::Content(error)),
        }
        let filling = usize::try_from(padded(size) - size).unwrap_or_default();
        self.put(&[0; BLOCK as usize][..filling])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), TarWriteError> {
        self.out.get_mut().write_all(bytes).map_err(TarWriteError::Output)
    }

    /// Writes the end and gives what it wrote to back.
    pub fn finish(self) -> io::Result<W> {
        self.out.into_inner()
    }

    /// GNU tar's `././@LongLink`: an extra entry whose content is the name that does not fit the header.
    fn long_name_before(&mut self, kind: u8, name: &str) -> Result<(), TarWriteError> {
        if name.len() <= NAME {
            return Ok(());
        }
        let mut header = tar::Header::new_gnu();
        copy_cut(&mut header.as_old_mut().name, "././@LongLink");
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(name.len() as u64 + 1);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_cksum();
        let content = [name.as_bytes(), b"\0"].concat();
        self.out.append(&header, content.as_slice()).map_err(TarWriteError::Output)
    }
}

/// The length of a tar of these entries, to the byte.
pub fn tar_size<'a>(entries: impl IntoIterator<Item = &'a TarEntry>) -> u64 {
    entries.into_iter().map(size_of).fold(END, u64::saturating_add)
}

/// Where the content of each file among these entries stands in their tar.
pub fn tar_contents<'a>(entries: impl IntoIterator<Item = &'a TarEntry>) -> Vec<Range<u64>> {
    let mut end = 0u64;
    let place = |entry: &TarEntry| {
        end = end.saturating_add(size_of(entry));
        let start = end - padded(content_size(entry));
        (entry.kind == EntryKind::File).then(|| start..start + entry.size)
    };
    entries.into_iter().filter_map(place).collect()
}

/// An entry with all that stands before and behind its content.
fn size_of(entry: &TarEntry) -> u64 {
    let long = |name: String| if name.len() > NAME { BLOCK + padded(name.len() as u64 + 1) } else { 0 };
    let names = long(name_of(entry)) + link_of(entry).map_or(0, long);
    padded(content_size(entry)).saturating_add(names + BLOCK)
}

fn padded(size: u64) -> u64 {
    size.div_ceil(BLOCK).saturating_mul(BLOCK)
}

/// All of a header but its names and its checksum.
fn header(entry: &TarEntry, owner: (&str, &str)) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(match &entry.kind {
        EntryKind::File => tar::EntryType::Regular,
        EntryKind::Directory => tar::EntryType::Directory,
        EntryKind::Symlink(_) => tar::EntryType::Symlink,
        EntryKind::HardLink(_) => tar::EntryType::Link,
    });
    header.set_mode(entry.mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username(owner.0)?;
    header.set_groupname(owner.1)?;
    header.set_mtime(entry.mtime);
    header.set_size(content_size(entry));
    Ok(header)
}

/// As dpkg-deb names it: `./` before it, and `/` behind a folder.
fn name_of(entry: &TarEntry) -> String {
    match entry.kind {
        _ if entry.path.is_empty() => "./".to_owned(),
        EntryKind::Directory => format!("./{}/", entry.path),
        _ => format!("./{}", entry.path),
    }
}

fn link_of(entry: &TarEntry) -> Option<String> {
    match &entry.kind {
        EntryKind::Symlink(target) => Some(target.clone()),
        EntryKind::HardLink(target) => Some(format!("./{target}")),
        EntryKind::File | EntryKind::Directory => None,
    }
}

fn content_size(entry: &TarEntry) -> u64 {
    if entry.kind == EntryKind::File { entry.size } else { 0 }
}

fn copy_cut(field: &mut [u8], text: &str) {
    field.fill(0);
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: EntryKind, size: u64) -> TarEntry {
        TarEntry { path: path.to_owned(), kind, mode: 0o644, size, mtime: 1_700_000_000 }
    }

    fn write(entries: &[TarEntry], content: &[u8]) -> Result<Vec<u8>, TarWriteError> {
        let mut tar = TarWriter::new(Vec::new());
        for entry in entries {
            let mut content = if entry.kind == EntryKind::File { content } else { &[] };
            tar.append(entry, ("root", "root"), &mut content)?;
        }
        tar.finish().map_err(TarWriteError::Output)
    }

    #[test]
    fn sizes_and_places_are_known_before_writing() {
        let long = |length: usize| "n".repeat(length);
        let names = [3, 97, 98, 99, 100, 101, 510, 511, 512, 600, 2000];
        for (names, size) in names.iter().flat_map(|name| [0, 1, 511, 512, 513, 70_000].map(|size| (*name, size))) {
            let entries = [
                entry("", EntryKind::Directory, 0),
                entry(&long(names), EntryKind::File, size),
                entry(&long(names), EntryKind::Directory, 0),
                entry(&long(names), EntryKind::Symlink(long(names)), 0),
                entry(&long(names), EntryKind::HardLink(long(names)), 0),
            ];
            let content = vec![b'x'; usize::try_from(size).unwrap()];
            let tar = write(&entries, &content).unwrap();
            assert_eq!(tar.len() as u64, tar_size(&entries), "{names} {size}");
            let places = tar_contents(&entries);
            let place = |range: &Range<u64>| &tar[range.start as usize..range.end as usize];
            assert_eq!(places.iter().map(place).collect::<Vec<_>>(), [content], "{names} {size}");
        }
    }

    #[test]
    fn a_content_of_another_length_is_an_error() {
        let file = [entry("a", EntryKind::File, 10_000)];
        for (length, how) in [(9_999, "shorter"), (10_001, "longer"), (0, "shorter")] {
            let error = write(&file, &vec![0; length]).unwrap_err();
            assert!(matches!(error, TarWriteError::Changed(found) if found == how), "{length}: {error}");
        }
        assert!(write(&file, &[0; 10_000]).is_ok());
    }

    #[test]
    fn what_fails_is_told_apart() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("cannot be read"))
            }
        }
        let file = entry("a", EntryKind::File, 1);
        let mut tar = TarWriter::new(Vec::new());
        let error = tar.append(&file, ("root", "root"), &mut Broken).unwrap_err();
        assert!(matches!(error, TarWriteError::Content(_)), "{error}");
        let mut small = [0; 100];
        let mut tar = TarWriter::new(small.as_mut_slice());
        let error = tar.append(&file, ("root", "root"), &mut &b"x"[..]).unwrap_err();
        assert!(matches!(error, TarWriteError::Output(_)), "{error}");
        let owner = "o".repeat(40);
        let error = TarWriter::new(Vec::new()).append(&file, (&owner, "root"), &mut &b"x"[..]).unwrap_err();
        assert!(matches!(error, TarWriteError::Header(_)), "{error}");
    }
}
