//! What the client subscribes to.

use super::decisions::Denied;
use super::{Connection, End};
use crate::broker::sessions::SubscribeError;
use crate::broker::wire::{
    Answer, DisconnectReasonCode, RetainHandling, Subscribe, SubscribeAckReason, Subscription, Unsubscribe,
    UnsubscribeAckReason,
};
use fleet_protocol::mqtt_topic::{self, TopicError};
use fleet_protocol::policy::Action;

/// A filter that is not subscribed to.
enum Refused {
    /// And the client is told so.
    With(SubscribeAckReason, Denied),
    /// The connection cannot go on.
    End(DisconnectReasonCode),
}

impl Connection {
    pub(super) async fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), End> {
        let mut reasons = Vec::with_capacity(subscribe.filters.len());
        for (filter, subscription, handling) in subscribe.filters {
            if self.link.is_cut() {
                return Ok(());
            }
            match self.subscribe_to(&filter, subscription, handling).await {
                Ok(()) if subscription.at_least_once => reasons.push(SubscribeAckReason::GrantedQos1),
                Ok(()) => reasons.push(SubscribeAckReason::GrantedQos0),
                Err(Refused::With(reason, denied)) => {
                    self.core.refuse(&self.link, Action::Subscribe, &filter, &denied);
                    if denied.is_violation() && self.core.disconnects_subscriber(&self.link) {
                        return Err(End::Told(DisconnectReasonCode::NotAuthorized));
                    }
                    reasons.push(reason);
                }
                Err(Refused::End(reason)) => return Err(End::Told(reason)),
            }
        }
        self.wire.put(Answer::SubscribeAck { packet_id: subscribe.packet_id, reasons });
        Ok(())
    }

    async fn subscribe_to(
        &mut self,
        filter: &str,
        subscription: Subscription,
        handling: RetainHandling,
    ) -> Result<(), Refused> {
        mqtt_topic::check_filter(filter).map_err(|why| {
            let reason = match why {
                TopicError::Shared => SubscribeAckReason::SharedSubscriptionNotSupported,
                _ => SubscribeAckReason::TopicFilterInvalid,
            };
            Refused::With(reason, Denied::new("topic", why))
        })?;
        self.core.decide(&self.link, Action::Subscribe, filter).await.map_err(|denied| {
            let reason = match denied.is_violation() {
                true => SubscribeAckReason::NotAuthorized,
                false => SubscribeAckReason::UnspecifiedError,
            };
            Refused::With(reason, denied)
        })?;
        let (core, wanted) = (&self.core, (filter, subscription, handling));
        let renumbered = |message: &crate::broker::message::Message| message.again(core.ids.next());
        let subscribed =
            core.sessions.subscribe(&self.client, self.link.number, wanted, &core.retained, renumbered).await;
        subscribed.map_err(|error| match error {
            SubscribeError::TooMany => {
                Refused::With(SubscribeAckReason::QuotaExceeded, Denied::new("subscriptions", error))
            }
            SubscribeError::Gone => Refused::End(DisconnectReasonCode::SessionTakenOver),
            SubscribeError::Store(error) => {
                tracing::error!(%error, client = %self.client.id, "a subscription could not be kept");
                Refused::End(DisconnectReasonCode::UnspecifiedError)
            }
        })
    }

    pub(super) async fn unsubscribe(&mut self, unsubscribe: Unsubscribe) -> Result<(), End> {
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for filter in &unsubscribe.filters {
            let was_there = self.core.sessions.unsubscribe(&self.client, self.link.number, filter).await;
            let was_there = was_there.map_err(|error| {
                tracing::error!(%error, client = %self.client.id, "the end of a subscription could not be kept");
                End::Told(DisconnectReasonCode::UnspecifiedError)
            })?;
            reasons.push(match was_there {
                true => UnsubscribeAckReason::Success,
                false => UnsubscribeAckReason::NoSubscriptionExisted,
            });
        }
        self.wire.put(Answer::UnsubscribeAck { packet_id: unsubscribe.packet_id, reasons });
        Ok(())
    }
}
