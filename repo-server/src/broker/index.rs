//! Who subscribed to what.

use super::client::Client;
use super::ids::ClientId;
use super::wire::Subscription;
use fleet_protocol::mqtt_topic;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};

/// All subscriptions, by the levels of their filters.
#[derive(Default)]
pub(super) struct Index(RwLock<Level>);

#[derive(Default)]
struct Level {
    below: HashMap<Box<str>, Level>,
    subscribers: Subscribers,
}

/// By the clients' ids.
type Subscribers = HashMap<ClientId, (Arc<Client>, Subscription)>;

/// A client that subscribed to a topic, once, however many of its filters match.
pub(super) struct Subscriber {
    pub(super) client: Arc<Client>,
    /// Whether by one of them it wants messages at QoS 1.
    pub(super) at_least_once: bool,
    pub(super) retain_as_published: bool,
    pub(super) identifiers: Vec<NonZeroU32>,
}

impl Subscriber {
    fn new(client: &Arc<Client>) -> Self {
        let client = client.clone();
        Self { client, at_least_once: false, retain_as_published: false, identifiers: Vec::new() }
    }

    fn add(&mut self, subscription: &Subscription) {
        self.at_least_once |= subscription.at_least_once;
        self.retain_as_published |= subscription.retain_as_published;
        self.identifiers.extend(subscription.identifier);
    }
}

impl Index {
    pub(super) fn insert(&self, filter: &str, client: &Arc<Client>, subscription: Subscription) {
        let mut root = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut level = &mut *root;
        for name in filter.split('/') {
            level = level.below.entry(name.into()).or_default();
        }
        level.subscribers.insert(client.id.clone(), (client.clone(), subscription));
    }

    pub(super) fn remove(&self, filter: &str, client: &Arc<Client>) {
        let mut root = self.0.write().unwrap_or_else(PoisonError::into_inner);
        root.remove(&mut filter.split('/'), client);
    }

    /// Those who subscribed to a topic; `from` is the id of the client that published, if it was one.
    pub(super) fn subscribers(&self, topic: &str, from: Option<&str>) -> Vec<Subscriber> {
        let mut found = Found { from, subscribers: Vec::new(), places: HashMap::new() };
        let root = self.0.read().unwrap_or_else(PoisonError::into_inner);
        root.find(topic.split('/'), mqtt_topic::is_reserved(topic), &mut found);
        found.subscribers
    }
}

struct Found<'a> {
    from: Option<&'a str>,
    subscribers: Vec<Subscriber>,
    /// Where a client is among them, by its address. Filled only when a second filter matches.
    places: HashMap<*const Client, usize>,
}

impl Found<'_> {
    fn add(&mut self, subscribers: &Subscribers) {
        let is_first = self.subscribers.is_empty();
        if !is_first && self.places.is_empty() {
            let place = |(at, subscriber): (usize, &Subscriber)| (Arc::as_ptr(&subscriber.client), at);
            self.places = self.subscribers.iter().enumerate().map(place).collect();
        }
        for (client, subscription) in subscribers.values() {
            // MQTT 5 §3.8.3.1, No Local.
            if subscription.no_local && self.from == Some(&*client.id) {
                continue;
            }
            let at = match is_first {
                true => None,
                false => self.places.get(&Arc::as_ptr(client)).copied(),
            };
            let at = at.unwrap_or_else(|| {
                self.subscribers.push(Subscriber::new(client));
                let at = self.subscribers.len() - 1;
                if !is_first {
                    self.places.insert(Arc::as_ptr(client), at);
                }
                at
            });
            self.subscribers[at].add(subscription);
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

    fn remove<'a>(&mut self, names: &mut impl Iterator<Item = &'a str>, client: &Arc<Client>) {
        let Some(name) = names.next() else {
            self.subscribers.remove(&client.id);
            // After a crowd has left.
            if self.subscribers.capacity() > 64 && self.subscribers.len() * 8 < self.subscribers.capacity() {
                self.subscribers.shrink_to_fit();
            }
            return;
        };
        let Some(level) = self.below.get_mut(name) else { return };
        level.remove(names, client);
        if level.below.is_empty() && level.subscribers.is_empty() {
            self.below.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBSCRIPTION: Subscription =
        Subscription { at_least_once: true, no_local: false, retain_as_published: false, identifier: None };

    fn found(index: &Index, topic: &str, from: Option<&str>) -> Vec<String> {
        let subscribers = index.subscribers(topic, from);
        let mut clients: Vec<String> = subscribers.iter().map(|subscriber| subscriber.client.id.to_string()).collect();
        clients.sort();
        clients
    }

    #[test]
    fn it_finds_whom_the_matching_of_single_filters_finds() {
        let filters =
            ["#", "+", "a", "a/#", "a/+", "+/b", "a/b", "$aws/#", "$aws/+/$next", "/", "a//b", "+/+/#", "$aws/a"];
        let index = Index::default();
        for filter in filters {
            index.insert(filter, &Client::new(filter), SUBSCRIPTION);
        }
        for topic in ["a", "a/b", "a/b/c", "$aws", "$aws/a", "$aws/a/$next", "/", "a//b", "b"] {
            let mut expected: Vec<&str> =
                filters.iter().copied().filter(|filter| mqtt_topic::matches(filter, topic)).collect();
            expected.sort_unstable();
            assert_eq!(found(&index, topic, None), expected, "{topic}");
        }
    }

    #[test]
    fn a_client_with_several_matching_filters_is_found_once_and_leaves_nothing_behind() {
        let index = Index::default();
        let (lamp, other) = (Client::new("lamp"), Client::new("other"));
        let numbered = |number| Subscription { identifier: NonZeroU32::new(number), ..SUBSCRIPTION };
        index.insert("a/#", &lamp, numbered(1));
        index.insert("a/+", &lamp, Subscription { at_least_once: false, ..numbered(2) });
        index.insert("a/b", &other, Subscription { no_local: true, ..SUBSCRIPTION });
        assert_eq!(found(&index, "a/b", None), ["lamp", "other"]);
        assert_eq!(found(&index, "a/b", Some("other")), ["lamp"], "not its own");
        let both = index.subscribers("a/b", None);
        let lamps = both.iter().find(|subscriber| &*subscriber.client.id == "lamp").unwrap();
        assert!(lamps.at_least_once);
        assert_eq!(lamps.identifiers.len(), 2);
        for (filter, client) in [("a/#", &lamp), ("a/#", &lamp), ("a/b", &other), ("x", &lamp)] {
            index.remove(filter, client);
        }
        assert_eq!(found(&index, "a/x", None), ["lamp"]);
        index.remove("a/+", &lamp);
        assert!(index.0.read().unwrap().below.is_empty());
    }
}
