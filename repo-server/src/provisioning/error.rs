//! Why a device, or whoever sets up provisioning, did not get what it asked for.

use crate::audit::AuditError;
use crate::certificates::CertificatesError;
use crate::database;
use crate::fleet_ca::{BadRequest, CertificateError};
use crate::policies::PolicyError;
use crate::things::RegistryError;
use fleet_protocol::names::{CertificateId, NameError, TemplateName, ThingName};
use fleet_protocol::provisioning::rest::MOST_SERIALS;
use fleet_protocol::provisioning::template::TemplateError;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ProvisioningError {
    #[error("too many requests came from this address; wait {} seconds", .0.as_secs().max(1))]
    TooMany(Duration),
    /// The message itself cannot be read.
    #[error("the message is not the JSON that this takes: {0}")]
    Message(String),
    #[error(transparent)]
    Request(#[from] BadRequest),
    #[error("the connection's certificate {0} is not known here, or does not count")]
    NotKnown(CertificateId),
    #[error("a device's own certificate needs no registration: a renewed one counts at once, and a claim begins anew")]
    NoClaim,
    #[error("the claim counts for the template {own}, not for {asked}")]
    OtherTemplate { own: String, asked: TemplateName },
    #[error("the certificate {0} speaks for no thing, so there is nothing to renew; attach it to a thing first")]
    NothingToRenew(CertificateId),
    #[error("there is no provisioning template {0}; `debfleet provisioning template list` shows them all")]
    NoTemplate(TemplateName),
    #[error(
        "the provisioning template {0} is disabled; `debfleet provisioning template set {0} --enabled true` changes that"
    )]
    Disabled(TemplateName),
    #[error("the key is one that may not be used again: its certificate {0} does not count; make a new key")]
    UsedKey(CertificateId),
    #[error("the name {0} in the request's subject is that of another device; a device is named by its template")]
    StolenName(ThingName),
    #[error(
        "the thing {thing} has another certificate, {holder}; if the device was set up anew, `debfleet certificate revoke \
         {holder}` first"
    )]
    Held { thing: ThingName, holder: CertificateId },
    #[error("the certificate {certificate} speaks for the thing {thing} already")]
    OtherThing { certificate: CertificateId, thing: ThingName },
    #[error("the thing {0} is there already, and the template says FAIL")]
    ThingExists(ThingName),
    #[error(
        "the certificate ownership token is not one that counts here: it counts once, within an hour, for the connection's \
         certificate; ask for a certificate again, with the same key"
    )]
    Token,
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("the template wants a SerialNumber that is on its list, and the device sent none")]
    NoSerial,
    #[error("the serial number {0:?} is not on the template's list")]
    UnlistedSerial(String),
    #[error("the serial number {serial:?} was registered as the thing {thing}")]
    UsedSerial { serial: String, thing: String },
    #[error("{0:?} is no serial number: 1 to 128 letters, digits and ._:+-")]
    BadSerial(String),
    #[error("at most {MOST_SERIALS} serial numbers can be added at once; send them in parts")]
    TooManySerials,
    #[error("the template's list has no serial number {0:?}")]
    NoSuchSerial(String),
    #[error("the pre-provisioning hook refused the device")]
    HookRefused,
    #[error("the pre-provisioning hook gave no answer: {0}")]
    Hook(String),
    #[error("{0:?} is no address for a hook: give an https URL, or http on this machine, without a password in it")]
    HookUrl(String),
    #[error("a description has up to 500 characters, none of them a control character")]
    Description,
    #[error("a claim's name has 1 to 64 characters of plain ASCII, none of them + # or /")]
    ClaimName,
    #[error("the claim would be over already, or in the far future: it may end within the next 20 years")]
    ClaimEnd,
    #[error("claims for the template {0} still count; revoke them first: `debfleet certificate list --kind claim`")]
    ClaimsLeft(TemplateName),
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    #[error("the fleet CA made a certificate that cannot be read")]
    Unreadable,
    #[error(transparent)]
    Issue(#[from] CertificateError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Policies(#[from] PolicyError),
    #[error("provisioning in the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("provisioning in the database: {0}")]
    Name(#[from] NameError),
    #[error("provisioning in the database: {0}")]
    Time(#[from] jiff::Error),
    #[error("no random numbers for a token: {0}")]
    Random(getrandom::Error),
}

/// What kind of error it is for a device, in AWS IoT's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    InvalidPayload,
    InvalidCertificateSigningRequest,
    InvalidCertificateOwnershipToken,
    InvalidParameters,
    AccessDenied,
    ResourceNotFound,
    ResourceConflict,
    TooManyRequests,
    InternalFailure,
}

impl ErrorCode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidPayload => "InvalidPayload",
            Self::InvalidCertificateSigningRequest => "InvalidCertificateSigningRequest",
            Self::InvalidCertificateOwnershipToken => "InvalidCertificateOwnershipToken",
            Self::InvalidParameters => "InvalidParameters",
            Self::AccessDenied => "AccessDenied",
            Self::ResourceNotFound => "ResourceNotFound",
            Self::ResourceConflict => "ResourceConflict",
            Self::TooManyRequests => "TooManyRequests",
            Self::InternalFailure => "InternalFailure",
        }
    }

    /// As HTTP has it.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::InvalidPayload
            | Self::InvalidCertificateSigningRequest
            | Self::InvalidCertificateOwnershipToken
            | Self::InvalidParameters => 400,
            Self::AccessDenied => 403,
            Self::ResourceNotFound => 404,
            Self::ResourceConflict => 409,
            Self::TooManyRequests => 429,
            Self::InternalFailure => 500,
        }
    }
}

impl ProvisioningError {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::TooMany(_) => ErrorCode::TooManyRequests,
            Self::Message(_) => ErrorCode::InvalidPayload,
            Self::Request(_) => ErrorCode::InvalidCertificateSigningRequest,
            Self::NotKnown(_)
            | Self::NoClaim
            | Self::OtherTemplate { .. }
            | Self::NothingToRenew(_)
            | Self::Disabled(_)
            | Self::UsedKey(_)
            | Self::StolenName(_)
            | Self::Held { .. }
            | Self::NoSerial
            | Self::UnlistedSerial(_)
            | Self::UsedSerial { .. }
            | Self::HookRefused => ErrorCode::AccessDenied,
            Self::Token => ErrorCode::InvalidCertificateOwnershipToken,
            Self::Template(_)
            | Self::HookUrl(_)
            | Self::Description
            | Self::BadSerial(_)
            | Self::TooManySerials
            | Self::ClaimName
            | Self::ClaimEnd => ErrorCode::InvalidParameters,
            Self::NoTemplate(_) | Self::NoSuchSerial(_) => ErrorCode::ResourceNotFound,
            Self::OtherThing { .. } | Self::ThingExists(_) | Self::ClaimsLeft(_) => ErrorCode::ResourceConflict,
            Self::Registry(error) => code_of_registry(error),
            Self::Hook(_)
            | Self::Certificates(_)
            | Self::Issue(_)
            | Self::Unreadable
            | Self::Policies(_)
            | Self::Database(_)
            | Self::Audit(_)
            | Self::Name(_)
            | Self::Time(_)
            | Self::Random(_) => ErrorCode::InternalFailure,
        }
    }

    /// Whether somebody asked for what is another's.
    pub(super) fn is_theft(&self) -> bool {
        matches!(
            self,
            Self::StolenName(_)
                | Self::Held { .. }
                | Self::OtherThing { .. }
                | Self::UsedSerial { .. }
                | Self::UsedKey(_)
        )
    }

    /// What a device is told. The server's own failures go to its log.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Hook(_) => "the pre-provisioning hook gave no answer; try again later".to_owned(),
            // Only an operator may know which certificate it is.
            Self::Held { thing, .. } => {
                format!("the thing {thing} has another certificate; an operator has to revoke that first")
            }
            error if error.code() == ErrorCode::InternalFailure => {
                "the server failed, and nothing was given; its log has the details; try again".to_owned()
            }
            error => error.to_string(),
        }
    }

    /// Whether the disk was full.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Database(error) | Self::Audit(AuditError::Database(error)) => database::is_full(error),
            Self::Certificates(error) => error.is_full(),
            Self::Registry(error) => error.is_full(),
            Self::Policies(error) => error.is_full(),
            _ => false,
        }
    }
}

fn code_of_registry(error: &RegistryError) -> ErrorCode {
    match error {
        RegistryError::NoThing(_) | RegistryError::NoGroup(_) | RegistryError::NoType(_) => ErrorCode::ResourceNotFound,
        RegistryError::ThingExists(_) | RegistryError::InTheWay(_) | RegistryError::VersionConflict { .. } => {
            ErrorCode::ResourceConflict
        }
        RegistryError::Impossible(_) | RegistryError::Property(_) => ErrorCode::InvalidParameters,
        _ => ErrorCode::InternalFailure,
    }
}
