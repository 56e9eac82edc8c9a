//! The same questions over HTTPS, for a device without MQTT.

use super::{CERTIFY, Exchange, ExchangeError, Owner, REGISTER, Registered, issued, refused, registered};
use crate::identity::files::Issued;
use crate::repository::{Credentials, Http, Remote};
use fleet_protocol::names::TemplateName;
use fleet_protocol::provisioning::messages::{CertificateRequest, RegistrationRequest};
use fleet_protocol::provisioning::{CREATE_FROM_CSR_PATH, provision_path};
use serde::Serialize;
use std::collections::BTreeMap;

/// A server that knows the claim certificate.
struct OverHttps {
    http: Http,
    template: TemplateName,
}

/// Authority and proxy are the repository's.
pub(in crate::identity) fn over_https(
    server: &str,
    remote: &Remote,
    owner: Owner<'_>,
    template: &TemplateName,
) -> Result<Box<dyn Exchange>, ExchangeError> {
    let credentials = Credentials { certificate: Some(owner.files()), ..Credentials::default() };
    let remote = Remote { base: server.to_owned(), credentials, ..remote.clone() };
    Ok(Box::new(OverHttps { http: Http::new(&remote)?, template: template.clone() }))
}

impl Exchange for OverHttps {
    fn certificate(&mut self, request: &str) -> Result<Issued, ExchangeError> {
        let question = CertificateRequest { certificate_signing_request: request.to_owned() };
        issued(&self.ask(CERTIFY, CREATE_FROM_CSR_PATH, &question)?)
    }

    fn register(&mut self, token: &str, parameters: &BTreeMap<String, String>) -> Result<Registered, ExchangeError> {
        let question =
            RegistrationRequest { certificate_ownership_token: token.to_owned(), parameters: parameters.clone() };
        registered(&self.ask(REGISTER, &provision_path(&self.template), &question)?)
    }
}

impl OverHttps {
    fn ask(&self, what: &'static str, path: &str, question: &impl Serialize) -> Result<Vec<u8>, ExchangeError> {
        let payload = serde_json::to_vec(question).map_err(|cause| ExchangeError::Answer { question: what, cause })?;
        let (is_success, answer) = self.http.post(path, &payload)?;
        if is_success { Ok(answer) } else { Err(refused(what, &answer)) }
    }
}
