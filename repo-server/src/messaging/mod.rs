//! What the fleet's MQTT messages are to the rest of the server, whichever broker carries them.

use bytes::Bytes;
use fleet_protocol::names::{CertificateId, UserName};
use std::net::IpAddr;

/// The client that published a message, as its connection proved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) client_id: String,
    pub(crate) principal: Principal,
    pub(crate) address: IpAddr,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Principal {
    /// Whoever has this certificate.
    Device(CertificateId),
    /// Whoever has this token, which the server made for this user.
    Person { user: UserName, token: String },
}

/// A message that the server itself publishes, at QoS 1 and not retained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) audience: Audience,
}

/// Who gets a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Only the client that asked, if it subscribed to the topic: the topic may be one that many listen to.
    Requester,
    /// Whoever subscribed.
    Subscribers,
}

/// What becomes of a client of MQTT 5 that asks for what it may not do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Violations {
    /// It is disconnected, as on AWS. One of MQTT 3.1.1 always is: it could not be told otherwise.
    #[default]
    Disconnect,
    /// It is refused with a reason code.
    ReasonCode,
}

/// Where messages go that do not answer a client's message: a change over REST is told over MQTT, too.
pub(crate) trait Outbox: Send + Sync {
    /// Sends it, in the order of the calls. A message without an asking client goes to the subscribers.
    fn send(&self, message: Outgoing);
}

/// Of a server without a broker: nobody can have subscribed.
pub(crate) struct Nowhere;

impl Outbox for Nowhere {
    fn send(&self, _message: Outgoing) {}
}
