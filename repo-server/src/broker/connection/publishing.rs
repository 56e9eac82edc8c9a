//! What the client publishes.

use super::decisions::Denied;
use super::{Connection, End};
use crate::broker::link::Link;
use crate::broker::message::{Message, OVERHEAD};
use crate::broker::sessions::Delivery;
use crate::broker::shared::Core;
use crate::broker::store::StoreError;
use crate::broker::wire::{Answer, DisconnectReasonCode, Publish, PublishAckReason, QoS};
use crate::messaging::Sender;
use fleet_protocol::mqtt_topic;
use fleet_protocol::policy::Action;
use std::num::NonZeroU16;

/// AWS: the longest payload, in bytes.
pub(super) const LONGEST_PAYLOAD: usize = 128 << 10;

/// A message that is not taken.
struct Refused {
    code: PublishAckReason,
    denied: Denied,
}

impl Refused {
    fn new(what: &'static str, code: PublishAckReason, why: impl ToString) -> Self {
        Self { code, denied: Denied::new(what, why) }
    }

    /// What the client is told when it is disconnected for it.
    fn disconnect_reason(&self) -> DisconnectReasonCode {
        if self.denied.what == "size" {
            return DisconnectReasonCode::PacketTooLarge;
        }
        DisconnectReasonCode::try_from(u8::from(self.code)).unwrap_or(DisconnectReasonCode::UnspecifiedError)
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        let code =
            if denied.is_violation() { PublishAckReason::NotAuthorized } else { PublishAckReason::UnspecifiedError };
        Self { code, denied }
    }
}

/// Messages that were taken and are not yet kept, with the packet identifiers under which they came.
type Taken = Vec<(Option<NonZeroU16>, Delivery)>;

impl Connection {
    /// What a client publishes without waiting for answers goes to the disk together.
    pub(super) async fn publish(&mut self, publishes: Vec<Publish>) -> Result<(), End> {
        let mut taken = Taken::with_capacity(publishes.len());
        for publish in publishes {
            if let Err(end) = self.publish_one(publish, &mut taken).await {
                self.keep(&mut taken).await?;
                return Err(end);
            }
        }
        self.keep(&mut taken).await
    }

    async fn publish_one(&mut self, mut publish: Publish, taken: &mut Taken) -> Result<(), End> {
        self.core.metrics.mqtt_message("in");
        self.aliases.resolve(&mut publish).map_err(End::Told)?;
        if publish.qos == QoS::ExactlyOnce {
            let denied = Denied::new("qos", "QoS 2 is not supported");
            self.core.refuse(&self.link, Action::Publish, &publish.topic, &denied);
            return Err(End::Told(DisconnectReasonCode::QosNotSupported));
        }
        let packet_id = publish.packet_id;
        let message = Message::new(self.core.ids.next(), publish);
        let outcome = match self.core.take(&self.link, &message).await {
            Ok(()) if !message.publish.retain && !mqtt_topic::is_reserved(message.topic()) => {
                taken.push((packet_id, self.core.delivery(message, self.link.client_id())));
                return Ok(());
            }
            // In the order in which they came.
            Ok(()) => {
                self.keep(taken).await?;
                self.core.pass_on(&self.link, message).await
            }
            Err(refused) => {
                self.keep(taken).await?;
                self.core.refuse(&self.link, Action::Publish, message.topic(), &refused.denied);
                Err(refused)
            }
        };
        self.answer(packet_id, outcome)
    }

    async fn keep(&mut self, taken: &mut Taken) -> Result<(), End> {
        if taken.is_empty() {
            return Ok(());
        }
        let (packet_ids, deliveries): (Vec<_>, Vec<_>) = std::mem::take(taken).into_iter().unzip();
        if let Err(error) = self.core.sessions.keep(&deliveries).await {
            return packet_ids.into_iter().try_for_each(|id| self.answer(id, Err(not_kept(&self.link, &error))));
        }
        deliveries.into_iter().for_each(|delivery| self.core.sessions.deliver(delivery));
        packet_ids.into_iter().try_for_each(|packet_id| self.answer(packet_id, Ok(())))
    }

    fn answer(&mut self, packet_id: Option<NonZeroU16>, outcome: Result<(), Refused>) -> Result<(), End> {
        match (packet_id, outcome) {
            (None, Ok(())) => {}
            (Some(packet_id), Ok(())) => {
                let reason = PublishAckReason::Success;
                self.wire.put(Answer::PublishAck { packet_id, reason, text: None });
            }
            (Some(packet_id), Err(refused)) if !self.core.disconnects(&self.link) => {
                let (reason, text) = (refused.code, Some(refused.denied.why));
                self.wire.put(Answer::PublishAck { packet_id, reason, text });
            }
            // At QoS 0 nothing else can be answered.
            (_, Err(refused)) => return Err(End::Told(refused.disconnect_reason())),
        }
        Ok(())
    }
}

fn not_kept(link: &Link, error: &StoreError) -> Refused {
    tracing::error!(%error, client = link.client_id(), "a message could not be kept and is not acknowledged");
    Refused::new("failed", PublishAckReason::UnspecifiedError, error)
}

impl Core {
    /// Whether a message is taken.
    async fn take(&self, link: &Link, message: &Message) -> Result<(), Refused> {
        let (topic, publish) = (message.topic(), &message.publish);
        mqtt_topic::check_name(topic).map_err(|why| Refused::new("topic", PublishAckReason::TopicNameInvalid, why))?;
        if publish.payload.len() > LONGEST_PAYLOAD {
            let why = format!("a payload has at most {LONGEST_PAYLOAD} bytes");
            return Err(Refused::new("size", PublishAckReason::QuotaExceeded, why));
        }
        self.decide(link, Action::Publish, topic).await?;
        if publish.retain {
            self.decide(link, Action::RetainPublish, topic).await?;
            let size = topic.len() + publish.payload.len() + OVERHEAD;
            if !publish.payload.is_empty() && !self.retained.has_room(size) {
                let why = "the server retains too many messages already";
                return Err(Refused::new("retained", PublishAckReason::QuotaExceeded, why));
            }
        }
        Ok(())
    }

    /// Does what a message asks of the server, or passes it on. When it returns, what kept sessions must get of it is on the
    /// disk.
    async fn pass_on(&self, link: &Link, message: Message) -> Result<(), Refused> {
        if mqtt_topic::is_reserved(message.topic()) {
            let served = self.serve(link, &message).await;
            if let Err(refused) = &served {
                self.refuse(link, Action::Publish, message.topic(), &refused.denied);
            }
            return served;
        }
        self.publish(message, link.client_id()).await.map_err(|error| not_kept(link, &error))
    }

    /// A message on a reserved topic is a request to the server, and its answer goes to whom it concerns.
    async fn serve(&self, link: &Link, message: &Message) -> Result<(), Refused> {
        let client_id = link.client_id();
        let Some(admitted) = link.admitted() else { return Ok(()) };
        let sender =
            Sender { client_id: client_id.to_owned(), principal: admitted.identity.principal(), address: link.address };
        match self.services.answer(&sender, message.topic(), &message.publish.payload).await {
            Some(answers) => {
                self.say(answers, Some(client_id)).await;
                Ok(())
            }
            None => {
                let why = "the server has no such topic, and others may not use $ at the beginning";
                Err(Refused::new("topic", PublishAckReason::TopicNameInvalid, why))
            }
        }
    }
}
