//! Telling who came and who went.

use super::attendance::Change;
use super::connection::End;
use super::link::{Admitted, Link};
use super::now;
use super::shared::Core;
use super::wire::DisconnectReasonCode;
use crate::messaging::{Audience, Outgoing};
use fleet_protocol::presence::{DisconnectReason, Presence, PresenceEvent, connected_topic, disconnected_topic};
use jiff::Timestamp;

impl Core {
    pub(super) async fn tell_connected(&self, link: &Link, admitted: &Admitted) {
        let what = Presence::Connected { ip_address: link.address.to_string() };
        self.attend(link, admitted, None).await;
        self.tell(link, admitted, connected_topic(link.client_id()), what).await;
    }

    pub(super) async fn tell_disconnected(
        &self,
        link: &Link,
        admitted: &Admitted,
        disconnect_reason: DisconnectReason,
    ) {
        self.attend(link, admitted, Some(disconnect_reason)).await;
        let client_initiated_disconnect = disconnect_reason == DisconnectReason::ClientInitiatedDisconnect;
        let what = Presence::Disconnected { client_initiated_disconnect, disconnect_reason };
        self.tell(link, admitted, disconnected_topic(link.client_id()), what).await;
    }

    /// Of a client that is a thing itself, and not one of its other programs.
    async fn attend(&self, link: &Link, admitted: &Admitted, gone: Option<DisconnectReason>) {
        if let Some(thing) = admitted.identity.thing(link.client_id()) {
            let (thing, number, at) = (thing.clone(), link.number, Timestamp::now());
            self.attendance.note(Change { thing, number, at, gone }).await;
        }
    }

    async fn tell(&self, link: &Link, admitted: &Admitted, topic: String, what: Presence) {
        let event = PresenceEvent {
            client_id: link.client_id().to_owned(),
            timestamp: now(),
            what,
            session_identifier: format!("{:016x}", link.number),
            principal_identifier: admitted.identity.name(),
            version_number: link.number,
        };
        match serde_json::to_vec(&event) {
            Ok(payload) => {
                self.say(vec![Outgoing { topic, payload: payload.into(), audience: Audience::Subscribers }], None)
                    .await;
            }
            Err(error) => tracing::error!(%error, topic, "an event could not be written"),
        }
    }
}

/// Why a client is gone.
pub(super) fn disconnect_reason(end: End) -> DisconnectReason {
    let told = match end {
        // MQTT 5 §3.14.2.1: it may want its will to be published; it still left by itself.
        End::Left { .. } => return DisconnectReason::ClientInitiatedDisconnect,
        End::Lost => return DisconnectReason::ConnectionLost,
        End::Told(reason) => reason,
    };
    match told {
        DisconnectReasonCode::NotAuthorized => DisconnectReason::ForbiddenAccess,
        // A token's time is over.
        DisconnectReasonCode::AdministrativeAction | DisconnectReasonCode::MaximumConnectTime => {
            DisconnectReason::AuthError
        }
        DisconnectReasonCode::SessionTakenOver => DisconnectReason::DuplicateClientid,
        DisconnectReasonCode::QuotaExceeded => DisconnectReason::Throttled,
        DisconnectReasonCode::ServerShuttingDown => DisconnectReason::ServerInitiatedDisconnect,
        DisconnectReasonCode::KeepAliveTimeout => DisconnectReason::MqttKeepAliveTimeout,
        DisconnectReasonCode::UnspecifiedError => DisconnectReason::ServerError,
        // Whatever else it is told is a fault of its own.
        _ => DisconnectReason::ClientError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_reason() {
        let left = End::Left { with_will: true, session_expiry: None };
        assert_eq!(disconnect_reason(left), DisconnectReason::ClientInitiatedDisconnect);
        assert_eq!(disconnect_reason(End::Lost), DisconnectReason::ConnectionLost);
        for (told, reason) in [
            (DisconnectReasonCode::SessionTakenOver, DisconnectReason::DuplicateClientid),
            (DisconnectReasonCode::KeepAliveTimeout, DisconnectReason::MqttKeepAliveTimeout),
            (DisconnectReasonCode::NotAuthorized, DisconnectReason::ForbiddenAccess),
            (DisconnectReasonCode::MalformedPacket, DisconnectReason::ClientError),
            (DisconnectReasonCode::TopicAliasInvalid, DisconnectReason::ClientError),
        ] {
            assert_eq!(disconnect_reason(End::Told(told)), reason);
        }
    }
}
