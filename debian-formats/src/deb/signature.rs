//! Package signatures as debsigs makes them: an ar member `_gpg<role>` with a detached OpenPGP signature over the
//! contents of `debian-binary`, control.tar and data.tar, in this order.

use super::read::Deb;
use super::{DebError, DebProblem};
use crate::openpgp::{Fingerprint, Keyring, OpenPgpError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// What a signature stands for: `origin` (who built and released it), or others such as `maint`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SignatureRole(String);

/// A text that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no signature role: use at most 10 letters a-z, such as `origin` or `maint`")]
pub struct RoleError(String);

impl SignatureRole {
    /// The role that every debfleet package carries.
    #[must_use]
    pub fn origin() -> Self {
        Self("origin".into())
    }

    /// The ar member that holds this role's signature.
    #[must_use]
    pub fn member_name(&self) -> String {
        format!("_gpg{}", self.0)
    }

    pub(super) fn of_member(name: &str) -> Option<Self> {
        name.strip_prefix("_gpg")?.parse().ok()
    }
}

impl FromStr for SignatureRole {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        let fits = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase());
        if fits { Ok(Self(text.to_owned())) } else { Err(RoleError(text.chars().take(40).collect())) }
    }
}

impl TryFrom<String> for SignatureRole {
    type Error = RoleError;
    fn try_from(text: String) -> Result<Self, RoleError> {
        text.parse()
    }
}

impl From<SignatureRole> for String {
    fn from(role: SignatureRole) -> String {
        role.0
    }
}

impl fmt::Display for SignatureRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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
