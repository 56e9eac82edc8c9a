//! Telling who came and who went.

use super::Core;
use super::attendance::Change;
use super::link::Link;
use super::now;
use crate::messaging::{Audience, Outgoing};
use fleet_protocol::presence::{DisconnectReason, Presence, PresenceEvent, connected_topic, disconnected_topic};
use jiff::Timestamp;
use rmqtt::codec::v5::DisconnectReasonCode;
use rmqtt::types::{Disconnect, Reason};

impl Core {
    pub(super) async fn tell_connected(&self, link: &Link) {
        let what = Presence::Connected { ip_address: link.address.to_string() };
        self.attend(link, None).await;
        self.tell(link, connected_topic(link.client_id()), what).await;
    }

    pub(super) async fn tell_disconnected(&self, link: &Link, disconnect_reason: DisconnectReason) {
        self.attend(link, Some(disconnect_reason)).await;
        let client_initiated_disconnect = disconnect_reason == DisconnectReason::ClientInitiatedDisconnect;
        let what = Presence::Disconnected { client_initiated_disconnect, disconnect_reason };
        self.tell(link, disconnected_topic(link.client_id()), what).await;
    }

    /// Of a client that is a thing itself, and not one of its other programs.
    async fn attend(&self, link: &Link, gone: Option<DisconnectReason>) {
        if let Some(thing) = link.identity.thing(link.client_id()) {
            let (thing, number, at) = (thing.clone(), link.number, Timestamp::now());
            self.attendance.note(Change { thing, number, at, gone }).await;
        }
    }

    async fn tell(&self, link: &Link, topic: String, what: Presence) {
        let event = PresenceEvent {
            client_id: link.client_id().to_owned(),
            timestamp: now(),
            what,
            session_identifier: format!("{:016x}", link.number),
            principal_identifier: link.identity.certificate().to_string(),
            version_number: link.number,
        };
        match serde_json::to_vec(&event) {
            Ok(payload) => {
                self.say(Outgoing { topic, payload: payload.into(), audience: Audience::Subscribers }, None).await;
            }
            Err(error) => tracing::error!(%error, topic, "an event could not be written"),
        }
    }
}

/// Why a client is gone: what the library saw, and what it was told.
pub(super) fn disconnect_reason(seen: &Reason, told: Option<u8>) -> DisconnectReason {
    let first = match seen {
        Reason::Reasons(all) => all.first().unwrap_or(seen),
        one => one,
    };
    match first {
        Reason::ConnectDisconnect(Some(Disconnect::V3)) => return DisconnectReason::ClientInitiatedDisconnect,
        // MQTT 5 §3.14.2.1: with 4 the client wants its will to be published; it still left by itself.
        Reason::ConnectDisconnect(Some(Disconnect::V5(_))) => return DisconnectReason::ClientInitiatedDisconnect,
        _ => {}
    }
    match told.and_then(|told| DisconnectReasonCode::try_from(told).ok()) {
        Some(DisconnectReasonCode::NotAuthorized) => DisconnectReason::ForbiddenAccess,
        Some(DisconnectReasonCode::AdministrativeAction) => DisconnectReason::AuthError,
        Some(DisconnectReasonCode::SessionTakenOver) => DisconnectReason::DuplicateClientid,
        Some(DisconnectReasonCode::QuotaExceeded) => DisconnectReason::Throttled,
        Some(DisconnectReasonCode::ServerShuttingDown) => DisconnectReason::ServerInitiatedDisconnect,
        _ => match first {
            Reason::ConnectKeepaliveTimeout => DisconnectReason::MqttKeepAliveTimeout,
            Reason::ConnectKicked(_) => DisconnectReason::DuplicateClientid,
            // The library tells of packets that it cannot read by their errors' words.
            Reason::ProtocolError(_) | Reason::InflightWindowFull | Reason::MqttError(_) | Reason::Error(_) => {
                DisconnectReason::ClientError
            }
            Reason::ConnectRemoteClose | Reason::ConnectReadWriteTimeout | Reason::ConnectReadWriteError => {
                DisconnectReason::ConnectionLost
            }
            _ => DisconnectReason::ServerError,
        },
    }
}
