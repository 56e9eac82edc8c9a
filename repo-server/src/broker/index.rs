//! Who subscribed to what. The library's own index takes a level such as `$next` only as the first one, and AWS's topics
//! have it in the middle.

use super::topics;
use async_trait::async_trait;
use rmqtt::router::Router;
use rmqtt::types::{
    AllRelationsMap, ClientId, HashMap as RelationsMap, Id, NodeId, Route, SubRelationsMap, SubsSearchParams,
    SubsSearchResult, SubscriptionIdentifier, SubscriptionOptions, TopicName,
};
use rmqtt::utils::Counter;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock};

/// All subscriptions, by the levels of their filters.
#[derive(Clone, Default)]
pub(super) struct Index {
    root: Arc<RwLock<Level>>,
    /// What the library asks for, and nobody fills.
    unused: Arc<AllRelationsMap>,
}

#[derive(Default)]
struct Level {
    below: HashMap<Box<str>, Level>,
    subscribers: HashMap<ClientId, (Id, SubscriptionOptions)>,
}

/// A client that subscribed to a topic, once, however many of its filters match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscriber {
    pub(super) client: ClientId,
    /// Whether by one of them it wants messages at QoS 1.
    pub(super) at_least_once: bool,
    pub(super) retain_as_published: bool,
    pub(super) identifiers: Vec<SubscriptionIdentifier>,
}

impl Index {
    pub(super) fn insert(&self, filter: &str, id: Id, options: SubscriptionOptions) {
        let mut root = self.root.write().unwrap_or_else(PoisonError::into_inner);
        let mut level = &mut *root;
        for name in filter.split('/') {
            level = level.below.entry(name.into()).or_default();
        }
        level.subscribers.insert(id.client_id.clone(), (id, options));
    }

    /// Removes a client's subscription, unless a newer connection of that client made it.
    pub(super) fn take_out(&self, filter: &str, id: &Id) -> bool {
        let mut root = self.root.write().unwrap_or_else(PoisonError::into_inner);
        root.take_out(&mut filter.split('/'), id)
    }

    /// Those who subscribed to a topic; `from` is who published, if it was a client.
    pub(super) fn subscribers(&self, topic: &str, from: Option<&Id>) -> Vec<Subscriber> {
        let mut found = Found { from, subscribers: HashMap::new() };
        let root = self.root.read().unwrap_or_else(PoisonError::into_inner);
        root.find(topic.split('/'), topics::is_reserved(topic), &mut found);
        found.subscribers.into_values().collect()
    }
}

struct Found<'a> {
    from: Option<&'a Id>,
    subscribers: HashMap<ClientId, Subscriber>,
}

impl Found<'_> {
    fn add(&mut self, subscribers: &HashMap<ClientId, (Id, SubscriptionOptions)>) {
        for (client, (id, options)) in subscribers {
            // MQTT 5 §3.8.3.1, No Local.
            if options.no_local() == Some(true) && self.from == Some(id) {
                continue;
            }
            let found = self.subscribers.entry(client.clone()).or_insert_with(|| Subscriber {
                client: client.clone(),
                at_least_once: false,
                retain_as_published: false,
                identifiers: Vec::new(),
            });
            found.at_least_once |= options.qos().value() > 0;
            found.retain_as_published |= options.retain_as_published() == Some(true);
            if let SubscriptionOptions::V5(options) = options {
                found.identifiers.extend(options.id);
            }
        }
    }
}

impl Level {
    fn find<'a>(&self, mut names: impl Iterator<Item = &'a str> + Clone, reserved: bool, found: &mut Found<'_>) {
        if !reserved && let Some(all) = self.below.get("#") {
            found.add(&all.subscribers);
        }
        let Some(name) = names.next() else { return found.add(&self.subscribers) };
        if let Some(level) = self.below.get(name) {
            level.find(names.clone(), false, found);
        }
        if !reserved && let Some(level) = self.below.get("+") {
            level.find(names, false, found);
        }
    }

    fn take_out<'a>(&mut self, names: &mut impl Iterator<Item = &'a str>, id: &Id) -> bool {
        let Some(name) = names.next() else {
            return match self.subscribers.entry(id.client_id.clone()) {
                Entry::Occupied(entry) if entry.get().0 == *id => {
                    entry.remove();
                    self.subscribers.shrink_to_fit();
                    true
                }
                _ => false,
            };
        };
        let Some(level) = self.below.get_mut(name) else { return false };
        let removed = level.take_out(names, id);
        if level.below.is_empty() && level.subscribers.is_empty() {
            self.below.remove(name);
        }
        removed
    }
}

/// What the library needs of it. It asks nobody who subscribed: delivery is ours.
#[async_trait]
impl Router for Index {
    async fn add(&self, topic_filter: &str, id: Id, opts: SubscriptionOptions) -> rmqtt::Result<()> {
        self.insert(topic_filter, id, opts);
        Ok(())
    }

    async fn remove(&self, topic_filter: &str, id: Id) -> rmqtt::Result<bool> {
        Ok(self.take_out(topic_filter, &id))
    }

    async fn matches(&self, _: Id, _: &TopicName) -> rmqtt::Result<SubRelationsMap> {
        Ok(SubRelationsMap::default())
    }

    async fn is_online(&self, _: NodeId, _: &str) -> bool {
        false
    }

    async fn gets(&self, _: usize) -> Vec<Route> {
        Vec::new()
    }

    async fn get(&self, _: &str) -> rmqtt::Result<Vec<Route>> {
        Ok(Vec::new())
    }

    async fn query_subscriptions(&self, _: &SubsSearchParams) -> Vec<SubsSearchResult> {
        Vec::new()
    }

    async fn topics_tree(&self) -> usize {
        0
    }

    fn topics(&self) -> Counter {
        Counter::new()
    }

    fn routes(&self) -> Counter {
        Counter::new()
    }

    fn merge_topics(&self, _: &RelationsMap<NodeId, Counter>) -> Counter {
        Counter::new()
    }

    fn merge_routes(&self, _: &RelationsMap<NodeId, Counter>) -> Counter {
        Counter::new()
    }

    async fn list_topics(&self, _: usize) -> Vec<String> {
        Vec::new()
    }

    async fn list_relations(&self, _: usize) -> Vec<serde_json::Value> {
        Vec::new()
    }

    fn relations(&self) -> &AllRelationsMap {
        &self.unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmqtt::types::QoS;

    fn subscribed(filters: &[(&str, &'static str)]) -> Index {
        let index = Index::default();
        for (client, filter) in filters {
            let options = SubscriptionOptions::from((QoS::AtLeastOnce, None, None));
            index.insert(filter, Id::from(1, ClientId::from(*client)), options);
        }
        index
    }

    fn found(index: &Index, topic: &str) -> Vec<String> {
        let mut clients: Vec<String> = index.subscribers(topic, None).iter().map(|s| s.client.to_string()).collect();
        clients.sort();
        clients
    }

    #[test]
    fn it_finds_whom_the_matching_of_single_filters_finds() {
        let filters =
            ["#", "+", "a", "a/#", "a/+", "+/b", "a/b", "$aws/#", "$aws/+/$next", "/", "a//b", "+/+/#", "$aws/a"];
        let named: Vec<(&str, &'static str)> = filters.iter().map(|filter| (*filter, *filter)).collect();
        let index = subscribed(&named);
        for topic in ["a", "a/b", "a/b/c", "$aws", "$aws/a", "$aws/a/$next", "/", "a//b", "b"] {
            let mut expected: Vec<&str> =
                filters.iter().copied().filter(|filter| topics::matches(filter, topic)).collect();
            expected.sort_unstable();
            assert_eq!(found(&index, topic), expected, "{topic}");
        }
    }

    #[test]
    fn a_client_with_several_matching_filters_is_found_once_and_leaves_nothing_behind() {
        let index = subscribed(&[("lamp", "a/#"), ("lamp", "a/+"), ("other", "a/b")]);
        assert_eq!(found(&index, "a/b"), ["lamp", "other"]);
        let id = index.root.read().unwrap().below["a"].below["#"].subscribers.values().next().unwrap().0.clone();
        assert!(index.take_out("a/#", &id) && !index.take_out("a/#", &id));
        assert!(!index.take_out("a/b", &Id::from(1, "other".into())) || found(&index, "a/b") == ["lamp"]);
        assert_eq!(found(&index, "a/x"), ["lamp"]);
    }
}
