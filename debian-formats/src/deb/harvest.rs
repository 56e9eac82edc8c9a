//! What is taken out of a package while it is read through: unpacking one again may take seconds on a device.

use super::members::{HEADER_BYTES, Member};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What [`super::Deb::open_and_take`] takes along.
#[derive(Debug, Default)]
pub struct Harvest<'a> {
    /// The path of one file in data.tar whose content is kept; see [`super::Deb::read_file`].
    pub file: Option<&'a str>,
    /// Where the package is written once more, its data.tar not compressed and without signatures.
    pub uncompressed: Option<Uncompressed<'a>>,
    /// Bytes of memory that data.tar may take to be unpacked faster; 0: no more than it must.
    pub memory: u64,
}

/// A copy of a package that dpkg need not unpack again. Its data.tar is the very one that was checked.
#[derive(Debug)]
pub struct Uncompressed<'a> {
    /// Where to; a file there is written over.
    pub path: &'a Path,
    /// A longer one is not made.
    pub max_bytes: u64,
}

/// A copy in the making. It is a convenience: what cannot be written, on a full disk for example, is left out.
pub(super) struct Copy {
    /// Gone once it is whole.
    path: Option<PathBuf>,
    out: BufWriter<File>,
    /// Where the size of data.tar stands.
    size_at: u64,
    written: u64,
    left: u64,
}

/// deb(5): ten columns, behind the name, time, owners and mode.
const SIZE_COLUMN: u64 = 48;
const LARGEST: u64 = 9_999_999_999;
const BUFFER: usize = 1 << 18;

impl Copy {
    /// Begins with what stands before data.tar, byte for byte. None: it cannot be written.
    pub(super) fn begin(from: &mut File, data: &Member, wanted: &Uncompressed<'_>) -> Option<Self> {
        let mut begin = || -> io::Result<Self> {
            let mut options = OpenOptions::new();
            let out = options.create(true).truncate(true).write(true).mode(0o600).open(wanted.path)?;
            let mut out = BufWriter::with_capacity(BUFFER, out);
            from.rewind()?;
            let header_at = data.offset - HEADER_BYTES;
            io::copy(&mut from.take(header_at), &mut out)?;
            from.seek(SeekFrom::Start(header_at))?;
            let mut header = [0; HEADER_BYTES as usize];
            from.read_exact(&mut header)?;
            header[..16].copy_from_slice(b"data.tar        ");
            out.write_all(&header)?;
            let left = wanted.max_bytes.min(LARGEST);
            Ok(Self { path: Some(wanted.path.to_owned()), out, size_at: header_at + SIZE_COLUMN, written: 0, left })
        };
        begin().map_err(|_| discard(wanted.path)).ok()
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = bytes.len() as u64;
        self.left = self.left.checked_sub(length).ok_or(io::ErrorKind::FileTooLarge)?;
        self.written += length;
        self.out.write_all(bytes)
    }

    /// Gives its path if it became whole.
    pub(super) fn finish(mut self) -> Option<PathBuf> {
        let size = format!("{:<10}", self.written);
        // Members begin at even bytes; a tar's length is even.
        let written = self.out.flush().and_then(|()| self.out.get_ref().write_all_at(size.as_bytes(), self.size_at));
        written.ok().and_then(|()| self.path.take())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.path.iter().for_each(|path| discard(path));
    }
}

/// Half a copy only takes room.
fn discard(path: &Path) {
    // Nobody reads it, so that it stays is no harm.
    let _ = std::fs::remove_file(path);
}

/// Reads through, and copies all that is read.
pub(super) struct Tee<'a, R> {
    pub(super) from: R,
    pub(super) copy: &'a mut Option<Copy>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.from.read(buffer)?;
        if let Some(copy) = self.copy
            && copy.add(&buffer[..got]).is_err()
        {
            *self.copy = None;
        }
        Ok(got)
    }
}
