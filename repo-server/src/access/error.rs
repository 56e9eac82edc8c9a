//! Why access could not be decided or changed.

use crate::audit::AuditError;
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
