//! Provisioning: from a claim certificate, which may do nothing else, to an identity of the device's own.

use super::exchange::{Claim, Exchange, ExchangeError, Owner, over_https, over_mqtt};
use super::files::{Identity, IdentityError, Issued, Store, Unfinished};
use super::steps::{Step, next};
use crate::broker::Contact;
use crate::device_key::{self, KeyError, TokenUri};
use crate::repository::Remote;
use fleet_protocol::names::TemplateName;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// What the configuration asks for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) template: TemplateName,
    pub(crate) claim: Claim,
    /// Such as `https://fleet.example.org:8443`, without a slash at its end; none: over MQTT.
    pub(crate) server: Option<String>,
    pub(crate) parameters: BTreeMap<String, Parameter>,
    /// Where the device's key is to be made; none: in a file.
    pub(crate) key: Option<TokenUri>,
}

/// What the template asks of the device, such as its serial number.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "expected a text, or { file = \"PATH\" }")]
pub(crate) enum Parameter {
    Text(String),
    /// A file's first line.
    File {
        file: PathBuf,
    },
}

/// What a provisioning rests on.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) asked: Asked,
    pub(crate) contact: Option<Contact>,
    /// How HTTPS reaches the server: authority and proxy are the repository's.
    pub(crate) remote: Remote,
    pub(crate) store: Store,
}

/// A provisioning that did not come to its end. What was reached is kept, and the next attempt goes on from there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProvisionError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("could not read {what} {path}: {cause}")]
    Read { what: &'static str, path: PathBuf, cause: io::Error },
    #[error("the configuration names neither `provisioning.server` nor `fleet.endpoint`: nobody can be asked")]
    Nobody,
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("the server does not let this provisioning come to an end; its log says why")]
    Circle,
}

/// More steps than a provisioning has, with one certificate asked for anew.
const MAX_STEPS: u32 = 8;

/// The longest value of a parameter, in bytes.
const LONGEST_PARAMETER: usize = 512;

/// Gives the device its identity; one that it has already stays.
pub(crate) fn provision(settings: &Settings) -> Result<Identity, ProvisionError> {
    let Settings { asked, store, .. } = settings;
    let _alone = store.alone()?;
    let parameters = asked.parameters.iter().map(|(name, value)| Ok((name.clone(), value.read()?)));
    let parameters = parameters.collect::<Result<BTreeMap<_, _>, ProvisionError>>()?;
    let mut exchange: Option<Box<dyn Exchange>> = None;
    for _ in 0..MAX_STEPS {
        let (identity, unfinished) = (store.identity()?, store.unfinished()?);
        let step = next(identity.as_ref(), unfinished.as_ref(), Timestamp::now());
        let exchange = match (&mut exchange, &step) {
            (_, Step::Done(identity)) => {
                store.take_on(identity)?;
                return Ok((*identity).clone());
            }
            (_, Step::MakeKey) => {
                store.keep_unfinished(&Unfinished { key: device_key::generate(asked.key.as_ref())?, issued: None })?;
                continue;
            }
            (Some(exchange), _) => exchange,
            (none, _) => none.insert(open(settings)?),
        };
        match step {
            Step::AskForCertificate { key } => {
                let issued = exchange.certificate(&device_key::request(key)?)?;
                store.keep_unfinished(&Unfinished { key: key.to_owned(), issued: Some(issued) })?;
            }
            Step::Register { key, issued } => match exchange.register(&issued.ownership_token, &parameters) {
                Ok(registered) => {
                    let Issued { certificate, .. } = issued.clone();
                    let (thing, configuration) = (registered.thing, registered.configuration);
                    store.take_on(&Identity { thing, key: key.to_owned(), certificate, configuration })?;
                }
                // It expired by the server's clock, or the server lost it: a new one is asked for.
                Err(ExchangeError::Token { reason, .. }) => {
                    tracing::info!(
                        "the server does not take the certificate's ownership token ({reason}); asking anew"
                    );
                    store.keep_unfinished(&Unfinished { key: key.to_owned(), issued: None })?;
                }
                Err(error) => return Err(error.into()),
            },
            Step::Done(_) | Step::MakeKey => {}
        }
    }
    Err(ProvisionError::Circle)
}

fn open(settings: &Settings) -> Result<Box<dyn Exchange>, ProvisionError> {
    let Settings { asked, contact, remote, .. } = settings;
    match (&asked.server, contact) {
        (Some(server), _) => Ok(over_https(server, remote, Owner::Claim(&asked.claim), &asked.template)?),
        (None, Some(contact)) => Ok(over_mqtt(contact, Owner::Claim(&asked.claim), &asked.template)?),
        (None, None) => Err(ProvisionError::Nobody),
    }
}

impl Parameter {
    fn read(&self) -> Result<String, ProvisionError> {
        let path = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::File { file } => file,
        };
        let fail = |cause| ProvisionError::Read { what: "a parameter's file", path: path.clone(), cause };
        let text = std::fs::read(path).map_err(fail)?;
        let text = String::from_utf8_lossy(text.get(..LONGEST_PARAMETER).unwrap_or(&text)).into_owned();
        let line = text.lines().next().unwrap_or_default().trim_matches(|c: char| c.is_whitespace() || c == '\0');
        if line.is_empty() { Err(fail(io::Error::other("its first line is empty"))) } else { Ok(line.to_owned()) }
    }
}
