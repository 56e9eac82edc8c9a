//! Retained messages: in memory for whoever subscribes, in the database so that they are there after a restart.

use super::store::{KeptRetained, Store, Stored};
use super::{now, topics};
use anyhow::anyhow;
use async_trait::async_trait;
use rmqtt::retain::RetainStorage;
use rmqtt::types::{Publish, Retain, TopicFilter, TopicName};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What all of them hold together, in bytes.
const MOST_BYTES: usize = 64 << 20;
/// What one costs beside its topic and payload.
const OVERHEAD: usize = 256;

/// All retained messages, by their topics.
#[derive(Clone)]
pub(super) struct Retained {
    kept: Arc<Mutex<Tree>>,
    store: Store,
}

#[derive(Default)]
struct Tree {
    messages: BTreeMap<String, KeptRetained>,
    bytes: usize,
}

impl Tree {
    fn put(&mut self, retained: KeptRetained) {
        self.remove(&retained.message.topic);
        self.bytes += size(&retained.message);
        self.messages.insert(retained.message.topic.clone(), retained);
    }

    fn remove(&mut self, topic: &str) -> bool {
        let removed = self.messages.remove(topic);
        self.bytes -= removed.as_ref().map_or(0, |removed| size(&removed.message));
        removed.is_some()
    }

    /// Those whose topics a filter matches. They begin with what stands before its first wildcard.
    fn matching(&self, filter: &str, now: i64) -> Vec<KeptRetained> {
        let before = filter.find(['+', '#']).map_or(filter, |at| filter[..at].trim_end_matches('/'));
        let from = (Bound::Included(before), Bound::Unbounded);
        let all = self.messages.range::<str, _>(from).take_while(|(topic, _)| topic.starts_with(before));
        let counts = |retained: &KeptRetained| retained.message.expires_at.is_none_or(|at| at > now);
        all.filter(|(topic, retained)| topics::matches(filter, topic) && counts(retained))
            .map(|(_, retained)| retained.clone())
            .collect()
    }
}

fn size(message: &Stored) -> usize {
    message.topic.len() + message.payload.len() + OVERHEAD
}

impl Retained {
    pub(super) fn new(store: Store, kept: &[KeptRetained]) -> Self {
        let mut tree = Tree::default();
        kept.iter().for_each(|retained| tree.put(retained.clone()));
        Self { kept: Arc::new(Mutex::new(tree)), store }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        // Each change is whole before the lock is given back.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for one more.
    pub(super) fn has_room(&self, publish: &Publish) -> bool {
        let bytes = publish.topic.len() + publish.payload.len() + OVERHEAD;
        publish.payload.is_empty() || self.tree().bytes + bytes <= MOST_BYTES
    }

    /// Forgets those whose time is over.
    pub(super) fn sweep(&self, now: i64) {
        let mut tree = self.tree();
        let is_over = |retained: &KeptRetained| retained.message.expires_at.is_some_and(|at| at <= now);
        let over: Vec<String> =
            tree.messages.iter().filter(|(_, retained)| is_over(retained)).map(|(topic, _)| topic.clone()).collect();
        for topic in over {
            tree.remove(&topic);
        }
    }
}

#[async_trait]
impl RetainStorage for Retained {
    fn enable(&self) -> bool {
        true
    }

    /// On the disk when it returns, or else the publisher gets no answer. One without a payload ends what was retained.
    async fn set(&self, topic: &TopicName, retain: Retain, _: Option<Duration>) -> rmqtt::Result<()> {
        // A topic of the server's is only for the server.
        if topics::is_reserved(topic) {
            return Ok(());
        }
        if retain.publish.payload.is_empty() {
            if self.tree().remove(topic) {
                self.store.not_retained(topic).await?;
            }
            return Ok(());
        }
        if !self.has_room(&retain.publish) {
            return Err(anyhow!("the server retains {} MiB of messages already", MOST_BYTES >> 20));
        }
        let message = Stored::of(&retain.publish).ok_or_else(|| anyhow!("a message without an id"))?;
        let retained = KeptRetained { message, qos: retain.publish.qos };
        self.store.retained(retained.clone()).await?;
        self.tree().put(retained);
        Ok(())
    }

    async fn get(&self, filter: &TopicFilter) -> rmqtt::Result<Vec<(TopicName, Retain)>> {
        let now = now();
        let of = |retained: KeptRetained| {
            let KeptRetained { mut message, qos } = retained;
            // What is left of its time, in whole seconds.
            let left = message.expires_at.and_then(|at| NonZeroU32::new(u32::try_from((at - now) / 1000 + 1).ok()?));
            message.properties.message_expiry_interval = left;
            let topic = TopicName::from(message.topic.clone());
            let publish = message.publish(qos, true, Vec::new());
            (topic, Retain { msg_id: None, from: super::sessions::server(), publish })
        };
        Ok(self.tree().matching(filter, now).into_iter().map(of).collect())
    }

    async fn count(&self) -> isize {
        self.tree().messages.len().try_into().unwrap_or(isize::MAX)
    }

    async fn max(&self) -> isize {
        -1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmqtt::types::QoS;

    fn retained(topic: &str, expires_at: Option<i64>) -> KeptRetained {
        let message = Stored {
            id: 1,
            topic: topic.to_owned(),
            payload: "x".into(),
            properties: rmqtt::codec::v5::PublishProperties::default(),
            expires_at,
        };
        KeptRetained { message, qos: QoS::AtLeastOnce }
    }

    #[test]
    fn a_filter_finds_what_it_matches_and_what_was_replaced_takes_no_room() {
        let mut tree = Tree::default();
        for topic in ["a", "a/b", "a/c/d", "ab", "b"] {
            tree.put(retained(topic, None));
            tree.put(retained(topic, None));
        }
        tree.put(retained("a/old", Some(10)));
        let found = |filter: &str| -> Vec<String> {
            tree.matching(filter, 10).into_iter().map(|retained| retained.message.topic).collect()
        };
        assert_eq!(found("a/#"), ["a", "a/b", "a/c/d"]);
        assert_eq!(found("a"), ["a"]);
        assert_eq!(found("+"), ["a", "ab", "b"]);
        assert_eq!(found("a/+"), ["a/b"]);
        assert_eq!(found("#").len(), 5);
        assert_eq!(found("$aws/#").len(), 0);
        for topic in ["a", "a/b", "a/c/d", "ab", "b", "a/old"] {
            assert!(tree.remove(topic));
        }
        assert_eq!(tree.bytes, 0);
    }
}
