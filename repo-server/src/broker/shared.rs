//! What all connections share, and how messages are published.

use super::attendance::Attendance;
use super::ids::Ids;
use super::index::Index;
use super::link::{Link, Links};
use super::message::Message;
use super::now;
use super::retained::Retained;
use super::sessions::{Delivery, Sessions};
use super::store::{Store, StoreError};
use super::wills::{WaitingWill, Wills};
use super::wire::{DisconnectReasonCode, PublishProperties, QoS, Will};
use crate::certificates::{Certificates, Standing};
use crate::messaging::{Audience, Outgoing, Violations};
use crate::metrics::Metrics;
use crate::mqtt::Services;
use crate::people::People;
use crate::policies::Policies;
use jiff::Timestamp;
use sqlx::AnyPool;
use std::sync::Arc;
use std::time::Duration;

/// How often wills are looked through for those whose time has come.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What everything in the broker works with.
pub(super) struct Core {
    pub(super) database: AnyPool,
    pub(super) certificates: Arc<Certificates>,
    pub(super) policies: Arc<Policies>,
    pub(super) people: Arc<People>,
    pub(super) services: Services,
    pub(super) metrics: Arc<Metrics>,
    pub(super) violations: Violations,
    pub(super) links: Links,
    pub(super) sessions: Sessions,
    pub(super) index: Arc<Index>,
    pub(super) retained: Retained,
    pub(super) wills: Wills,
    pub(super) store: Store,
    pub(super) attendance: Attendance,
    pub(super) ids: Ids,
}

impl Core {
    /// Publishes messages of the server, in this order. `requester` is the client that they answer.
    pub(super) async fn say(&self, messages: Vec<Outgoing>, requester: Option<&str>) {
        let mut deliveries = Vec::with_capacity(messages.len());
        for Outgoing { topic, payload, audience } in messages {
            let mut subscribers = self.index.subscribers(&topic, None);
            if let (Audience::Requester, Some(requester)) = (audience, requester) {
                subscribers.retain(|subscriber| *subscriber.client.id == *requester);
            }
            let (id, properties) = (self.ids.next(), PublishProperties::default());
            let message = Arc::new(Message::of(id, topic, payload, QoS::AtLeastOnce, properties, None));
            deliveries.push(Delivery { message, subscribers });
        }
        self.publish_anyway(deliveries).await;
    }

    /// Publishes what nobody waits for.
    pub(super) async fn publish_anyway(&self, deliveries: Vec<Delivery>) {
        if let Err(error) = self.sessions.keep(&deliveries).await {
            tracing::error!(%error, "messages reach only the clients that are connected");
        }
        deliveries.into_iter().for_each(|delivery| self.sessions.deliver(delivery));
    }

    /// Publishes what a client published or left as its will. When it returns, what is kept of it is on the disk.
    pub(super) async fn publish(&self, message: Message, from: &str) -> Result<(), StoreError> {
        if message.publish.retain {
            self.retained.set(&message).await?;
        }
        let delivery = self.delivery(message, from);
        self.sessions.keep(std::slice::from_ref(&delivery)).await?;
        self.sessions.deliver(delivery);
        Ok(())
    }

    /// A client's message, and who gets it.
    pub(super) fn delivery(&self, message: Message, from: &str) -> Delivery {
        let subscribers = self.index.subscribers(message.topic(), Some(from));
        Delivery { message: Arc::new(message), subscribers }
    }

    /// Ends connections whose certificates or tokens have ended.
    pub(super) fn end_late(&self) {
        let now = Timestamp::now();
        for link in self.links.all() {
            if link.shown.as_ref().is_some_and(|shown| shown.not_after < now) {
                tracing::warn!(client = link.client_id(), "ends an MQTT connection: its certificate has ended");
                link.cut(DisconnectReasonCode::AdministrativeAction);
            } else if link.person().is_some_and(|person| person.expires_at <= now) {
                tracing::info!(client = link.client_id(), "ends an MQTT connection: its token has ended");
                link.cut(DisconnectReasonCode::MaximumConnectTime);
            }
        }
    }

    /// Ends those of these connections that are people's whose tokens count no longer.
    pub(super) async fn end_people(&self, links: Vec<Arc<Link>>) {
        let people: Vec<_> = links.iter().filter_map(|link| Some((link, link.person()?))).collect();
        if people.is_empty() {
            return;
        }
        let standing = self.people.standing_tokens().await;
        if let Err(error) = &standing {
            tracing::error!(%error, "could not look which tokens count; ends the connections of people");
        }
        for (link, person) in people {
            match &standing {
                Ok(standing) if standing.contains(&person.token) => {}
                Ok(_) => {
                    tracing::warn!(client = link.client_id(), "ends an MQTT connection: its token counts no longer");
                    link.cut(DisconnectReasonCode::AdministrativeAction);
                }
                Err(_) => link.cut(DisconnectReasonCode::UnspecifiedError),
            }
        }
    }

    /// Ends those of these connections whose certificate does not count any more.
    pub(super) async fn end_ended(&self, concerned: impl Fn(&Link) -> bool) {
        for link in self.links.all().into_iter().filter(|link| concerned(link)) {
            let Some(shown) = &link.shown else { continue };
            match self.certificates.standing(shown, Timestamp::now()).await {
                Ok(Ok(Standing::Claim(_) | Standing::Device { .. })) => {}
                Ok(Ok(Standing::Unregistered)) => link.cut(DisconnectReasonCode::AdministrativeAction),
                Ok(Err(why)) => {
                    tracing::warn!(client = link.client_id(), %why, "ends an MQTT connection");
                    link.cut(DisconnectReasonCode::AdministrativeAction);
                }
                Err(error) => {
                    tracing::error!(%error, client = link.client_id(), "could not look up a certificate; ends its connection");
                    link.cut(DisconnectReasonCode::UnspecifiedError);
                }
            }
        }
    }

    pub(super) async fn sweep(&self) {
        let now = now();
        if let Err(error) = self.sessions.sweep(now).await {
            tracing::warn!(%error, "expired MQTT sessions were not removed; it is tried again");
        }
        self.retained.sweep(now);
        self.store.sweep(now).await;
    }

    /// Its topic was looked at when the client connected.
    pub(super) async fn publish_will(&self, client: &str, will: Will) {
        let message = Message::new(self.ids.next(), will.publish);
        if let Err(error) = self.publish(message, client).await {
            tracing::error!(%error, client, "a will was not published");
        }
    }

    /// Publishes those whose delay is over, for ever.
    pub(super) async fn publish_delayed_wills(&self) {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        loop {
            looks.tick().await;
            let due = self.wills.due(now());
            // Together, so that many share one write to the disk.
            futures_util::future::join_all(due.into_iter().map(async |WaitingWill { client, due, will }| {
                self.publish_will(&client, will).await;
                self.store.will_ended(client, due).await;
            }))
            .await;
        }
    }

    /// Whether a thing has this name.
    pub(super) async fn is_thing(&self, name: &str) -> Result<bool, sqlx::Error> {
        let found = sqlx::query("SELECT 1 FROM things WHERE name = $1").bind(name.to_owned());
        Ok(found.fetch_optional(&self.database).await?.is_some())
    }
}
