//! Writing a .deb whose bytes depend on its parts alone.

use super::role::SignatureRole;
use super::{Compression, DebError, DebProblem};
use crate::openpgp::{OpenPgpError, SigningKey};
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The finished parts of a package, ready to be signed and written.
pub struct DebParts<'a> {
    /// What compressed both tars, which their names tell. dpkg-deb, too, compresses both alike.
    pub compression: Compression,
    /// control.tar, compressed.
    pub control_tar: &'a [u8],
    /// data.tar, compressed.
    pub data_tar: &'a File,
    /// The members' time, and the signature's unless the key is younger.
    pub time: Timestamp,
}

/// A signature to put into a package.
pub struct Signature {
    pub(super) role: SignatureRole,
    pub(super) bytes: Vec<u8>,
}

impl Signature {
    /// As a member of an archive that has begun.
    pub(super) fn write(&self, time: Timestamp, out: &mut impl Write) -> io::Result<()> {
        // The library writes the archive's first line before its first member; it stands there already.
        let mut archive = ar::Builder::new(Vec::new());
        let header = member_header(&self.role.member_name(), self.bytes.len() as u64, time);
        archive.append(&header, self.bytes.as_slice())?;
        let bytes = archive.into_inner()?;
        out.write_all(bytes.strip_prefix(b"!<arch>\n").unwrap_or(&bytes))
    }
}

/// An ar member's header as dpkg-deb writes it.
fn member_header(name: &str, size: u64, time: Timestamp) -> ar::Header {
    let mut header = ar::Header::new(name.as_bytes().to_vec(), size);
    header.set_mode(0o100_644);
    header.set_mtime(u64::try_from(time.as_second()).unwrap_or(0));
    header
}

const DEBIAN_BINARY: &[u8] = b"2.0\n";

impl DebParts<'_> {
    /// Writes the archive, signed by every key in its role. `path` only names it in errors. While signatures are made,
    /// `meanwhile` may do something with what is written so far.
    pub fn write<W: Write>(
        &self,
        out: &mut W,
        path: &Path,
        signers: &[(&SignatureRole, &SigningKey)],
        meanwhile: impl FnOnce(&mut W) -> io::Result<()>,
    ) -> Result<(), DebError> {
        let written = self.write_members(out, signers, meanwhile);
        written.map_err(|problem| DebError { path: path.to_owned(), problem })
    }

    /// The signatures stand behind what they sign, so both can be made at once.
    fn write_members<W: Write>(
        &self,
        out: &mut W,
        signers: &[(&SignatureRole, &SigningKey)],
        meanwhile: impl FnOnce(&mut W) -> io::Result<()>,
    ) -> Result<(), DebProblem> {
        let signatures: Vec<Signature> = std::thread::scope(|scope| {
            let signing: Vec<_> = signers.iter().map(|(role, key)| scope.spawn(|| self.sign(role, key))).collect();
            self.write_payload(out)?;
            if !signing.is_empty() {
                meanwhile(out)?;
            }
            let stopped = || io::Error::other("the thread that signs stopped; this is a bug, please report it");
            signing.into_iter().map(|thread| thread.join().map_err(|_| stopped())?).collect::<Result<_, DebProblem>>()
        })?;
        for signature in signatures {
            signature.write(self.time, out)?;
        }
        Ok(out.flush()?)
    }

    fn write_payload(&self, out: &mut impl Write) -> io::Result<()> {
        let mut archive = ar::Builder::new(out);
        let name = |stem: &str| format!("{stem}.tar.{}", self.compression.extension());
        let header = |name: &str, size| member_header(name, size, self.time);
        archive.append(&header("debian-binary", DEBIAN_BINARY.len() as u64), DEBIAN_BINARY)?;
        archive.append(&header(&name("control"), self.control_tar.len() as u64), self.control_tar)?;
        // Between two files the system copies by itself, unless it is read through a buffer of ours. This is the only
        // reader that moves the file's own position.
        let mut data = self.data_tar;
        data.rewind()?;
        archive.append(&header(&name("data"), data.metadata()?.len()), data)
    }

    /// Signs the three payload members.
    fn sign(&self, role: &SignatureRole, key: &SigningKey) -> Result<Signature, DebProblem> {
        let payload = DEBIAN_BINARY.chain(self.control_tar).chain(At { file: self.data_tar, offset: 0 });
        let bytes = key.sign_detached(payload, self.time).map_err(|cause| match cause {
            OpenPgpError::Io(error) => DebProblem::Io(error),
            cause => DebProblem::Signature { role: role.clone(), cause },
        })?;
        Ok(Signature { role: role.clone(), bytes })
    }
}

/// Reads a file at a place of its own, so that several may read it at once.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(buffer, self.offset)?;
        self.offset += got as u64;
        Ok(got)
    }
}
