//! The pre-provisioning hook, with the messages that AWS IoT's has: who wants to be registered, and whether he may.

use crate::names::{CertificateId, TemplateName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the hook is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookRequest {
    /// The client certificate of the connection.
    pub claim_certificate_id: CertificateId,
    /// The device's own certificate.
    pub certificate_id: CertificateId,
    /// The same.
    pub certificate_pem: String,
    /// The template, as [`template_arn`] names it.
    pub template_arn: String,
    /// As the device calls itself; over HTTPS its claim's id.
    pub client_id: String,
    /// What the device sent.
    pub parameters: BTreeMap<String, String>,
}

/// What the hook answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookResponse {
    /// Whether the device may be registered.
    pub allow_provisioning: bool,
    /// What counts in place of what the device sent.
    #[serde(default)]
    pub parameter_overrides: BTreeMap<String, String>,
}

/// A template's name as AWS writes it, of no region and no account.
#[must_use]
pub fn template_arn(template: &TemplateName) -> String {
    format!("arn:aws:iot:::provisioningtemplate/{template}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_overrides_is_one() {
        let answer: HookResponse = serde_json::from_str(r#"{"allowProvisioning": true}"#).unwrap();
        assert!(answer.allow_provisioning && answer.parameter_overrides.is_empty());
        assert!(serde_json::from_str::<HookResponse>("{}").is_err(), "silence allows nothing");
    }
}
