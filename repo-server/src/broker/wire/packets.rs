//! The packets after CONNECT, in both versions.

use super::connect::{self, Connect};
use super::{
    ConnectAckReason, DisconnectReasonCode, Malformed, Publish, PublishAckReason, QoS, SubscribeAckReason,
    UnsubscribeAckReason,
};
use rmqtt_codec::{v3, v5};
use serde::{Deserialize, Serialize};
use std::num::{NonZeroU16, NonZeroU32};

/// What clients send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::broker) enum Packet {
    Connect(Box<Connect>),
    Publish(Box<Publish>),
    PublishAck(NonZeroU16),
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Ping,
    Disconnect(Disconnect),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::broker) struct Subscribe {
    pub(in crate::broker) packet_id: NonZeroU16,
    pub(in crate::broker) filters: Vec<(String, Subscription, RetainHandling)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::broker) struct Unsubscribe {
    pub(in crate::broker) packet_id: NonZeroU16,
    pub(in crate::broker) filters: Vec<String>,
}

/// How messages are sent that a filter matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::broker) struct Subscription {
    pub(in crate::broker) at_least_once: bool,
    /// Not those that the client itself published.
    pub(in crate::broker) no_local: bool,
    pub(in crate::broker) retain_as_published: bool,
    pub(in crate::broker) identifier: Option<NonZeroU32>,
}

/// When a subscription has retained messages sent (MQTT 5 §3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum RetainHandling {
    Always,
    WhenNew,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) struct Disconnect {
    pub(in crate::broker) with_will: bool,
    pub(in crate::broker) session_expiry: Option<u32>,
}

/// What the server sends.
#[derive(Debug, Clone)]
pub(in crate::broker) enum Answer {
    ConnectAck(Box<v5::ConnectAck>),
    Publish(Box<Publish>),
    PublishAck { packet_id: NonZeroU16, reason: PublishAckReason, text: Option<String> },
    SubscribeAck { packet_id: NonZeroU16, reasons: Vec<SubscribeAckReason> },
    UnsubscribeAck { packet_id: NonZeroU16, reasons: Vec<UnsubscribeAckReason> },
    Pong,
    Disconnect(DisconnectReasonCode),
}

const PROTOCOL_ERROR: Malformed = Malformed(DisconnectReasonCode::ProtocolError);

pub(super) fn of_v3(packet: v3::Packet) -> Result<Packet, Malformed> {
    Ok(match packet {
        v3::Packet::Connect(connect) => Packet::Connect(Box::new(connect::of_v3(*connect))),
        v3::Packet::Publish(publish) => Packet::Publish(checked(publish)?),
        v3::Packet::PublishAck { packet_id } => Packet::PublishAck(packet_id),
        v3::Packet::Subscribe { packet_id, topic_filters } => {
            let subscription = |qos| Subscription {
                at_least_once: qos != QoS::AtMostOnce,
                no_local: false,
                retain_as_published: false,
                identifier: None,
            };
            let filter = |(filter, qos): (_, QoS)| (string(filter), subscription(qos), RetainHandling::Always);
            Packet::Subscribe(Subscribe { packet_id, filters: topic_filters.into_iter().map(filter).collect() })
        }
        v3::Packet::Unsubscribe { packet_id, topic_filters } => {
            Packet::Unsubscribe(Unsubscribe { packet_id, filters: topic_filters.into_iter().map(string).collect() })
        }
        v3::Packet::PingRequest => Packet::Ping,
        v3::Packet::Disconnect => Packet::Disconnect(Disconnect { with_will: false, session_expiry: None }),
        // What only servers send, and QoS 2.
        _ => return Err(PROTOCOL_ERROR),
    })
}

pub(super) fn of_v5(packet: v5::Packet) -> Result<Packet, Malformed> {
    Ok(match packet {
        v5::Packet::Connect(connect) => Packet::Connect(Box::new(connect::of_v5(*connect))),
        v5::Packet::Publish(publish) => Packet::Publish(checked(publish)?),
        v5::Packet::PublishAck(ack) => Packet::PublishAck(ack.packet_id),
        v5::Packet::Subscribe(subscribe) => {
            let identifier = subscribe.id;
            let filter = |(filter, options): (_, v5::SubscriptionOptions)| {
                let subscription = Subscription {
                    at_least_once: options.qos != QoS::AtMostOnce,
                    no_local: options.no_local,
                    retain_as_published: options.retain_as_published,
                    identifier,
                };
                let handling = match options.retain_handling {
                    v5::RetainHandling::AtSubscribe => RetainHandling::Always,
                    v5::RetainHandling::AtSubscribeNew => RetainHandling::WhenNew,
                    v5::RetainHandling::NoAtSubscribe => RetainHandling::Never,
                };
                (string(filter), subscription, handling)
            };
            let filters = subscribe.topic_filters.into_iter().map(filter).collect();
            Packet::Subscribe(Subscribe { packet_id: subscribe.packet_id, filters })
        }
        v5::Packet::Unsubscribe(unsubscribe) => Packet::Unsubscribe(Unsubscribe {
            packet_id: unsubscribe.packet_id,
            filters: unsubscribe.topic_filters.into_iter().map(string).collect(),
        }),
        v5::Packet::PingRequest => Packet::Ping,
        v5::Packet::Disconnect(disconnect) => Packet::Disconnect(Disconnect {
            // MQTT 5 §3.14.4: with any reason but the normal one the will is published.
            with_will: disconnect.reason_code != DisconnectReasonCode::NormalDisconnection,
            session_expiry: disconnect.session_expiry_interval_secs,
        }),
        // What only servers send, QoS 2, and AUTH without a method.
        _ => return Err(PROTOCOL_ERROR),
    })
}

/// What the codec lets pass and the protocol does not.
fn checked(publish: Box<Publish>) -> Result<Box<Publish>, Malformed> {
    if publish.dup && publish.qos == QoS::AtMostOnce {
        return Err(Malformed(DisconnectReasonCode::MalformedPacket));
    }
    let properties = publish.properties.as_ref();
    if properties.is_some_and(|properties| !properties.subscription_ids.is_empty()) {
        return Err(PROTOCOL_ERROR);
    }
    Ok(publish)
}

fn string(text: impl std::ops::Deref<Target = str>) -> String {
    text.to_owned()
}

/// None: MQTT 3.1.1 has no such packet.
pub(super) fn to_v3(answer: Answer) -> Option<v3::Packet> {
    Some(match answer {
        Answer::ConnectAck(ack) => v3::Packet::ConnectAck(v3::ConnectAck {
            session_present: ack.session_present,
            return_code: match ack.reason_code {
                ConnectAckReason::Success => v3::ConnectAckReason::ConnectionAccepted,
                ConnectAckReason::ServerUnavailable => v3::ConnectAckReason::ServiceUnavailable,
                _ => v3::ConnectAckReason::NotAuthorized,
            },
        }),
        Answer::Publish(publish) => v3::Packet::Publish(publish),
        Answer::PublishAck { packet_id, .. } => v3::Packet::PublishAck { packet_id },
        Answer::SubscribeAck { packet_id, reasons } => {
            let status = |reason: &SubscribeAckReason| match reason {
                SubscribeAckReason::GrantedQos0 => v3::SubscribeReturnCode::Success(QoS::AtMostOnce),
                SubscribeAckReason::GrantedQos1 => v3::SubscribeReturnCode::Success(QoS::AtLeastOnce),
                _ => v3::SubscribeReturnCode::Failure,
            };
            v3::Packet::SubscribeAck { packet_id, status: reasons.iter().map(status).collect() }
        }
        Answer::UnsubscribeAck { packet_id, .. } => v3::Packet::UnsubscribeAck { packet_id },
        Answer::Pong => v3::Packet::PingResponse,
        Answer::Disconnect(_) => return None,
    })
}

pub(super) fn to_v5(answer: Answer) -> v5::Packet {
    match answer {
        Answer::ConnectAck(ack) => v5::Packet::ConnectAck(ack),
        Answer::Publish(publish) => v5::Packet::Publish(publish),
        Answer::PublishAck { packet_id, reason, text } => v5::Packet::PublishAck(v5::PublishAck {
            packet_id,
            reason_code: reason,
            properties: Vec::new(),
            reason_string: text.map(Into::into),
        }),
        Answer::SubscribeAck { packet_id, reasons } => v5::Packet::SubscribeAck(v5::SubscribeAck {
            packet_id,
            properties: Vec::new(),
            reason_string: None,
            status: reasons,
        }),
        Answer::UnsubscribeAck { packet_id, reasons } => v5::Packet::UnsubscribeAck(v5::UnsubscribeAck {
            packet_id,
            properties: Vec::new(),
            reason_string: None,
            status: reasons,
        }),
        Answer::Pong => v5::Packet::PingResponse,
        Answer::Disconnect(reason) => v5::Packet::Disconnect(v5::Disconnect::new(reason)),
    }
}
