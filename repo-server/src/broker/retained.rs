//! Retained messages: in memory for whoever subscribes, in the database so that they are there after a restart.

use super::message::Message;
use super::store::{Store, StoreError};
use fleet_protocol::mqtt_topic;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What all of them hold together, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// All retained messages, by their topics.
pub(super) struct Retained {
    kept: Mutex<Tree>,
    store: Store,
}

#[derive(Default)]
struct Tree {
    messages: BTreeMap<String, Arc<Message>>,
    bytes: usize,
}

impl Tree {
    fn put(&mut self, message: Arc<Message>) {
        self.remove(message.topic());
        self.bytes += message.size();
        self.messages.insert(message.topic().to_owned(), message);
    }

    fn remove(&mut self, topic: &str) -> bool {
        let removed = self.messages.remove(topic);
        self.bytes -= removed.as_ref().map_or(0, |removed| removed.size());
        removed.is_some()
    }

    /// Those whose topics a filter matches. They begin with what stands before its first wildcard.
    fn matching(&self, filter: &str, now: i64) -> Vec<Arc<Message>> {
        let before = filter.find(['+', '#']).map_or(filter, |at| filter[..at].trim_end_matches('/'));
        let from = (Bound::Included(before), Bound::Unbounded);
        let all = self.messages.range::<str, _>(from).take_while(|(topic, _)| topic.starts_with(before));
        all.filter(|(topic, message)| mqtt_topic::matches(filter, topic) && !message.is_expired(now))
            .map(|(_, message)| message.clone())
            .collect()
    }
}

impl Retained {
    pub(super) fn new(store: Store, kept: Vec<Message>) -> Self {
        let mut tree = Tree::default();
        kept.into_iter().for_each(|message| tree.put(Arc::new(message)));
        Self { kept: Mutex::new(tree), store }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        // Each change is whole before the lock is given back.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for one more.
    pub(super) fn has_room(&self, size: usize) -> bool {
        self.tree().bytes + size <= MOST_BYTES
    }

    /// Forgets those whose time is over.
    pub(super) fn sweep(&self, now: i64) {
        let mut tree = self.tree();
        let over = tree.messages.iter().filter(|(_, message)| message.is_expired(now));
        let over: Vec<String> = over.map(|(topic, _)| topic.clone()).collect();
        for topic in over {
            tree.remove(&topic);
        }
    }

    /// On the disk when it returns. One without a payload ends what was retained.
    pub(super) async fn set(&self, message: &Message) -> Result<(), StoreError> {
        let topic = message.topic();
        if message.publish.payload.is_empty() {
            if self.tree().remove(topic) {
                self.store.not_retained(topic).await?;
            }
            return Ok(());
        }
        let own = Arc::new(message.by_itself());
        self.store.retained(own.clone()).await?;
        self.tree().put(own);
        Ok(())
    }

    pub(super) fn matching(&self, filter: &str, now: i64) -> Vec<Arc<Message>> {
        self.tree().matching(filter, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::message::example;

    #[test]
    fn a_filter_finds_what_it_matches_and_what_was_replaced_takes_no_room() {
        let mut tree = Tree::default();
        for topic in ["a", "a/b", "a/c/d", "ab", "b"] {
            tree.put(Arc::new(example(1, topic)));
            tree.put(Arc::new(example(1, topic)));
        }
        tree.put(Arc::new(Message { expires_at: Some(10), ..example(1, "a/old") }));
        let found = |filter: &str| -> Vec<String> {
            tree.matching(filter, 10).into_iter().map(|message| message.topic().to_owned()).collect()
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
