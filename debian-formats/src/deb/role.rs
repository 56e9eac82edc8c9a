//! The roles in which a package is signed.

use serde::{Deserialize, Serialize};
use std::fmt;
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
