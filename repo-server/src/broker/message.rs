//! A message on its way through the broker.

use super::wire::{Publish, PublishProperties, QoS};
use bytes::Bytes;
use std::num::NonZeroU32;

/// What a message costs beside its topic and payload.
pub(super) const OVERHEAD: usize = 256;

/// A message, shared by all who get it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    /// The time in milliseconds, made unique.
    pub(super) id: i64,
    /// In milliseconds.
    pub(super) expires_at: Option<i64>,
    /// As it was published, without what concerned only the publisher's connection.
    pub(super) publish: Publish,
}

impl Message {
    /// Takes what a client published.
    pub(super) fn new(id: i64, mut publish: Publish) -> Self {
        publish.dup = false;
        publish.packet_id = None;
        let properties = publish.properties.get_or_insert_default();
        properties.topic_alias = None;
        properties.subscription_ids.clear();
        let expires_at = properties.message_expiry_interval.map(|seconds| id + i64::from(seconds.get()) * 1000);
        Self { id, expires_at, publish }
    }

    /// One of the server's own, or one that was kept.
    pub(super) fn of(
        id: i64,
        topic: String,
        payload: Bytes,
        qos: QoS,
        properties: PublishProperties,
        expires_at: Option<i64>,
    ) -> Self {
        let properties = Some(properties);
        let topic = topic.into();
        Self {
            id,
            expires_at,
            publish: Publish { dup: false, retain: false, qos, topic, packet_id: None, payload, properties },
        }
    }

    /// The same for a client that subscribed later: to its session it is a new one.
    pub(super) fn again(&self, id: i64) -> Self {
        Self { id, ..self.clone() }
    }

    /// The same in memory of its own: what a client sent shares memory with whatever came beside it.
    pub(super) fn by_itself(&self) -> Self {
        let mut own = self.clone();
        own.publish.payload = Bytes::copy_from_slice(&own.publish.payload);
        own.publish.topic = own.publish.topic.to_string().into();
        own
    }

    pub(super) fn topic(&self) -> &str {
        &self.publish.topic
    }

    pub(super) fn is_at_least_once(&self) -> bool {
        self.publish.qos != QoS::AtMostOnce
    }

    pub(super) fn is_expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// What it counts among those that wait.
    pub(super) fn size(&self) -> usize {
        self.publish.topic.len() + self.publish.payload.len() + OVERHEAD
    }

    /// As it is sent now to one of its subscribers. It is not expired.
    pub(super) fn sent(&self, now: i64, retain: bool, at_least_once: bool, identifiers: Vec<NonZeroU32>) -> Publish {
        let mut publish = self.publish.clone();
        publish.retain = retain;
        publish.qos = if at_least_once { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        if let Some(properties) = &mut publish.properties {
            properties.subscription_ids = identifiers;
            // Numbers that are times may be ahead of the clock.
            let left = self.expires_at.and_then(|at| seconds_until(at, now));
            let said = properties.message_expiry_interval;
            properties.message_expiry_interval = left.map(|left| said.map_or(left, |said| left.min(said)));
        }
        publish
    }
}

/// What is left of a message's time, in whole seconds and never nothing.
fn seconds_until(at: i64, now: i64) -> Option<NonZeroU32> {
    let left = u64::try_from(at - now).unwrap_or(0).div_ceil(1000).max(1);
    NonZeroU32::new(u32::try_from(left).unwrap_or(u32::MAX))
}

#[cfg(test)]
pub(super) fn example(id: i64, topic: &str) -> Message {
    Message::of(id, topic.to_owned(), Bytes::from_static(b"x"), QoS::AtLeastOnce, PublishProperties::default(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_is_counted_down() {
        let mut publish = example(0, "a").publish;
        publish.properties.get_or_insert_default().message_expiry_interval = NonZeroU32::new(10);
        let message = Message::new(1000, publish);
        let left =
            |now| message.sent(now, false, true, Vec::new()).properties.unwrap().message_expiry_interval.unwrap().get();
        assert_eq!((left(1000), left(1001), left(10_500)), (10, 10, 1));
        assert_eq!(left(999), 10, "never more than there was");
        assert!(!message.is_expired(10_999) && message.is_expired(11_000));
    }
}
