//! What a package's signatures are worth, one by one, and what they cover.

use super::read::Deb;
use super::role::SignatureRole;
use super::{DebError, DebProblem};
use crate::checksums::Checksums;
use crate::openpgp::{Fingerprint, Keyring, OpenPgpError, time_of_detached};
use jiff::Timestamp;

/// One signature of a package, examined.
#[derive(Debug)]
pub struct SignatureReport {
    /// The role it stands for.
    pub role: SignatureRole,
    /// The trusted key that made it, or why it does not count.
    pub outcome: Result<Fingerprint, OpenPgpError>,
    /// When it says it was made; only a good one vouches for it.
    pub made: Option<Timestamp>,
}

/// A member that every signature covers.
#[derive(Debug)]
pub struct SignedMember {
    /// Such as `data.tar.xz`.
    pub name: String,
    /// Of its content.
    pub checksums: Checksums,
}

impl SignatureReport {
    /// Whether it is wrong in itself, and not just by a key that nobody named as trusted.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        !matches!(self.outcome, Ok(_) | Err(OpenPgpError::UnknownSigner { .. }))
    }
}

impl Deb {
    /// Examines every signature that it carries, in the order of the members.
    pub fn examine_signatures(&self, trusted: &Keyring) -> Result<Vec<SignatureReport>, DebError> {
        let examine = |role: &SignatureRole| {
            let bytes = self.signature(role)?.unwrap_or_default();
            let outcome = match trusted.verify_detached(&bytes, self.payload()?) {
                Err(OpenPgpError::Io(error)) => return Err(DebProblem::Io(error)),
                outcome => outcome,
            };
            Ok(SignatureReport { role: role.clone(), outcome, made: time_of_detached(&bytes) })
        };
        self.signature_roles().map(|role| examine(role).map_err(|problem| self.error(problem))).collect()
    }

    /// The three members that signatures cover, with their checksums.
    pub fn signed_members(&self) -> Result<Vec<SignedMember>, DebError> {
        let members = self.members();
        let all = [&members.debian_binary, &members.control, &members.data];
        let read = |member| Checksums::of_reader(self.content(member)?);
        let signed = all.into_iter().map(|member| {
            let checksums = read(member).map_err(|error| self.error(DebProblem::Io(error)))?;
            Ok(SignedMember { name: member.name.clone(), checksums })
        });
        signed.collect()
    }
}
