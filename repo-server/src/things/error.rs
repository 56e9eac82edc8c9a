//! Why the registry could not do something.

use crate::audit::AuditError;
use crate::database;
use crate::shadows::ShadowError;
use fleet_protocol::fleet_query::QueryError;
use fleet_protocol::names::{CertificateId, GroupName, NameError, ThingName, ThingTypeName};
use fleet_protocol::things::PropertyError;

/// A change or question of the registry that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("there is no thing {0}; `debfleet thing create {0}` makes it")]
    NoThing(ThingName),
    #[error("there is no thing group {0}; `debfleet group create {0}` makes it")]
    NoGroup(GroupName),
    #[error("there is no thing type {0}; `debfleet thing type create {0}` makes it")]
    NoType(ThingTypeName),
    #[error("there is no certificate {0}")]
    NoCertificate(CertificateId),
    #[error(
        "the thing {0} is there already, with another type or other attributes; `debfleet thing update` changes it"
    )]
    ThingExists(ThingName),
    #[error("the thing group {0} is there already, and is another one; `debfleet group update` changes it")]
    GroupExists(GroupName),
    #[error("the thing type {0} is there already, with other properties")]
    TypeExists(ThingTypeName),
    #[error("{what} is at version {is}, and not at {expected}: somebody else changed it; look at it and try again")]
    VersionConflict { what: String, is: u64, expected: u64 },
    /// Something stands in the way, which the text says.
    #[error("{0}")]
    InTheWay(String),
    /// What was asked for can never be, which the text says.
    #[error("{0}")]
    Impossible(String),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Property(#[from] PropertyError),
    #[error("no random numbers for an id: {0}")]
    Random(getrandom::Error),
    #[error("the registry in the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Shadows(#[from] ShadowError),
    #[error("the registry in the database: {0}")]
    Name(#[from] NameError),
    #[error("the registry in the database: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the registry in the database: {0}")]
    Time(#[from] jiff::Error),
}

impl RegistryError {
    fn of_database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database(error)
            | Self::Audit(AuditError::Database(error))
            | Self::Shadows(ShadowError::Database(error)) => Some(error),
            _ => None,
        }
    }

    /// Whether the disk was full.
    pub(crate) fn is_full(&self) -> bool {
        self.of_database().is_some_and(database::is_full)
    }

    /// Whether the connection that failed is of no more use.
    pub(super) fn spoils_connection(&self) -> bool {
        self.of_database().is_some()
    }
}
