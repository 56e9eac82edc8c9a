//! What waits for the client goes to it.

use super::{Connection, End};
use crate::broker::client::Item;
use crate::broker::message::Message;
use crate::broker::now;
use crate::broker::wire::{Answer, DisconnectReasonCode};
use fleet_protocol::policy::Action;

impl Connection {
    /// Sends as much as the client takes at once.
    pub(super) async fn send_waiting(&mut self) -> Result<(), End> {
        while !self.wire.is_full() && !self.link.is_cut() {
            match self.core.sessions.next(&self.client, self.link.number).await {
                Ok(Some((message, item))) => self.send(&message, item).await,
                Ok(None) => return Ok(()),
                Err(error) => {
                    tracing::error!(%error, client = %self.client.id, "could not read what waits for a client");
                    return Err(End::Told(DisconnectReasonCode::UnspecifiedError));
                }
            }
        }
        Ok(())
    }

    async fn send(&mut self, message: &Message, item: Item) {
        let now = now();
        let goes_out = !message.is_expired(now) && self.may_receive(message.topic()).await;
        let (sessions, number) = (&self.core.sessions, self.link.number);
        if !goes_out {
            return sessions.settle(&self.client, message.id).await;
        }
        let mut publish = message.sent(now, item.retain, item.at_least_once, item.identifiers);
        if item.at_least_once {
            // Without one the client has another connection by now, which gets it.
            let Some((packet_id, again)) = sessions.begin(&self.client, number, message.id) else { return };
            // MQTT 5 §4.4: again, under the old packet identifier.
            (publish.packet_id, publish.dup) = (Some(packet_id), again);
        }
        let packet_id = publish.packet_id;
        if self.wire.put(Answer::Publish(Box::new(publish))) {
            self.core.metrics.mqtt_message("out");
        } else if let Some(packet_id) = packet_id {
            // MQTT 5 §3.1.2.11.4: as if the client had it.
            sessions.acknowledged(&self.client, number, packet_id).await;
        }
    }

    /// Whether the client may be sent this message. AWS looks at it when it is sent, since the policy may have changed
    /// since the client subscribed.
    async fn may_receive(&mut self, topic: &str) -> bool {
        let decided = self.core.decide(&self.link, Action::Receive, topic).await;
        if let Err(why) = &decided
            && !(why.is_violation() && self.is_of_person())
        {
            self.core.refuse(&self.link, Action::Receive, topic, why);
        }
        decided.is_ok()
    }

    /// A person may subscribe to the topics of all things and is sent those of their own: the others are no violation.
    fn is_of_person(&self) -> bool {
        self.link.admitted().is_some_and(|admitted| admitted.identity.person().is_some())
    }
}
