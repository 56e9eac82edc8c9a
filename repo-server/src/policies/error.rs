//! Why policies could not be read, changed or asked.

use crate::audit::AuditError;
use crate::database;
use fleet_protocol::access::UnknownRole;
use fleet_protocol::names::{CertificateId, NameError, PolicyName, ThingName};
use fleet_protocol::policies::{MOST_POLICIES_OF_TARGET, MOST_VERSIONS, PolicyTarget};
use fleet_protocol::policy::DocumentError;

/// What was asked of the policies and not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyError {
    #[error("policies in the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("a policy in the database: {0}")]
    Name(#[from] NameError),
    #[error("a policy in the database: {0}")]
    Role(#[from] UnknownRole),
    #[error("a policy in the database: {0}")]
    Time(#[from] jiff::Error),
    #[error("the version {0} of a policy in the database cannot be")]
    Version(i64),
    #[error("the attributes of the thing {thing} in the database cannot be read: {reason}")]
    Attributes { thing: ThingName, reason: serde_json::Error },
    #[error(
        "the policy {name}, version {version}, in the database cannot be read: {reason}; write a new version of it"
    )]
    Stored { name: PolicyName, version: u32, reason: DocumentError },
    #[error("{0}")]
    Document(#[from] DocumentError),
    #[error("a policy cannot be called {0:?}, which means something else in addresses")]
    Dots(PolicyName),
    #[error(
        "there is a policy {0} with another document; make a new version of it (`debfleet policy version create {0}`)"
    )]
    Exists(PolicyName),
    #[error("there is no policy {0}; `debfleet policy list` shows them all")]
    Unknown(PolicyName),
    #[error("the policy {policy} has no version {version}; `debfleet policy show {policy}` tells which it has")]
    UnknownVersion { policy: PolicyName, version: u32 },
    #[error(
        "the policy {0} has {MOST_VERSIONS} versions already; delete one of them \
         (`debfleet policy version delete {0} VERSION`)"
    )]
    TooManyVersions(PolicyName),
    #[error("version {version} of the policy {policy} is in force; make another one the default first")]
    InForce { policy: PolicyName, version: u32 },
    #[error("the policy {policy} is attached to {target}; detach it first")]
    Attached { policy: PolicyName, target: PolicyTarget },
    #[error(
        "the policy {0} is one of those that devices come into the fleet with; make a new version of it if it shall say \
         something else"
    )]
    Default(PolicyName),
    #[error("there is no such target: {0}")]
    UnknownTarget(PolicyTarget),
    #[error("{MOST_POLICIES_OF_TARGET} policies are attached to {0} already, which is the most; put them together")]
    TooManyAttached(PolicyTarget),
    #[error("there is no certificate {0}; `debfleet certificate list` shows them all")]
    UnknownCertificate(CertificateId),
    #[error("there is no thing {0}; `debfleet thing list` shows them all")]
    UnknownThing(ThingName),
    #[error("no certificate is attached to the thing {0}, so no client connects as it")]
    NoCertificate(ThingName),
    #[error("several certificates are attached to the thing {0}; say which one")]
    SeveralCertificates(ThingName),
    #[error("a user is named and a certificate or a thing as well; name a person or a device")]
    PersonAndDevice,
    #[error("no certificate, thing or user is named; name who wants to do it")]
    Nobody,
    #[error("a certificate is named and neither a client id nor a thing; say which client id it connects with")]
    NoClientId,
}

impl PolicyError {
    /// Whether the disk was full.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Database(error) | Self::Audit(AuditError::Database(error)) => database::is_full(error),
            _ => false,
        }
    }
}
