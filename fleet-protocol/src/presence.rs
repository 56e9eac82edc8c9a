//! What is told of clients that come and go: AWS IoT's lifecycle events.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The topic of the event that a client has connected.
#[must_use]
pub fn connected_topic(client_id: &str) -> String {
    format!("$aws/events/presence/connected/{client_id}")
}

/// The topic of the event that a client has disconnected.
#[must_use]
pub fn disconnected_topic(client_id: &str) -> String {
    format!("$aws/events/presence/disconnected/{client_id}")
}

/// An event of a client's presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PresenceEvent {
    /// The client that it is about.
    pub client_id: String,
    /// When, in milliseconds since 1970.
    pub timestamp: i64,
    /// What happened, and what is known of it.
    #[serde(flatten)]
    pub what: Presence,
    /// Different for each connection.
    pub session_identifier: String,
    /// The id of the certificate that the client showed.
    pub principal_identifier: String,
    /// The same in both events of a connection, and higher in those of a later one: events may come in any order.
    pub version_number: i64,
}

/// Whether a client came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "eventType", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Presence {
    /// It connected.
    Connected {
        /// From where.
        ip_address: String,
    },
    /// It disconnected.
    Disconnected {
        /// It said so.
        client_initiated_disconnect: bool,
        /// Why.
        disconnect_reason: DisconnectReason,
    },
}

/// Why a client is not connected any more, in AWS's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DisconnectReason {
    /// It was no longer, or never, allowed to be here.
    AuthError,
    /// It sent DISCONNECT.
    ClientInitiatedDisconnect,
    /// It did something that the protocol does not allow.
    ClientError,
    /// Its connection broke.
    ConnectionLost,
    /// Another connection took its client id.
    DuplicateClientid,
    /// It asked for what it may not do.
    ForbiddenAccess,
    /// It was silent for too long.
    MqttKeepAliveTimeout,
    /// The server failed.
    ServerError,
    /// The server ended the connection, for example because it stops.
    ServerInitiatedDisconnect,
    /// It was sent more than it took.
    Throttled,
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As in the event.
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_looks_as_it_does_on_aws() {
        let event = |what| PresenceEvent {
            client_id: "lamp-1".to_owned(),
            timestamp: 1_573_002_230_757,
            what,
            session_identifier: "s".to_owned(),
            principal_identifier: "p".to_owned(),
            version_number: 7,
        };
        let connected = event(Presence::Connected { ip_address: "192.0.2.0".to_owned() });
        assert_eq!(
            serde_json::to_value(&connected).unwrap(),
            serde_json::json!({
                "clientId": "lamp-1", "timestamp": 1_573_002_230_757_i64, "eventType": "connected",
                "sessionIdentifier": "s", "principalIdentifier": "p", "ipAddress": "192.0.2.0", "versionNumber": 7,
            })
        );
        let disconnect_reason = DisconnectReason::DuplicateClientid;
        let gone = event(Presence::Disconnected { client_initiated_disconnect: false, disconnect_reason });
        let json = serde_json::to_value(&gone).unwrap();
        assert_eq!(json["eventType"], "disconnected");
        assert_eq!(json["disconnectReason"], "DUPLICATE_CLIENTID");
        assert_eq!(json["clientInitiatedDisconnect"], false);
        assert_eq!(serde_json::from_value::<PresenceEvent>(json).unwrap(), gone);
        assert_eq!(disconnect_reason.to_string(), "DUPLICATE_CLIENTID");
    }
}
