//! Why something about people could not be done.

use crate::audit::AuditError;
use crate::database;
use crate::policies::PolicyError;
use fleet_protocol::access::UnknownRole;
use fleet_protocol::names::{GroupName, NameError, ThingName, UserName};
use std::time::Duration;

/// A change or question about people that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeopleError {
    #[error("there is no user {0}; `debfleet user list` shows them all")]
    NoUser(UserName),
    #[error("there is a user {0} already; `debfleet user update` changes them")]
    Exists(UserName),
    #[error("there is no thing {0}; `debfleet thing list` shows them all")]
    NoThing(ThingName),
    #[error("there is no thing group {0}; `debfleet group list` shows them all")]
    NoGroup(GroupName),
    /// Something stands in the way, which the text says.
    #[error("{0}")]
    InTheWay(String),
    /// What was asked for can never be, which the text says.
    #[error("{0}")]
    Impossible(String),
    #[error("too many people sign in at once; try again in a moment")]
    Busy,
    #[error("a password could not be hashed: {0}")]
    Hash(String),
    #[error("no random numbers for a secret: {0}")]
    Random(getrandom::Error),
    #[error("people in the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Policies(#[from] PolicyError),
    #[error("a user in the database: {0}")]
    Name(#[from] NameError),
    #[error("a user in the database: {0}")]
    Role(#[from] UnknownRole),
    #[error("people in the database: {0}")]
    Time(#[from] jiff::Error),
    #[error("the attributes of the thing {thing} in the database cannot be read: {reason}")]
    Attributes { thing: ThingName, reason: serde_json::Error },
}

impl PeopleError {
    /// Whether the disk was full.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Database(error) | Self::Audit(AuditError::Database(error)) => database::is_full(error),
            Self::Policies(error) => error.is_full(),
            _ => false,
        }
    }
}

/// Why somebody is not signed in, or not any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// It is not said which of them is wrong.
    #[error("the user name or the password is wrong, or the user may not sign in; an admin can help (`debfleet user`)")]
    Wrong,
    #[error("too many wrong passwords came from this address; wait {} seconds", .wait.as_secs().max(1))]
    TooMany { wait: Duration },
    #[error("the old password is wrong, so the new one was not set")]
    WrongOldPassword,
    #[error("the session is unknown, or has ended; sign in again (POST /api/v1/sessions)")]
    Ended,
    #[error("this takes a session, which signing in gives (POST /api/v1/sessions), and {0} was sent")]
    OtherSecret(&'static str),
    #[error("the token is unknown, or has ended, or is none for MQTT")]
    NoMqttToken,
    #[error(transparent)]
    Failed(#[from] PeopleError),
}
