//! Writing a .deb whose bytes depend on its input alone: sorted by the caller, owned by root unless told otherwise,
//! one time for all, no host names.

use super::role::SignatureRole;
use super::{DebError, DebProblem, EntryKind, TarEntry};
use crate::openpgp::SigningKey;
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use xz2::write::XzEncoder;

/// xz's level in Debian's own builds.
const XZ_LEVEL: u32 = 6;

/// A tar in GNU's form, as dpkg-deb writes it.
pub struct TarWriter<W: Write> {
    out: tar::Builder<W>,
}

/// A [`TarWriter`] that compresses with xz. lintian in bookworm calls zstd packages malformed, so xz it is.
pub type XzTarWriter<W> = TarWriter<XzEncoder<W>>;

impl<W: Write> XzTarWriter<W> {
    /// Compresses into `out`.
    pub fn xz(out: W) -> Self {
        TarWriter { out: tar::Builder::new(XzEncoder::new(out, XZ_LEVEL)) }
    }

    /// Writes the end and gives `out` back.
    pub fn finish(self) -> io::Result<W> {
        self.out.into_inner()?.finish()
    }
}

impl<W: Write> TarWriter<W> {
    /// Adds an entry owned by `owner` (user, group); a file's content must be exactly `entry.size` bytes long.
    pub fn append(&mut self, entry: &TarEntry, owner: (&str, &str), content: &mut dyn Read) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_username(owner.0)?;
        header.set_groupname(owner.1)?;
        header.set_mtime(entry.mtime);
        header.set_size(0);
        let mut name = if entry.path.is_empty() { "./".to_owned() } else { format!("./{}", entry.path) };
        match &entry.kind {
            EntryKind::File => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(entry.size);
            }
            EntryKind::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                if !name.ends_with('/') {
                    name.push('/');
                }
            }
            EntryKind::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                self.set_link(&mut header, target)?;
            }
            EntryKind::HardLink(target) => {
                header.set_entry_type(tar::EntryType::Link);
                self.set_link(&mut header, &format!("./{target}"))?;
            }
        }
        self.set_name(&mut header, &name)?;
        header.set_cksum();
        let mut content = ExactSize { inner: content, left: header.entry_size()? };
        self.out.append(&header, &mut content)?;
        content.check_end(&entry.path)
    }

    fn set_name(&mut self, header: &mut tar::Header, name: &str) -> io::Result<()> {
        self.long_name_before(b'L', name, 100)?;
        copy_cut(&mut header.as_old_mut().name, name);
        Ok(())
    }

    fn set_link(&mut self, header: &mut tar::Header, target: &str) -> io::Result<()> {
        self.long_name_before(b'K', target, 100)?;
        copy_cut(&mut header.as_old_mut().linkname, target);
        Ok(())
    }

    /// GNU tar's `././@LongLink`: an extra entry whose content is the name that does not fit the header.
    fn long_name_before(&mut self, kind: u8, name: &str, fits: usize) -> io::Result<()> {
        if name.len() <= fits {
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
        self.out.append(&header, content.as_slice())
    }
}

fn copy_cut(field: &mut [u8], text: &str) {
    field.fill(0);
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
}

/// A reader that must give exactly as many bytes as its header promised: a file that changes while it is packed
/// is an error, never a broken archive.
struct ExactSize<'a> {
    inner: &'a mut dyn Read,
    left: u64,
}

impl Read for ExactSize<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = self.inner.read(&mut buffer[..want])?;
        if got == 0 && want > 0 {
            return Err(io::Error::other("the file became shorter while it was packed"));
        }
        self.left -= got as u64;
        Ok(got)
    }
}

impl ExactSize<'_> {
    fn check_end(&mut self, path: &str) -> io::Result<()> {
        if self.inner.read(&mut [0])? > 0 {
            return Err(io::Error::other(format!("{path} became longer while it was packed")));
        }
        Ok(())
    }
}

/// The finished parts of a package, ready to be signed and written.
pub struct DebParts<'a> {
    /// control.tar.xz
    pub control_tar_xz: &'a [u8],
    /// data.tar.xz, read from its beginning.
    pub data_tar_xz: &'a mut File,
    /// The members' time, and the signature's unless the key is younger.
    pub time: Timestamp,
}

/// A signature to put into a package.
pub struct Signature {
    pub(super) role: SignatureRole,
    pub(super) bytes: Vec<u8>,
}

/// An ar member's header as dpkg-deb writes it.
pub(super) fn member_header(name: &str, size: u64, time: Timestamp) -> ar::Header {
    let mut header = ar::Header::new(name.as_bytes().to_vec(), size);
    header.set_mode(0o100_644);
    header.set_mtime(u64::try_from(time.as_second()).unwrap_or(0));
    header
}

const DEBIAN_BINARY: &[u8] = b"2.0\n";

impl DebParts<'_> {
    /// Signs the three payload members in a role.
    pub fn sign(&mut self, role: SignatureRole, key: &SigningKey) -> Result<Signature, crate::openpgp::OpenPgpError> {
        self.data_tar_xz.seek(SeekFrom::Start(0))?;
        let payload = DEBIAN_BINARY.chain(self.control_tar_xz).chain(&mut *self.data_tar_xz);
        Ok(Signature { role, bytes: key.sign_detached(payload, self.time)? })
    }

    /// Writes the archive. `path` only names it in errors.
    pub fn write(&mut self, out: &mut impl Write, path: &Path, signatures: &[Signature]) -> Result<(), DebError> {
        self.write_members(out, signatures)
            .map_err(|error| DebError { path: path.to_owned(), problem: DebProblem::Io(error) })
    }

    fn write_members(&mut self, out: &mut impl Write, signatures: &[Signature]) -> io::Result<()> {
        let mut archive = ar::Builder::new(out);
        let header = member_header;
        archive.append(&header("debian-binary", DEBIAN_BINARY.len() as u64, self.time), DEBIAN_BINARY)?;
        archive.append(&header("control.tar.xz", self.control_tar_xz.len() as u64, self.time), self.control_tar_xz)?;
        let data_size = self.data_tar_xz.seek(SeekFrom::End(0))?;
        self.data_tar_xz.seek(SeekFrom::Start(0))?;
        archive.append(&header("data.tar.xz", data_size, self.time), &mut *self.data_tar_xz)?;
        for signature in signatures {
            let name = signature.role.member_name();
            archive.append(&header(&name, signature.bytes.len() as u64, self.time), signature.bytes.as_slice())?;
        }
        archive.into_inner()?.flush()
    }
}
