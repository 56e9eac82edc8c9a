//! Who may do what, as the REST API tells it: tokens, their roles, and who may read a suite.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// `GET` lists tokens, `POST` makes one.
pub const TOKENS_PATH: &str = "/api/v1/tokens";

/// `DELETE` revokes the token of this id.
#[must_use]
pub fn token_path(id: &str) -> String {
    format!("{TOKENS_PATH}/{id}")
}

/// `GET` and `PUT` a suite's [`SuiteAccess`].
#[must_use]
pub fn suite_access_path(suite: &str) -> String {
    format!("/api/v1/suites/{suite}/access")
}

/// What a token's holder is. Each may do what those below it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// May read, also the suites that are only for devices. A device's password is such a token.
    Viewer,
    /// May publish packages, in all suites or in those that its token names.
    Publisher,
    /// May change suites and who reads them, and read the audit log.
    Operator,
    /// May do everything, also make and revoke tokens.
    Admin,
}

impl Role {
    /// All of them, the mightiest first.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Operator, Self::Publisher, Self::Viewer];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Publisher => "publisher",
            Self::Viewer => "viewer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no role {0:?}; the roles are admin, operator, publisher and viewer")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// What a new token shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewToken {
    /// Who or what will hold it, for people to read.
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 64,
            pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
            example = "ci"
        )
    )]
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The only suites that a publisher or viewer may publish in or read; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<crate::openapi::SuiteName>>, min_items = 1, max_items = 64))]
    pub suites: Option<Vec<String>>,
    /// When it ends; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "2027-12-31T00:00:00Z"))]
    pub expires_at: Option<Timestamp>,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct TokenInfo {
    /// What it is revoked by.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::TokenId))]
    pub id: String,
    /// Who or what holds it.
    #[cfg_attr(feature = "openapi", schema(example = "ci"))]
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The only suites it counts for; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<crate::openapi::SuiteName>>, nullable = false))]
    pub suites: Option<Vec<String>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, give or take an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub last_used_at: Option<Timestamp>,
}

/// The answer to a token's creation, the only one that holds the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct CreatedToken {
    /// The token.
    #[serde(flatten)]
    pub token: TokenInfo,
    /// What its holder sends.
    #[cfg_attr(feature = "openapi", schema(example = "dft_…"))]
    pub secret: String,
}

/// Some of the tokens, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct TokenPage {
    /// The tokens.
    pub tokens: Vec<TokenInfo>,
    /// Where the next page begins, as `?after=`; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}

/// Who may read a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ReadAccess {
    /// Everybody.
    Public,
    /// Whoever shows a client certificate of the fleet CA, or a token that counts for the suite.
    Devices,
}

impl ReadAccess {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Public, Self::Devices];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Devices => "devices",
        }
    }
}

impl fmt::Display for ReadAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no access.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no access {0:?}; a suite is public or devices")]
pub struct UnknownAccess(String);

impl FromStr for ReadAccess {
    type Err = UnknownAccess;

    fn from_str(text: &str) -> Result<Self, UnknownAccess> {
        Self::ALL.into_iter().find(|access| access.as_str() == text).ok_or_else(|| UnknownAccess(text.to_owned()))
    }
}

/// A suite's access, asked for or set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SuiteAccess {
    /// Who may read it.
    pub access: ReadAccess,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        for access in ReadAccess::ALL {
            assert_eq!(serde_json::to_string(&access).unwrap(), format!("\"{access}\""));
            assert_eq!(access.as_str().parse(), Ok(access));
        }
    }

    #[test]
    fn a_misspelt_limit_is_refused_and_not_ignored() {
        let parse = |text: &str| serde_json::from_str::<NewToken>(text);
        assert!(parse(r#"{"name":"ci","role":"publisher","suite":["stable"]}"#).is_err());
        assert!(parse(r#"{"name":"ci","role":"root"}"#).is_err());
        assert_eq!(parse(r#"{"name":"ci","role":"viewer"}"#).unwrap().suites, None);
    }
}
