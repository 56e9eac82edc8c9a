//! Who is connected to Mosquitto, as far as its log tells: for the registry, and as AWS's events for whoever listens.

use super::log_line::Event;
use crate::certificates::Certificates;
use crate::messaging::{Audience, Outgoing};
use crate::provisioning::Provisioning;
use crate::things::{Presence as Noted, Registry};
use fleet_protocol::names::{CertificateId, ThingName};
use fleet_protocol::presence::{DisconnectReason, Presence, PresenceEvent, connected_topic, disconnected_topic};
use jiff::Timestamp;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Clients that are remembered. More than Mosquitto is likely to have.
const REMEMBERED: usize = 200_000;

/// Who knows of devices.
#[derive(Clone)]
pub(in crate::external_broker) struct Domains {
    pub(in crate::external_broker) certificates: Arc<Certificates>,
    pub(in crate::external_broker) provisioning: Arc<Provisioning>,
    pub(in crate::external_broker) registry: Arc<Registry>,
}

/// A connection that was told of.
#[derive(Debug, Clone)]
struct Connection {
    certificate: CertificateId,
    things: Vec<ThingName>,
    number: i64,
}

pub(super) struct Attendance {
    domains: Domains,
    /// By the common name.
    connected: HashMap<String, Connection>,
    last: i64,
}

impl Attendance {
    pub(super) fn new(domains: Domains) -> Self {
        Self { domains, connected: HashMap::new(), last: 0 }
    }

    /// Notes who came or went, and gives the events to be told.
    pub(super) async fn note(&mut self, event: Event) -> Vec<Outgoing> {
        let now = Timestamp::now();
        match event {
            Event::Came { name, address } => self.came(name, address, now).await,
            Event::Went { name, reason } => self.went(&name, reason, now).await,
        }
    }

    async fn came(&mut self, name: String, address: IpAddr, now: Timestamp) -> Vec<Outgoing> {
        let Some(certificate) = self.certificate(&name, now).await else { return Vec::new() };
        if let Err(error) = self.domains.provisioning.connected(&certificate, address, now).await {
            tracing::error!(%error, %certificate, "the first connection of a device could not be noted");
        }
        let things = self.things(&certificate).await;
        self.last = now.as_millisecond().max(self.last + 1);
        let connection = Connection { certificate, things, number: self.last };
        tracing::info!(client = name, %address, "a client connected to Mosquitto");
        self.attend(&connection, now, None).await;
        let what = Presence::Connected { ip_address: address.to_string() };
        let told = tell(&connection, now, &what);
        if self.connected.len() >= REMEMBERED {
            self.connected.clear();
        }
        self.connected.insert(name, connection);
        told
    }

    async fn went(&mut self, name: &str, disconnect_reason: DisconnectReason, now: Timestamp) -> Vec<Outgoing> {
        // It may have come before this server did.
        let connection = match self.connected.remove(name) {
            Some(connection) => connection,
            None => {
                let Some(certificate) = self.certificate(name, now).await else { return Vec::new() };
                let things = self.things(&certificate).await;
                Connection { certificate, things, number: now.as_millisecond() }
            }
        };
        tracing::info!(client = name, reason = %disconnect_reason, "a client left Mosquitto");
        self.attend(&connection, now, Some(disconnect_reason)).await;
        let client_initiated_disconnect = disconnect_reason == DisconnectReason::ClientInitiatedDisconnect;
        tell(&connection, now, &Presence::Disconnected { client_initiated_disconnect, disconnect_reason })
    }

    /// The one certificate of this name that counts.
    async fn certificate(&self, name: &str, now: Timestamp) -> Option<CertificateId> {
        match self.domains.certificates.of_common_name(name, now).await.as_deref() {
            Ok([one]) => Some(one.clone()),
            Ok([]) => None,
            Ok(_) => {
                tracing::warn!(
                    client = name,
                    "several certificates have this common name: whose connection it is, is not known"
                );
                None
            }
            Err(error) => {
                tracing::error!(%error, client = name, "a client's certificate could not be looked up");
                None
            }
        }
    }

    async fn things(&self, certificate: &CertificateId) -> Vec<ThingName> {
        self.domains.certificates.things(certificate).await.unwrap_or_else(|error| {
            tracing::error!(%error, %certificate, "the things of a certificate could not be looked up");
            Vec::new()
        })
    }

    async fn attend(&self, connection: &Connection, at: Timestamp, gone: Option<DisconnectReason>) {
        let noted = |thing: &ThingName| Noted {
            thing: thing.clone(),
            connected: gone.is_none(),
            at,
            disconnect_reason: gone.map(|reason| reason.to_string()),
        };
        let all: Vec<Noted> = connection.things.iter().map(noted).collect();
        if let Err(error) = self.domains.registry.note_presence(&all).await {
            tracing::error!(%error, "who came and went could not be noted");
        }
    }
}

/// AWS's event for each thing, under its name: that is what a device calls itself.
fn tell(connection: &Connection, now: Timestamp, what: &Presence) -> Vec<Outgoing> {
    let event = |thing: &ThingName| {
        let topic = match what {
            Presence::Connected { .. } => connected_topic(thing.as_str()),
            Presence::Disconnected { .. } => disconnected_topic(thing.as_str()),
        };
        let event = PresenceEvent {
            client_id: thing.to_string(),
            timestamp: now.as_millisecond(),
            what: what.clone(),
            session_identifier: format!("{:016x}", connection.number),
            principal_identifier: connection.certificate.to_string(),
            version_number: connection.number,
        };
        let payload = serde_json::to_vec(&event).ok()?;
        Some(Outgoing { topic, payload: payload.into(), audience: Audience::Subscribers })
    };
    connection.things.iter().filter_map(event).collect()
}
