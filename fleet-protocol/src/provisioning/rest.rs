//! Templates, their serial numbers and claims, as the REST API tells of them.

use crate::certificates::CertificateInfo;
use crate::names::TemplateName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// `GET` lists templates.
pub const TEMPLATES_PATH: &str = "/api/v1/provisioning/templates";

/// `POST` makes a claim; `GET /api/v1/certificates?kind=claim` lists them.
pub const CLAIMS_PATH: &str = "/api/v1/provisioning/claims";

/// Serial numbers that one request may add.
pub const MOST_SERIALS: usize = 10_000;

/// `GET`, `PUT` and `DELETE` a template.
#[must_use]
pub fn template_path(name: &TemplateName) -> String {
    format!("{TEMPLATES_PATH}/{name}")
}

/// `GET` lists a template's serial numbers, `POST` adds some.
#[must_use]
pub fn serials_path(name: &TemplateName) -> String {
    format!("{TEMPLATES_PATH}/{name}/serials")
}

/// `DELETE` takes a serial number from the list.
#[must_use]
pub fn serial_path(name: &TemplateName, serial: &str) -> String {
    format!("{TEMPLATES_PATH}/{name}/serials/{serial}")
}

/// Whether a text can be a serial number: 1 to 128 letters, digits and `._:+-`.
#[must_use]
pub fn is_serial(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._:+-".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(known)
}

/// What a template shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplateSettings {
    /// For people to read.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    pub description: String,
    /// The template itself, in AWS IoT's form: the text of a JSON object.
    #[cfg_attr(feature = "openapi", schema(max_length = 10240))]
    pub template_body: String,
    /// Whether devices are registered by it.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Who is asked before a device is registered: an `https` URL, or `http` on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "https://factory.example.org/hook"))]
    pub hook_url: Option<String>,
    /// Whether only serial numbers of its list are registered.
    #[serde(default)]
    pub listed_only: bool,
}

fn yes() -> bool {
    true
}

/// A template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TemplateInfo {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::TemplateName))]
    pub template_name: TemplateName,
    /// When it was made.
    pub creation_date: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub settings: TemplateSettings,
}

/// Some of the templates, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TemplatePage {
    /// The templates.
    pub templates: Vec<TemplateInfo>,
    /// Where the next page begins, as `?after=`; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}

/// Serial numbers to be added to a template's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSerials {
    /// Each once; those that are there stay as they are.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::SerialNumber>, max_items = 10000))]
    pub serials: Vec<String>,
}

/// How many were new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AddedSerials {
    /// So many are on the list that were not before.
    pub added: u64,
}

/// A serial number that may be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SerialInfo {
    /// As the device sends it.
    pub serial: String,
    /// When a device was registered with it; absent: not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub used_at: Option<Timestamp>,
}

/// Some of a template's serial numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SerialPage {
    /// The serial numbers.
    pub serials: Vec<SerialInfo>,
    /// Where the next page begins, as `?after=`; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}

/// A claim to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewClaim {
    /// Which devices will come with it, for people to read; also the certificate's common name.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 64, pattern = r"^[ -~]*[!-~][ -~]*$", example = "lamps, first batch")
    )]
    pub name: String,
    /// The template that devices are registered by.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::TemplateName))]
    pub template_name: TemplateName,
    /// PKCS #10, in PEM form. Only its public key counts.
    #[cfg_attr(feature = "openapi", schema(max_length = 4096))]
    pub certificate_signing_request: String,
    /// When it ends; absent: in two years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "2029-12-31T00:00:00Z"))]
    pub expires_at: Option<Timestamp>,
}

/// A new claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreatedClaim {
    /// What is known of it.
    pub certificate: CertificateInfo,
    /// The certificate itself, in PEM form.
    pub certificate_pem: String,
    /// The fleet CA's certificate, in PEM form: a device knows the server by it.
    pub ca_certificate_pem: String,
}
