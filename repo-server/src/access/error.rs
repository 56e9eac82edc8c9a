//! Why access could not be decided or changed.

use crate::audit::AuditError;
use crate::database;
use debian_formats::names::NameError;
use fleet_protocol::access::{UnknownAccess, UnknownRole};

/// The tables of tokens and suites could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    #[error("no random numbers for a token: {0}")]
    Random(getrandom::Error),
    #[error("access in the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("a token in the database: {0}")]
    Role(#[from] UnknownRole),
    #[error("a suite in the database: {0}")]
    Access(#[from] UnknownAccess),
    #[error("access in the database: {0}")]
    Name(#[from] NameError),
    #[error("access in the database: {0}")]
    Time(#[from] jiff::Error),
}

impl AccessError {
    /// Whether the disk was full.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Database(error) | Self::Audit(AuditError::Database(error)) => database::is_full(error),
            _ => false,
        }
    }
}
