//! Adding signatures to a finished package, whoever built it.

use super::members::{HEADER_BYTES, MAX_SIGNATURES, Member, Members};
use super::read::Deb;
use super::role::SignatureRole;
use super::write::Signature;
use super::{DebError, DebProblem};
use crate::openpgp::{OpenPgpError, SigningKey};
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

impl Deb {
    /// Signs the three payload members in a role; [`Deb::write_with`] puts the signature into the package.
    pub fn sign(&self, role: SignatureRole, key: &SigningKey, time: Timestamp) -> Result<Signature, DebError> {
        let payload = self.payload().map_err(|problem| self.error(problem))?;
        let bytes = key.sign_detached(payload, time).map_err(|cause| match cause {
            OpenPgpError::Io(error) => self.error(DebProblem::Io(error)),
            cause => self.error(DebProblem::Signature { role: role.clone(), cause }),
        })?;
        Ok(Signature { role, bytes })
    }

    /// Writes the package with these signatures added, each in place of its role's old one. The payload members and
    /// the other roles' signatures are copied byte for byte, with their headers.
    pub fn write_with(&self, signatures: &[Signature], time: Timestamp, out: &mut impl Write) -> Result<(), DebError> {
        let is_replaced = |role: &SignatureRole| signatures.iter().any(|signature| signature.role == *role);
        let Members { data, signatures: present, .. } = self.members();
        let kept: Vec<&Member> = present.iter().filter(|(role, _)| !is_replaced(role)).map(|(_, it)| it).collect();
        if kept.len() + signatures.len() > MAX_SIGNATURES {
            return Err(self.error(DebProblem::TooManySignatures(present.len())));
        }
        let write = || -> io::Result<()> {
            let mut file = File::open(self.path())?;
            copy(&mut file, 0, data.offset + data.size, out)?;
            pad(data.size, out)?;
            for member in kept {
                copy(&mut file, member.offset - HEADER_BYTES, HEADER_BYTES + member.size, out)?;
                pad(member.size, out)?;
            }
            for signature in signatures {
                signature.write(time, out)?;
            }
            out.flush()
        };
        write().map_err(|error| self.error(DebProblem::Io(error)))
    }
}

fn copy(file: &mut File, from: u64, length: u64, out: &mut impl Write) -> io::Result<()> {
    file.seek(SeekFrom::Start(from))?;
    let copied = io::copy(&mut file.take(length), out)?;
    if copied == length { Ok(()) } else { Err(io::Error::other("the file became shorter while it was copied")) }
}

/// Members begin at even bytes. The file may lack the last one's padding.
fn pad(size: u64, out: &mut impl Write) -> io::Result<()> {
    if size.is_multiple_of(2) { Ok(()) } else { out.write_all(b"\n") }
}
