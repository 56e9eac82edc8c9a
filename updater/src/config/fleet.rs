//! The tables `[fleet]` and `[provisioning]`: the fleet's broker, and how the device gets its identity.

use crate::broker::{Contact, Endpoint};
use crate::device_key::WrongUri;
use crate::identity::{Asked, Claim, Parameter};
use fleet_protocol::names::{TemplateName, ThingName};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// `[fleet]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawFleet {
    endpoint: String,
    ca: Option<PathBuf>,
    alpn: Option<String>,
    #[serde(default = "default_keep_alive")]
    keep_alive: u64,
    thing: Option<ThingName>,
}

fn default_keep_alive() -> u64 {
    300
}

/// MQTT has sixteen bits for it; AWS IoT Core takes 30 seconds to 20 minutes.
const KEEP_ALIVE: std::ops::RangeInclusive<u64> = 5..=65_535;

/// `[provisioning]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawProvisioning {
    template: TemplateName,
    claim_certificate: PathBuf,
    claim_key: PathBuf,
    /// Over HTTPS, for a device without MQTT.
    server: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    /// The URI of a key on a token.
    key: Option<String>,
}

/// The fleet's broker.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    pub(super) contact: Contact,
    pub(super) thing: Option<ThingName>,
}

impl RawFleet {
    /// `ca` is that of the repository, which the same authority usually certified.
    pub(super) fn check(self, ca: Option<&PathBuf>) -> Result<Fleet, (&'static str, String)> {
        let endpoint: Endpoint =
            self.endpoint.parse().map_err(|problem: &str| ("fleet.endpoint", problem.to_owned()))?;
        if !KEEP_ALIVE.contains(&self.keep_alive) {
            let (least, most) = KEEP_ALIVE.into_inner();
            return Err(("fleet.keep-alive", format!("must be {least} to {most} seconds")));
        }
        let keep_alive = Duration::from_secs(self.keep_alive);
        let ca = self.ca.or_else(|| ca.cloned());
        Ok(Fleet { contact: Contact { endpoint, ca, alpn: self.alpn, keep_alive }, thing: self.thing })
    }
}

impl RawProvisioning {
    pub(super) fn check(self) -> Result<Asked, (&'static str, String)> {
        if self.server.as_ref().is_some_and(|server| !server.starts_with("https://")) {
            return Err(("provisioning.server", "must be a URL that begins with https://".to_owned()));
        }
        let claim = Claim { certificate: self.claim_certificate, key: self.claim_key };
        let server = self.server.map(|server| server.trim_end_matches('/').to_owned());
        let key = self.key.map(|key| key.parse()).transpose();
        let key = key.map_err(|wrong: WrongUri| ("provisioning.key", format!("cannot be used: {wrong}")))?;
        Ok(Asked { template: self.template, claim, server, parameters: self.parameters, key })
    }
}
