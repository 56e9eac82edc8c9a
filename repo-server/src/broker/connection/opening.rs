//! The beginning of a connection: CONNECT, and whether the client is let in.

use super::decisions::Denied;
use super::keep_alive::{KeepAlive, imposed};
use super::publishing::LONGEST_PAYLOAD;
use super::wire_stream::{Broken, FAREWELL_TIME, Turn, WireStream};
use super::{Connection, Transport, aliases};
use crate::broker::admission::{Refusal, check_client_id};
use crate::broker::identity::{Asking, Device, Identity};
use crate::broker::link::{Admitted, Link};
use crate::broker::sessions::{Seat, Wanted};
use crate::broker::shared::Core;
use crate::broker::wire::{
    Answer, Connect, ConnectAck, ConnectAckReason, DisconnectReasonCode, LONGEST_PACKET, Packet, QoS, Will,
};
use crate::policies::Subject;
use fleet_protocol::mqtt_topic;
use fleet_protocol::policy::Action;
use jiff::Timestamp;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// For CONNECT, after the handshake of TLS.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// AWS: messages that a client may leave unacknowledged, in each direction.
const MOST_INFLIGHT: NonZeroU16 = NonZeroU16::MIN.saturating_add(99);
/// AWS: the longest time that a session outlives its connection. It is what a client of MQTT 3.1.1 gets, too.
const LONGEST_SESSION: u32 = 7 * 24 * 3600;
/// A client that takes no longer packets than this cannot be told anything.
const SHORTEST_PACKET: u32 = 64;

/// For how many seconds a session is kept that is to be kept for so many.
pub(super) fn granted(session_expiry: u32) -> i64 {
    i64::from(session_expiry.min(LONGEST_SESSION))
}

/// Why a client is not let in.
pub(super) struct NotAdmitted {
    /// None: it is not answered.
    code: Option<ConnectAckReason>,
    denied: Denied,
}

impl NotAdmitted {
    pub(super) fn new(what: &'static str, code: ConnectAckReason, why: impl ToString) -> Self {
        Self { code: Some(code), denied: Denied::new(what, why) }
    }
}

impl From<Denied> for NotAdmitted {
    fn from(denied: Denied) -> Self {
        let code = match denied.is_violation() {
            true => ConnectAckReason::NotAuthorized,
            false => ConnectAckReason::ServerUnavailable,
        };
        Self { code: Some(code), denied }
    }
}

/// Waits for CONNECT, and lets the client in if it may.
pub(in crate::broker) async fn open(
    core: &Arc<Core>,
    stream: Box<dyn Transport>,
    link: &Arc<Link>,
) -> Option<Connection> {
    let mut wire = WireStream::new(stream);
    let Some(connect) = first_packet(&mut wire, link).await else {
        // What it does not take in this time it does not get.
        let _ = timeout(FAREWELL_TIME, wire.close()).await;
        return None;
    };
    let version5 = wire.codec.is_version5();
    wire.codec.limit(connect.longest_packet.unwrap_or(u32::MAX));
    let admitted = match core.admit(&connect, link, version5).await {
        Ok(admitted) => admitted,
        Err(NotAdmitted { code, denied }) => {
            core.metrics.mqtt_refused(denied.what);
            let (client, address) = (&connect.client_id, link.address);
            let certificate = link.shown.as_ref().map_or("", |shown| shown.id.as_str());
            tracing::warn!(client, %address, certificate, why = denied.why, "refused an MQTT client");
            if let Some(reason_code) = code {
                wire.put(Answer::ConnectAck(Box::new(ConnectAck { reason_code, ..ConnectAck::default() })));
            }
            let _ = timeout(FAREWELL_TIME, wire.close()).await;
            return None;
        }
    };
    link.admit(admitted.clone());
    // A token that was revoked just before is not among those that are looked through.
    core.end_people(vec![link.clone()]).await;
    enter(core, wire, link, connect, &admitted).await
}

/// CONNECT, if it comes in time.
async fn first_packet(wire: &mut WireStream, link: &Link) -> Option<Connect> {
    let packet = tokio::select! {
        turn = timeout(CONNECT_TIME, wire.turn()) => turn,
        _ = link.until_cut() => return None,
    };
    match packet {
        Ok(Ok(Turn::Packet(Packet::Connect(connect)))) => return Some(*connect),
        Ok(Err(Broken::Malformed(reason))) => {
            tracing::debug!(address = %link.address, ?reason, "an MQTT client began with something else than CONNECT");
            wire.put_refused_version();
            let reason = ConnectAckReason::try_from(u8::from(reason)).unwrap_or(ConnectAckReason::MalformedPacket);
            wire.put(Answer::ConnectAck(Box::new(ConnectAck { reason_code: reason, ..ConnectAck::default() })));
        }
        Ok(Ok(_) | Err(Broken::Stream(_))) => {}
        Err(_) => tracing::debug!(address = %link.address, "ends an MQTT connection without CONNECT"),
    }
    None
}

/// Gives the client its seat, and tells it so.
async fn enter(
    core: &Arc<Core>,
    wire: WireStream,
    link: &Arc<Link>,
    connect: Connect,
    admitted: &Admitted,
) -> Option<Connection> {
    let version5 = admitted.version5;
    let window = connect.receive_maximum.map_or(MOST_INFLIGHT.get(), |most| most.min(MOST_INFLIGHT.get()));
    let expiry = granted(connect.session_expiry);
    let owner = admitted.identity.owner(&connect.client_id);
    let wanted = Wanted { owner, clean: connect.clean_start, expiry, window };
    link.leave_will(connect.will);
    let Seat { client, present, replaced } = match core.sessions.connect(&connect.client_id, link, wanted).await {
        Ok(seat) => seat,
        Err(error) => {
            tracing::error!(%error, client = connect.client_id, "an MQTT client could not be let in");
            return None;
        }
    };
    let mut connection = Connection {
        core: core.clone(),
        link: link.clone(),
        client,
        wire,
        aliases: aliases::Aliases::default(),
        keep_alive: KeepAlive::new(connect.keep_alive, Instant::now()),
        session_expiry: connect.session_expiry,
    };
    let server_keepalive_sec = imposed(connect.keep_alive, version5);
    if let Some(seconds) = server_keepalive_sec {
        connection.keep_alive = KeepAlive::new(seconds, Instant::now());
    }
    connection.verify(admitted).await;
    connection.wire.put(Answer::ConnectAck(Box::new(ConnectAck {
        session_present: present,
        session_expiry_interval_secs: (granted(connect.session_expiry) < i64::from(connect.session_expiry))
            .then_some(LONGEST_SESSION),
        receive_max: MOST_INFLIGHT,
        max_qos: QoS::AtLeastOnce,
        max_packet_size: Some(LONGEST_PACKET),
        topic_alias_max: aliases::MOST_ALIASES,
        shared_subscription_available: false,
        server_keepalive_sec,
        ..ConnectAck::default()
    })));
    // One that does not take it in this time gets it later, or ends.
    let _ = timeout(FAREWELL_TIME, connection.wire.flush()).await;
    connection.see_to_others(replaced, present).await;
    connection.announce(admitted).await;
    Some(connection)
}

impl Connection {
    /// Ends the connection that had the client id before, and sees to its will, or to that of one that has ended.
    async fn see_to_others(&mut self, replaced: Option<Arc<Link>>, present: bool) {
        let (core, client) = (&self.core, &self.client.id);
        let left_by_replaced = replaced.and_then(|replaced| {
            replaced.cut(DisconnectReasonCode::SessionTakenOver);
            // MQTT 5 §3.1.3.2.2: one with a delay is for a client that does not come back.
            replaced.take_will().filter(|will| will.delay == 0 || !present)
        });
        if let Some(will) = left_by_replaced {
            core.publish_will(client, will).await;
        }
        if let Some(waiting) = core.wills.take_back(client) {
            if !present {
                core.publish_will(client, waiting.will).await;
            }
            core.store.will_ended(waiting.client, waiting.due).await;
        }
    }

    async fn announce(&mut self, admitted: &Admitted) {
        let (core, link) = (&self.core, &self.link);
        let principal = admitted.identity.name();
        tracing::info!(client = %self.client.id, address = %link.address, principal, "an MQTT client connected");
        core.tell_connected(link, admitted).await;
    }

    /// A device that is told that it is connected is a verified one already, and may do what those may.
    async fn verify(&mut self, admitted: &Admitted) {
        let Identity::Device(device) = &admitted.identity else { return };
        if !device.is_new {
            return;
        }
        let (certificate, now) = (device.certificate(), Timestamp::now());
        let verified = self.core.services.provisioning.connected(certificate, self.link.address, now).await;
        if let Err(error) = verified {
            tracing::error!(%error, %certificate, "a thing was not verified by its first connection; the next one will");
        }
    }
}

impl Core {
    /// Whether a client may connect as it asks to.
    async fn admit(&self, connect: &Connect, link: &Link, version5: bool) -> Result<Admitted, NotAdmitted> {
        let unanswered = |what, why: &dyn std::fmt::Display| NotAdmitted { code: None, denied: Denied::new(what, why) };
        let Some(shown) = link.shown.clone() else { return self.admit_person(connect, link, version5).await };
        let identity = Device::of(shown, &self.certificates).await.map_err(|why| unanswered("certificate", &why))?;
        if connect.wants_method {
            let code = ConnectAckReason::BadAuthenticationMethod;
            return Err(NotAdmitted::new("method", code, "there is no authentication but by certificates"));
        }
        if connect.longest_packet.is_some_and(|longest| longest < SHORTEST_PACKET) {
            return Err(unanswered("size", &"it takes no packets of a useful length"));
        }
        let client_id = connect.client_id.as_str();
        // A device's thing is known by its certificate.
        let is_thing = match identity.thing(client_id) {
            Some(_) => true,
            None => self.is_thing(client_id).await.map_err(|error| Denied::new("failed", error))?,
        };
        check_client_id(client_id, &identity, is_thing).map_err(|why| {
            let code = match why {
                Refusal::ClientId => ConnectAckReason::ClientIdentifierNotValid,
                Refusal::OthersClientId(_) | Refusal::OthersThing | Refusal::NotOfPerson(_) => {
                    ConnectAckReason::NotAuthorized
                }
            };
            NotAdmitted::new("client-id", code, why)
        })?;
        let mut subject = Subject {
            client_id: client_id.to_owned(),
            certificate: identity.certificate().clone(),
            address: link.address,
            persistent: connect.session_expiry > 0,
            will_topic: connect.will.as_ref().map(|will| will.publish.topic.to_string()),
        };
        let asking = Asking::Device(subject.clone());
        self.may(&asking, Action::Connect, client_id).await?;
        if let Some(will) = &connect.will {
            self.admit_will(&asking, will).await?;
        }
        // They are looked at when it connects.
        (subject.persistent, subject.will_topic) = (false, None);
        if link.is_cut() {
            return Err(unanswered("certificate", &"the connection is being ended"));
        }
        Ok(Admitted { identity: Identity::Device(identity), asking: Asking::Device(subject), version5 })
    }

    /// A will is looked at when the client connects, as if it were published then.
    async fn admit_will(&self, subject: &Asking, Will { publish, .. }: &Will) -> Result<(), NotAdmitted> {
        let (topic, payload, qos) = (&*publish.topic, publish.payload.len(), publish.qos);
        mqtt_topic::check_name(topic).map_err(|why| {
            let why = format!("the will's topic {topic:?}: {why}");
            NotAdmitted::new("will", ConnectAckReason::TopicNameInvalid, why)
        })?;
        if mqtt_topic::is_reserved(topic) || payload > LONGEST_PAYLOAD || qos == QoS::ExactlyOnce {
            let why = format!("a will to {topic:?} of {payload} bytes at QoS {} is not taken", qos.value());
            let code = match qos {
                QoS::ExactlyOnce => ConnectAckReason::QosNotSupported,
                _ => ConnectAckReason::NotAuthorized,
            };
            return Err(NotAdmitted::new("will", code, why));
        }
        self.may(subject, Action::Publish, topic).await?;
        if publish.retain {
            self.may(subject, Action::RetainPublish, topic).await?;
        }
        Ok(())
    }
}
