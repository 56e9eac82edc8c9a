//! Writing a .deb whose bytes depend on its parts alone.

use super::role::SignatureRole;
use super::{Compression, DebError, DebProblem};
use crate::openpgp::SigningKey;
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The finished parts of a package, ready to be signed and written.
pub struct DebParts<'a> {
    /// What compressed both tars, which their names tell. dpkg-deb, too, compresses both alike.
    pub compression: Compression,
    /// control.tar, compressed.
    pub control_tar: &'a [u8],
    /// data.tar, compressed; read from its beginning.
    pub data_tar: &'a mut File,
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
        self.data_tar.seek(SeekFrom::Start(0))?;
        let payload = DEBIAN_BINARY.chain(self.control_tar).chain(&mut *self.data_tar);
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
        let name = |stem: &str| format!("{stem}.tar.{}", self.compression.extension());
        archive.append(&header("debian-binary", DEBIAN_BINARY.len() as u64, self.time), DEBIAN_BINARY)?;
        archive.append(&header(&name("control"), self.control_tar.len() as u64, self.time), self.control_tar)?;
        let data_size = self.data_tar.seek(SeekFrom::End(0))?;
        self.data_tar.seek(SeekFrom::Start(0))?;
        archive.append(&header(&name("data"), data_size, self.time), &mut *self.data_tar)?;
        for signature in signatures {
            let name = signature.role.member_name();
            archive.append(&header(&name, signature.bytes.len() as u64, self.time), signature.bytes.as_slice())?;
        }
        archive.into_inner()?.flush()
    }
}
