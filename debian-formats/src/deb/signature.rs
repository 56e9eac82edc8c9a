//! Package signatures as debsigs makes them: an ar member `_gpg<role>` with a detached OpenPGP signature over the
//! contents of `debian-binary`, control.tar and data.tar, in this order.

use super::read::Deb;
use super::role::SignatureRole;
use super::{DebError, DebProblem};
use crate::openpgp::{Fingerprint, Keyring, OpenPgpError};
use std::ops::Deref;

/// Who signed a package in which role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The role.
    pub role: SignatureRole,
    /// The key.
    pub key: Fingerprint,
}

/// A package whose required signatures were all made by trusted keys. Only [`Deb::verify`] makes one.
#[derive(Debug)]
pub struct VerifiedDeb {
    deb: Deb,
    signers: Vec<Signer>,
}

impl VerifiedDeb {
    /// Who signed, in the order the roles were asked for.
    #[must_use]
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }
}

impl Deref for VerifiedDeb {
    type Target = Deb;
    fn deref(&self) -> &Deb {
        &self.deb
    }
}

impl Deb {
    /// Demands a signature by a trusted key in every required role. With no role required it refuses: nothing would
    /// have been verified.
    pub fn verify(self, trusted: &Keyring, required: &[SignatureRole]) -> Result<VerifiedDeb, DebError> {
        let mut signers = Vec::new();
        for role in required {
            let key = self.check_signature(trusted, role).map_err(|problem| self.error(problem))?;
            signers.push(Signer { role: role.clone(), key });
        }
        if signers.is_empty() {
            return Err(self.error(DebProblem::Unsigned(SignatureRole::origin())));
        }
        Ok(VerifiedDeb { deb: self, signers })
    }

    fn check_signature(&self, trusted: &Keyring, role: &SignatureRole) -> Result<Fingerprint, DebProblem> {
        let signature = self.signature(role)?.ok_or_else(|| DebProblem::Unsigned(role.clone()))?;
        trusted.verify_detached(&signature, self.payload()?).map_err(|cause| match cause {
            OpenPgpError::Io(error) => DebProblem::Io(error),
            cause => DebProblem::Signature { role: role.clone(), cause },
        })
    }
}
