//! The two questions of a provisioning, over MQTT as AWS IoT has them, or the same over HTTPS.

mod https;
mod mqtt;

pub(super) use https::over_https;
pub(super) use mqtt::{connects, over_mqtt};

use super::files::{Identity, Issued, Store};
use crate::broker::BrokerError;
use crate::repository::FetchError;
use fleet_protocol::names::ThingName;
use fleet_protocol::provisioning::messages::{CertificateResponse, RegistrationResponse, Rejection};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// Who can be asked for an identity.
pub(super) trait Exchange {
    /// A certificate for the key that signed the request; it counts for nothing until it is registered.
    fn certificate(&mut self, request: &str) -> Result<Issued, ExchangeError>;

    /// Registers the device with the certificate that the token belongs to. With the same token and parameters it may
    /// be asked again.
    fn register(&mut self, token: &str, parameters: &BTreeMap<String, String>) -> Result<Registered, ExchangeError>;
}

/// Who the device is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registered {
    pub(super) thing: ThingName,
    pub(super) configuration: Map<String, Value>,
}

/// A question without the answer that was hoped for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("could not read the claim's {what} {path}: {cause}")]
    Claim { what: &'static str, path: PathBuf, cause: io::Error },
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Server(#[from] FetchError),
    #[error("could not {question}: the server answers {code}: {reason}")]
    Refused { question: &'static str, code: String, reason: String },
    /// The ownership token does not count, or no more.
    #[error("could not {question}: {reason}")]
    Token { question: &'static str, reason: String },
    #[error("could not {question}: the answer is not understood: {cause}")]
    Answer { question: &'static str, cause: serde_json::Error },
}

const CERTIFY: &str = "ask for a certificate";
const REGISTER: &str = "register the device";

/// What AWS IoT says to a token that it does not know or that is too old.
const INVALID_TOKEN: &str = "InvalidCertificateOwnershipToken";

fn issued(answer: &[u8]) -> Result<Issued, ExchangeError> {
    let CertificateResponse { certificate_ownership_token, certificate_id, certificate_pem } = parsed(CERTIFY, answer)?;
    Ok(Issued {
        certificate: certificate_pem,
        certificate_id,
        ownership_token: certificate_ownership_token,
        at: Timestamp::now(),
    })
}

fn registered(answer: &[u8]) -> Result<Registered, ExchangeError> {
    let RegistrationResponse { device_configuration, thing_name } = parsed(REGISTER, answer)?;
    Ok(Registered { thing: thing_name, configuration: device_configuration })
}

fn refused(question: &'static str, answer: &[u8]) -> ExchangeError {
    match parsed(question, answer) {
        Ok(Rejection { error_code, error_message, .. }) if error_code == INVALID_TOKEN => {
            ExchangeError::Token { question, reason: error_message }
        }
        Ok(Rejection { error_code, error_message, .. }) => {
            ExchangeError::Refused { question, code: error_code, reason: error_message }
        }
        Err(error) => error,
    }
}

fn parsed<T: DeserializeOwned>(question: &'static str, answer: &[u8]) -> Result<T, ExchangeError> {
    serde_json::from_slice(answer).map_err(|cause| ExchangeError::Answer { question, cause })
}

/// The certificate that devices come with, and its key: files in PEM.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Whose certificate is shown.
pub(super) enum Owner<'a> {
    /// That of all devices that are to be provisioned.
    Claim(&'a Claim),
    /// The device's own, which is to be renewed.
    Device { identity: &'a Identity, store: &'a Store },
}

impl Owner<'_> {
    /// Certificate and key as they are shown.
    fn read(&self) -> Result<(String, String), ExchangeError> {
        match self {
            Self::Claim(claim) => claim.read(),
            Self::Device { identity, .. } => Ok((identity.certificate.clone(), identity.key.clone())),
        }
    }

    /// Where they lie.
    fn files(&self) -> (PathBuf, PathBuf) {
        match self {
            Self::Claim(claim) => (claim.certificate.clone(), claim.key.clone()),
            Self::Device { store, .. } => (store.certificate(), store.key()),
        }
    }
}

impl Claim {
    fn read(&self) -> Result<(String, String), ExchangeError> {
        let read = |what, path: &PathBuf| {
            let text = std::fs::read_to_string(path);
            text.map_err(|cause| ExchangeError::Claim { what, path: path.clone(), cause })
        };
        Ok((read("certificate", &self.certificate)?, read("key", &self.key)?))
    }
}
