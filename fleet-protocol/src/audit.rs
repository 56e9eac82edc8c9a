//! The audit log, as the REST API tells it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// `GET` reads the audit log, the newest entry first; `?limit=` and `?before=` page through it.
pub const AUDIT_PATH: &str = "/api/v1/audit";

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was made.
    Done,
    /// It was asked for by somebody known, and not made.
    Refused,
}

impl Outcome {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no outcome {0:?}")]
pub struct UnknownOutcome(String);

impl FromStr for Outcome {
    type Err = UnknownOutcome;

    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        [Self::Done, Self::Refused]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or_else(|| UnknownOutcome(text.to_owned()))
    }
}

/// One change: who, when, what, from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct AuditEntry {
    /// Where it stands in the log; `?before=` takes it.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]+$", example = "00064a7c1f5d9e20a1b2c3d4"))]
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who, by the name that the token had then.
    #[cfg_attr(feature = "openapi", schema(example = "ci"))]
    pub actor: String,
    /// The id of the actor's token; absent for whoever worked on the server itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::TokenId>, nullable = false))]
    pub token: Option<String>,
    /// What was done, such as `package.publish`.
    #[cfg_attr(feature = "openapi", schema(example = "package.publish"))]
    pub action: String,
    /// To what, such as a suite's name.
    #[cfg_attr(feature = "openapi", schema(example = "stable"))]
    pub subject: String,
    /// More about it; may be empty.
    #[cfg_attr(feature = "openapi", schema(example = "hi 1.3.0-1 (amd64)"))]
    pub detail: String,
    /// From where: an IP address, or `local`.
    #[cfg_attr(feature = "openapi", schema(example = "192.0.2.7"))]
    pub remote_address: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// Some of the log, the newest entry first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins, as `?before=`; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}
