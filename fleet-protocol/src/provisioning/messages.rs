//! What device and server say to each other, with AWS IoT's names. A message carries no client token.

use crate::names::{CertificateId, ThingName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A request for a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CertificateRequest {
    /// PKCS #10, in PEM form. Only its public key counts: P-256, P-384, or RSA from 2048 bits.
    #[cfg_attr(feature = "openapi", schema(max_length = 4096))]
    pub certificate_signing_request: String,
}

/// A new certificate, or the one that was made for this key before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CertificateResponse {
    /// What the device registers itself with: once, within an hour, with the same client certificate.
    pub certificate_ownership_token: String,
    /// The SHA-256 of the certificate's DER form.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Sha256))]
    pub certificate_id: CertificateId,
    /// The certificate. It counts once the device is registered; a renewed one at once.
    pub certificate_pem: String,
}

/// A request to be registered as a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RegistrationRequest {
    /// As the certificate came with it.
    pub certificate_ownership_token: String,
    /// What the template asks for.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

/// What the device is from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RegistrationResponse {
    /// As the template says.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub device_configuration: Map<String, Value>,
    /// Its name, which is also its client id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "lamp-1"))]
    pub thing_name: ThingName,
}

/// A refusal over MQTT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// As HTTP would have it.
    pub status_code: u16,
    /// One word.
    pub error_code: String,
    /// For people.
    pub error_message: String,
}
