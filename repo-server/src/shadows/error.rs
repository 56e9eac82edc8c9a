//! Why a shadow could not be read or changed.

use crate::audit::AuditError;
use crate::database;
use fleet_protocol::names::NameError;
use fleet_protocol::shadow::{Refusal, ShadowId};

/// A shadow that could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShadowError {
    /// The request cannot be carried out.
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("shadows in the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("the shadow {} in the database is not one of this version's: {source}", shadow.label())]
    Stored { shadow: ShadowId, source: serde_json::Error },
    #[error("a shadow's name in the database: {0}")]
    Name(#[from] NameError),
    #[error("a shadow's version in the database: {0}")]
    Version(#[from] std::num::TryFromIntError),
}

impl ShadowError {
    /// What the client is told: of the server's own failures no more than that there is one.
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal.clone(),
            _ => Refusal::Internal,
        }
    }

    /// Whether the disk was full.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Database(error) | Self::Audit(AuditError::Database(error)) => database::is_full(error),
            _ => false,
        }
    }
}
