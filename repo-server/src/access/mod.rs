//! Who may do what: tokens and their roles.

mod tokens;

pub(crate) use tokens::{AccessError, Tokens};

use std::fmt;
use std::str::FromStr;

/// What a token's holder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// May do everything.
    Admin,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
        }
    }

    /// Whether packages may be published with it.
    pub(crate) fn may_publish(self) -> bool {
        match self {
            Role::Admin => true,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("the role {0:?} is not known")]
pub(crate) struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        match text {
            "admin" => Ok(Role::Admin),
            other => Err(UnknownRole(other.to_owned())),
        }
    }
}
