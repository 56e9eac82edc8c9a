//! CONNECT: what a client wants of its connection.

use super::{Publish, PublishProperties, QoS};
use bytes::Bytes;
use rmqtt_codec::{v3, v5};
use std::ops::Deref;

/// MQTT 3.1.1 §3.1.2.4: a session that is not clean has no end of its own.
const NO_END: u32 = u32::MAX;

/// A CONNECT of either version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::broker) struct Connect {
    pub(in crate::broker) client_id: String,
    /// Whatever was kept for the client is forgotten.
    pub(in crate::broker) clean_start: bool,
    /// For how many seconds the session outlives its connection.
    pub(in crate::broker) session_expiry: u32,
    /// In seconds; zero: the client may be silent.
    pub(in crate::broker) keep_alive: u16,
    pub(in crate::broker) will: Option<Will>,
    /// How many messages the client takes before it has acknowledged one.
    pub(in crate::broker) receive_maximum: Option<u16>,
    /// The longest packet that it takes.
    pub(in crate::broker) longest_packet: Option<u32>,
    /// It wants to authenticate itself by a method of its own (MQTT 5 §4.12).
    pub(in crate::broker) wants_method: bool,
    /// What a person shows in place of a certificate.
    pub(in crate::broker) password: Option<Bytes>,
}

/// What a client has the server publish when its connection breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::broker) struct Will {
    pub(in crate::broker) publish: Publish,
    /// In seconds.
    pub(in crate::broker) delay: u32,
}

pub(super) fn of_v3(connect: v3::Connect) -> Connect {
    let will = connect.last_will.map(|will| Will {
        publish: publish(will.topic, will.message, will.qos, will.retain, PublishProperties::default()),
        delay: 0,
    });
    Connect {
        client_id: connect.client_id.to_string(),
        clean_start: connect.clean_session,
        session_expiry: if connect.clean_session { 0 } else { NO_END },
        keep_alive: connect.keep_alive,
        will,
        receive_maximum: None,
        longest_packet: None,
        wants_method: false,
        password: connect.password,
    }
}

pub(super) fn of_v5(connect: v5::Connect) -> Connect {
    let will = connect.last_will.map(|will| {
        let properties = PublishProperties {
            topic_alias: None,
            correlation_data: will.correlation_data,
            message_expiry_interval: will.message_expiry_interval,
            content_type: will.content_type,
            user_properties: will.user_properties,
            is_utf8_payload: will.is_utf8_payload.unwrap_or(false),
            response_topic: will.response_topic,
            subscription_ids: Vec::new(),
        };
        Will {
            publish: publish(will.topic, will.message, will.qos, will.retain, properties),
            delay: will.will_delay_interval_sec.unwrap_or(0),
        }
    });
    Connect {
        client_id: connect.client_id.to_string(),
        clean_start: connect.clean_start,
        session_expiry: connect.session_expiry_interval_secs,
        keep_alive: connect.keep_alive,
        will,
        receive_maximum: connect.receive_max.map(std::num::NonZero::get),
        longest_packet: connect.max_packet_size.map(std::num::NonZero::get),
        wants_method: connect.auth_method.is_some(),
        password: connect.password,
    }
}

fn publish(
    topic: impl Deref<Target = str>,
    payload: Bytes,
    qos: QoS,
    retain: bool,
    properties: PublishProperties,
) -> Publish {
    // In memory of its own: it is kept for as long as the connection.
    let (topic, payload) = (topic.to_owned().into(), Bytes::copy_from_slice(&payload));
    Publish { dup: false, retain, qos, topic, packet_id: None, payload, properties: Some(properties) }
}
