//! Why the certificates could not be read or changed.

use crate::audit::AuditError;
use crate::database;
use fleet_protocol::certificates::{CertificateStatus, UnknownWord};
use fleet_protocol::names::{CertificateId, NameError};

/// What was asked of the certificates and not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificatesError {
    #[error("certificates in the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("a certificate in the database: {0}")]
    Word(#[from] UnknownWord),
    #[error("a certificate in the database: {0}")]
    Name(#[from] NameError),
    #[error("a certificate in the database: {0}")]
    Time(#[from] jiff::Error),
    #[error("there is no certificate {0}; `debfleet certificate list` shows them all")]
    Unknown(CertificateId),
    #[error("the certificate {0} was revoked, which is for good; give the device a new one")]
    Revoked(CertificateId),
    #[error("a certificate cannot be made {0}: only the server does so; ACTIVE, INACTIVE and REVOKED can be asked for")]
    NotByHand(CertificateStatus),
    #[error(
        "the certificate {0} waits for its device to be registered, which makes it count; it can only be revoked until then"
    )]
    Pending(CertificateId),
    #[error("this is not one certificate in PEM form (`BEGIN CERTIFICATE`)")]
    NoCertificate,
    #[error(
        "the certificate was not issued by this fleet's CA, so no connection with it would be taken; sign it with that"
    )]
    OtherAuthority,
    #[error("the certificate ended at {0}; make one that lasts")]
    Ended(jiff::Timestamp),
}

impl CertificatesError {
    /// Whether the disk was full.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Database(error) | Self::Audit(AuditError::Database(error)) => database::is_full(error),
            _ => false,
        }
    }
}
