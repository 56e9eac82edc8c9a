//! Client certificates, as the REST API tells of them, with AWS IoT's words for their status.

use crate::names::{CertificateId, TemplateName, ThingName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// `GET` lists certificates, `POST` registers one.
pub const CERTIFICATES_PATH: &str = "/api/v1/certificates";

/// `GET` a certificate.
#[must_use]
pub fn certificate_path(id: &CertificateId) -> String {
    format!("{CERTIFICATES_PATH}/{id}")
}

/// `PUT` a certificate's [`StatusChange`].
#[must_use]
pub fn certificate_status_path(id: &CertificateId) -> String {
    format!("{CERTIFICATES_PATH}/{id}/status")
}

/// Whether a certificate counts, in AWS IoT's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CertificateStatus {
    /// It was made, and its device has not been registered with it.
    PendingActivation,
    /// It counts until it expires.
    Active,
    /// It does not count, and may count again.
    Inactive,
    /// It does not count, for good.
    Revoked,
}

impl CertificateStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::PendingActivation, Self::Active, Self::Inactive, Self::Revoked];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingActivation => "PENDING_ACTIVATION",
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Revoked => "REVOKED",
        }
    }
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CertificateKind {
    /// Devices come with it, and may only ask for their own certificate with it.
    Claim,
    /// One device's own.
    Device,
}

impl CertificateKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Claim, Self::Device];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Device => "device",
        }
    }
}

/// A word that names none of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not one of {known}")]
pub struct UnknownWord {
    text: String,
    known: String,
}

macro_rules! words {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                Self::ALL.into_iter().find(|word| word.as_str() == text).ok_or_else(|| UnknownWord {
                    text: text.chars().take(80).collect(),
                    known: Self::ALL.map(Self::as_str).join(", "),
                })
            }
        }
    };
}

words!(CertificateStatus);
words!(CertificateKind);

/// A certificate, without its PEM form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CertificateInfo {
    /// The SHA-256 of its DER form.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Sha256))]
    pub certificate_id: CertificateId,
    /// What a person called it; empty for those of devices.
    #[cfg_attr(feature = "openapi", schema(example = "lamps, first batch"))]
    pub name: String,
    /// What it is for.
    pub kind: CertificateKind,
    /// Whether it counts.
    pub status: CertificateStatus,
    /// Its serial number, in hex.
    #[cfg_attr(feature = "openapi", schema(example = "5b3c901f"))]
    pub serial: String,
    /// Whose it is, in its own words.
    #[cfg_attr(feature = "openapi", schema(example = "CN=lamp-1"))]
    pub subject: String,
    /// The things that it speaks for.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub things: Vec<ThingName>,
    /// The provisioning template it counts for, or came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, nullable = false))]
    pub template: Option<TemplateName>,
    /// It counts from here on.
    pub not_before: Timestamp,
    /// And until here.
    pub not_after: Timestamp,
    /// When the server came to know it.
    pub creation_date: Timestamp,
    /// When it was first shown; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub first_used_at: Option<Timestamp>,
}

/// A certificate, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CertificateDescription {
    /// What is known of it.
    #[serde(flatten)]
    pub certificate: CertificateInfo,
    /// The certificate itself, in PEM form.
    pub certificate_pem: String,
}

/// Some of the certificates, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CertificatePage {
    /// The certificates.
    pub certificates: Vec<CertificateInfo>,
    /// Where the next page begins, as `?after=`; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}

/// A status to be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusChange {
    /// `ACTIVE`, `INACTIVE` or `REVOKED`; the last is for good.
    pub status: CertificateStatus,
}

/// A certificate that was made elsewhere with the fleet CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCertificate {
    /// In PEM form.
    #[cfg_attr(feature = "openapi", schema(max_length = 16384))]
    pub certificate_pem: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_aws() {
        for status in CertificateStatus::ALL {
            assert_eq!(status.as_str().parse::<CertificateStatus>().unwrap(), status);
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for kind in CertificateKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert!("active".parse::<CertificateStatus>().unwrap_err().to_string().contains("\"active\""));
        assert_eq!("claim".parse::<CertificateKind>().unwrap(), CertificateKind::Claim);
    }
}
