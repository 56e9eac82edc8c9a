//! Messages to all who subscribed.

use super::{Copy, Message, Sessions, StoreError};
use crate::broker::client::{Body, Handed, Item};
use crate::broker::ids::ClientId;
use crate::broker::index::Subscriber;
use std::sync::Arc;

/// A message, and who gets it.
pub(in crate::broker) struct Delivery {
    pub(in crate::broker) message: Arc<Message>,
    pub(in crate::broker) subscribers: Vec<Subscriber>,
}

impl Delivery {
    fn at_least_once(&self, subscriber: &Subscriber) -> bool {
        self.message.is_at_least_once() && subscriber.at_least_once
    }

    /// Those for whom it is kept.
    fn keeping(&self) -> impl Iterator<Item = &Subscriber> {
        let lacks = |subscriber: &&Subscriber| {
            self.at_least_once(subscriber) && subscriber.client.state().lacks(self.message.id)
        };
        self.subscribers.iter().filter(lacks)
    }

    fn retain(&self, subscriber: &Subscriber) -> bool {
        self.message.publish.retain && subscriber.retain_as_published
    }

    fn copy(&self, subscriber: &Subscriber) -> Copy {
        let client = subscriber.client.id.clone();
        Copy { client, retain: self.retain(subscriber), identifiers: subscriber.identifiers.clone() }
    }
}

impl Sessions {
    /// Puts messages on the disk for those of their subscribers whose sessions are kept.
    pub(in crate::broker) async fn keep(&self, deliveries: &[Delivery]) -> Result<(), StoreError> {
        let mut writes = Vec::new();
        let mut added: Vec<(i64, &Subscriber)> = Vec::new();
        for delivery in deliveries {
            let keeping: Vec<&Subscriber> = delivery.keeping().collect();
            if !keeping.is_empty() {
                let copies = keeping.iter().map(|subscriber| delivery.copy(subscriber)).collect();
                writes.push((delivery.message.clone(), copies));
                added.extend(keeping.into_iter().map(|subscriber| (delivery.message.id, subscriber)));
            }
        }
        self.store.messages(writes).await?;
        let mut dropped: Vec<(&ClientId, i64)> = Vec::new();
        for (message, subscriber) in added {
            let oldest = subscriber.client.state().add_pending(message, false);
            dropped.extend(oldest.map(|oldest| (&subscriber.client.id, oldest)));
        }
        for (client, oldest) in dropped {
            self.note_full(client);
            self.store.acknowledged(client, oldest).await;
        }
        Ok(())
    }

    /// Hands a message to its subscribers. What kept sessions must get was put on the disk before.
    pub(in crate::broker) fn deliver(&self, delivery: Delivery) {
        for subscriber in &delivery.subscribers {
            let item = Item {
                body: Body::Here(delivery.message.clone()),
                at_least_once: delivery.at_least_once(subscriber),
                retain: delivery.retain(subscriber),
                identifiers: subscriber.identifiers.clone(),
                costs_nothing: false,
            };
            if subscriber.client.state().hand_over(item) == Handed::TooMuch {
                self.metrics.mqtt_dropped("slow-client");
                let client = &subscriber.client.id;
                tracing::warn!(%client, "disconnects a client that takes its messages too slowly");
            }
        }
    }
}
