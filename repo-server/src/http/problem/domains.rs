//! Which problem each domain's errors are.

use super::{Challenge, Problem};
use crate::access::{AccessError, BadToken, Forbidden};
use crate::audit::AuditError;
use crate::certificates::CertificatesError;
use crate::people::{PeopleError, SignInError};
use crate::policies::PolicyError;
use crate::provisioning::{ErrorCode, ProvisioningError};
use crate::repository::{PublishError, StoreError};
use crate::storage::StorageError;
use crate::things::RegistryError;
use axum::http::{HeaderValue, StatusCode, header};
use debian_formats::deb::DebProblem;
use debian_formats::openpgp::OpenPgpError;

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        use PublishError as E;
        let text = error.to_string();
        match error {
            error if error.is_full() => Self::disk_full(&error),
            E::UnknownSuite(_) => Self::not_found(format!("{text}; the first one of every server is `stable`")),
            E::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Package too large", text),
            E::BrokenOff(_) => Self::new(StatusCode::BAD_REQUEST, "Upload broken off", text),
            E::Conflict { .. } => Self::new(StatusCode::CONFLICT, "Version already published", text),
            E::Refused(problem) => {
                let detail = format!("{text}{}", advice(&problem));
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Package refused", detail)
            }
            E::SourceName(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Package refused", text),
            E::Store(StoreError::Raced(_)) => {
                let detail = format!("{text}, and nothing was changed; send the package again");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "Published at the same time", detail)
            }
            E::Frozen(_) => Self::new(StatusCode::CONFLICT, "Snapshot", text),
            E::SnapshotName(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "No name", text),
            E::NoSnapshot(_) => Self::new(StatusCode::CONFLICT, "No snapshot", text),
            E::NotInSuite { .. } => Self::not_found(text),
            E::ImportTar(_) => Self::new(StatusCode::BAD_REQUEST, "Import broken", text),
            E::TooManyPackages { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Import too large", text),
            E::Store(StoreError::Busy(_)) => Self::new(StatusCode::CONFLICT, "Upload in progress", text),
            E::Store(StoreError::NoteLost(_)) => {
                let detail = format!("{text}, and nothing was changed; send the package again in a while");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "Published at the same time", detail)
            }
            E::Disk(_)
            | E::Storage(_)
            | E::TooSlow(_)
            | E::Store(_)
            | E::Indexes(_)
            | E::Signing(_)
            | E::Stopped(_) => Self::internal(&error),
        }
    }
}

/// What the publisher can do about it, where the problem itself does not say.
fn advice(problem: &DebProblem) -> &'static str {
    match problem {
        DebProblem::Signature { cause: OpenPgpError::UnknownSigner { .. }, .. } => {
            " of this server; sign it with a key whose public half was given to `debfleet-server init --package-key`"
        }
        DebProblem::Signature { .. } => "; build and sign the package again",
        DebProblem::Archive(_) | DebProblem::Tar { .. } => {
            "; build the package again, or upload it again from a whole copy"
        }
        _ => "",
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        Self::internal(&error)
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        if error.is_full() { Self::disk_full(&error) } else { Self::internal(&error) }
    }
}

impl From<CertificatesError> for Problem {
    fn from(error: CertificatesError) -> Self {
        use CertificatesError as E;
        let text = error.to_string();
        match error {
            error if error.is_full() => Self::disk_full(&error),
            E::Unknown(_) => Self::not_found(text),
            E::Revoked(_) | E::Pending(_) => Self::new(StatusCode::CONFLICT, "Certificate's status", text),
            E::NotByHand(_) | E::NoCertificate | E::OtherAuthority | E::Ended(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Certificate refused", text)
            }
            E::Database(_) | E::Audit(_) | E::Word(_) | E::Name(_) | E::Time(_) => Self::internal(&error),
        }
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        use RegistryError as E;
        let text = error.to_string();
        match error {
            error if error.is_full() => Self::disk_full(&error),
            E::NoThing(_) | E::NoGroup(_) | E::NoType(_) | E::NoCertificate(_) => Self::not_found(text),
            E::ThingExists(_) | E::GroupExists(_) | E::TypeExists(_) => {
                Self::new(StatusCode::CONFLICT, "Exists already", text)
            }
            E::VersionConflict { .. } => Self::new(StatusCode::CONFLICT, "Version conflict", text),
            E::InTheWay(_) => Self::new(StatusCode::CONFLICT, "In the way", text),
            E::Impossible(_) | E::Property(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Not possible", text),
            E::Query(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Query refused", text),
            E::Random(_) | E::Database(_) | E::Audit(_) | E::Shadows(_) | E::Name(_) | E::Json(_) | E::Time(_) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<ProvisioningError> for Problem {
    fn from(error: ProvisioningError) -> Self {
        let text = error.to_string();
        match (error.code(), error) {
            (_, error) if error.is_full() => Self::disk_full(&error),
            (_, ProvisioningError::Certificates(error)) => error.into(),
            (_, ProvisioningError::Registry(error)) => error.into(),
            (_, ProvisioningError::Policies(error)) => error.into(),
            (_, ProvisioningError::TooMany(wait)) => {
                let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests", text);
                let seconds = HeaderValue::from(wait.as_secs() + 1);
                Self { header: Some((header::RETRY_AFTER, seconds)), ..problem }
            }
            (ErrorCode::InternalFailure, error) => Self::internal(&error),
            (code, _) => Self::new(status_of(code), title_of(code), text),
        }
    }
}

fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidCertificateSigningRequest
        | ErrorCode::InvalidCertificateOwnershipToken
        | ErrorCode::InvalidParameters => StatusCode::UNPROCESSABLE_ENTITY,
        code => StatusCode::from_u16(code.status()).unwrap_or(StatusCode::BAD_REQUEST),
    }
}

fn title_of(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidPayload => "Bad request",
        ErrorCode::InvalidCertificateSigningRequest => "Signing request refused",
        ErrorCode::InvalidCertificateOwnershipToken => "Token refused",
        ErrorCode::InvalidParameters => "Refused",
        ErrorCode::AccessDenied => "Not allowed",
        ErrorCode::ResourceNotFound => "Not found",
        ErrorCode::ResourceConflict => "Conflict",
        ErrorCode::TooManyRequests => "Too many requests",
        ErrorCode::InternalFailure => "Server error",
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        Self::internal(&error)
    }
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        use PolicyError as E;
        let text = error.to_string();
        match error {
            error if error.is_full() => Self::disk_full(&error),
            E::Document(_) | E::Dots(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Policy refused", text),
            E::Exists(_) | E::TooManyVersions(_) | E::InForce { .. } | E::Attached { .. } | E::Default(_) => {
                Self::new(StatusCode::CONFLICT, "Policy in the way", text)
            }
            E::TooManyAttached(_) => Self::new(StatusCode::CONFLICT, "Too many policies", text),
            E::Unknown(_)
            | E::UnknownVersion { .. }
            | E::UnknownTarget(_)
            | E::UnknownCertificate(_)
            | E::UnknownThing(_) => Self::not_found(text),
            E::NoCertificate(_) | E::SeveralCertificates(_) | E::PersonAndDevice | E::Nobody | E::NoClientId => {
                Self::untestable(&text)
            }
            E::Database(_)
            | E::Audit(_)
            | E::Name(_)
            | E::Role(_)
            | E::Time(_)
            | E::Version(_)
            | E::Attributes { .. }
            | E::Stored { .. } => Self::internal(&error),
        }
    }
}

impl From<PeopleError> for Problem {
    fn from(error: PeopleError) -> Self {
        use PeopleError as E;
        let text = error.to_string();
        match error {
            error if error.is_full() => Self::disk_full(&error),
            E::NoUser(_) | E::NoThing(_) | E::NoGroup(_) => Self::not_found(text),
            E::Exists(_) => Self::new(StatusCode::CONFLICT, "Exists already", text),
            E::InTheWay(_) => Self::new(StatusCode::CONFLICT, "In the way", text),
            E::Impossible(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Not possible", text),
            E::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "Busy", text),
            E::Hash(_)
            | E::Random(_)
            | E::Database(_)
            | E::Audit(_)
            | E::Policies(_)
            | E::Name(_)
            | E::Role(_)
            | E::Time(_)
            | E::Attributes { .. } => Self::internal(&error),
        }
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Failed(error) => error.into(),
            SignInError::WrongOldPassword => Self::forbidden(error.to_string()),
            SignInError::TooMany { wait } => Self::too_many_failures(wait, error.to_string()),
            SignInError::Wrong | SignInError::Ended | SignInError::OtherSecret(_) | SignInError::NoMqttToken => {
                Self::unauthenticated(Challenge::Bearer, error.to_string())
            }
        }
    }
}

impl From<Forbidden> for Problem {
    fn from(error: Forbidden) -> Self {
        Self::forbidden(error.to_string())
    }
}

impl From<BadToken> for Problem {
    fn from(error: BadToken) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Token refused", error.to_string())
    }
}
