//! `$aws/certificates/…` and `$aws/provisioning-templates/…`: a device asks to become a thing.

use crate::messaging::{Audience, Outgoing};
use crate::provisioning::{Provisioning, ProvisioningError, Requester};
use fleet_protocol::provisioning::messages::{CertificateRequest, Rejection};
use fleet_protocol::provisioning::topics::Topic;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is said to a request. Only whoever asked hears it: many devices may show the same claim.
pub(super) async fn answer(
    provisioning: &Provisioning,
    requester: &Requester,
    topic: &Topic,
    payload: &[u8],
) -> Vec<Outgoing> {
    let said = match topic {
        Topic::CreateFromCsr => create_from_csr(provisioning, requester, payload).await,
        Topic::Provision(template) => match read(payload) {
            Ok(request) => {
                let registered = provisioning.register(requester, template, request, Timestamp::now()).await;
                registered.and_then(|registered| write(&registered))
            }
            Err(error) => Err(error),
        },
    };
    let (topic, payload) = match said {
        Ok(payload) => (topic.accepted(), payload),
        Err(error) => (topic.rejected(), refusal(&error)),
    };
    vec![Outgoing { topic, payload: payload.into(), audience: Audience::Requester }]
}

async fn create_from_csr(
    provisioning: &Provisioning,
    requester: &Requester,
    payload: &[u8],
) -> Result<Vec<u8>, ProvisioningError> {
    let CertificateRequest { certificate_signing_request } = read(payload)?;
    write(&provisioning.create_from_csr(requester, &certificate_signing_request, Timestamp::now()).await?)
}

fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, ProvisioningError> {
    serde_json::from_slice(payload).map_err(|error| ProvisioningError::Message(error.to_string()))
}

fn write(message: &impl Serialize) -> Result<Vec<u8>, ProvisioningError> {
    serde_json::to_vec(message).map_err(|error| ProvisioningError::Message(error.to_string()))
}

fn refusal(error: &ProvisioningError) -> Vec<u8> {
    let code = error.code();
    let rejection =
        Rejection { status_code: code.status(), error_code: code.as_str().to_owned(), error_message: error.told() };
    // A structure of texts is always written.
    serde_json::to_vec(&rejection).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Actor;
    use crate::database::{self, DatabasePlace};
    use crate::provisioning::ClaimRequest;
    use fleet_protocol::names::CertificateId;
    use fleet_protocol::provisioning::rest::{NewClaim, TemplateSettings};
    use rcgen::{CertificateParams, KeyPair};
    use serde_json::{Value, json};
    use std::sync::Arc;
    use tempfile::TempDir;

    const CREATE: &str = "$aws/certificates/create-from-csr/json";
    const PROVISION: &str = "$aws/provisioning-templates/lamps/provision/json";

    fn request() -> String {
        let key = KeyPair::generate().unwrap();
        CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap()
    }

    struct Fleet {
        _folder: TempDir,
        provisioning: Arc<Provisioning>,
        claim: CertificateId,
    }

    impl Fleet {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let database = database::create(&DatabasePlace::File(folder.path().join("db"))).await.unwrap();
            let provisioning = Provisioning::for_tests(folder.path(), database).await;
            let body = json!({
                "Parameters": {"SerialNumber": {"Type": "String"}},
                "Resources": {
                    "t": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "SerialNumber"}}},
                    "c": {
                        "Type": "AWS::IoT::Certificate",
                        "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}}
                    }
                }
            });
            let settings = TemplateSettings {
                description: String::new(),
                template_body: body.to_string(),
                enabled: true,
                hook_url: None,
                listed_only: false,
            };
            let (actor, now) = (Actor::local("test"), Timestamp::now());
            provisioning.set_template(&"lamps".parse().unwrap(), &settings, actor.clone(), now).await.unwrap();
            let new = NewClaim {
                name: "batch".to_owned(),
                template_name: "lamps".parse().unwrap(),
                certificate_signing_request: request(),
                expires_at: None,
            };
            let claim = provisioning.create_claim(ClaimRequest::check(new, now).unwrap(), actor, now).await.unwrap();
            Self { _folder: folder, provisioning, claim: claim.certificate.certificate_id }
        }

        /// The one answer, and where it goes.
        async fn said(&self, certificate: &CertificateId, topic: &str, payload: &[u8]) -> (String, Value) {
            let address = [192, 0, 2, 1].into();
            let from = Requester { certificate: certificate.clone(), client_id: "a".to_owned(), address };
            let said = answer(&self.provisioning, &from, &Topic::parse(topic).unwrap(), payload).await;
            let [said] = said.try_into().unwrap();
            assert_eq!(said.audience, Audience::Requester, "others with the same claim are not told");
            let ending = said.topic.strip_prefix(topic).unwrap().to_owned();
            (ending, serde_json::from_slice(&said.payload).unwrap())
        }
    }

    #[tokio::test]
    async fn a_device_asks_and_becomes_a_thing_as_on_aws() {
        let fleet = Fleet::new().await;
        let asked = json!({"certificateSigningRequest": request()}).to_string();
        let (ending, given) = fleet.said(&fleet.claim, CREATE, asked.as_bytes()).await;
        assert_eq!(ending, "/accepted", "{given}");
        let members: Vec<&String> = given.as_object().unwrap().keys().collect();
        assert_eq!(members, ["certificateId", "certificateOwnershipToken", "certificatePem"]);
        let token = &given["certificateOwnershipToken"];
        let asked = json!({"certificateOwnershipToken": token, "parameters": {"SerialNumber": "lamp-1"}}).to_string();
        let (ending, registered) = fleet.said(&fleet.claim, PROVISION, asked.as_bytes()).await;
        assert_eq!(
            (ending.as_str(), &registered),
            ("/accepted", &json!({"deviceConfiguration": {}, "thingName": "lamp-1"}))
        );
        let (ending, replayed) = fleet.said(&fleet.claim, PROVISION, asked.as_bytes()).await;
        assert_eq!(ending, "/rejected");
        assert_eq!(
            (&replayed["statusCode"], &replayed["errorCode"]),
            (&json!(400), &json!("InvalidCertificateOwnershipToken"))
        );
        assert!(replayed["errorMessage"].is_string());
    }

    #[tokio::test]
    async fn what_is_no_question_is_rejected_with_a_reason() {
        let fleet = Fleet::new().await;
        let unknown: CertificateId = "b".repeat(64).parse().unwrap();
        let asked = json!({"certificateSigningRequest": request()}).to_string();
        for (certificate, topic, payload, code) in [
            (&fleet.claim, CREATE, &b"{"[..], "InvalidPayload"),
            (&fleet.claim, CREATE, b"\xff", "InvalidPayload"),
            (&fleet.claim, PROVISION, b"[]", "InvalidPayload"),
            (&fleet.claim, CREATE, br#"{"certificateSigningRequest": "x"}"#, "InvalidCertificateSigningRequest"),
            (&fleet.claim, PROVISION, br#"{"certificateOwnershipToken": "x"}"#, "InvalidCertificateOwnershipToken"),
            (&unknown, CREATE, asked.as_bytes(), "AccessDenied"),
        ] {
            let (ending, said) = fleet.said(certificate, topic, payload).await;
            assert_eq!((ending.as_str(), &said["errorCode"]), ("/rejected", &json!(code)), "{said}");
        }
    }
}
