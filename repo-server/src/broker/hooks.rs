//! What the library asks at each step of a connection, and what it is answered.

use super::Core;
use super::admission::check_client_id;
use super::link::{Admitted, Link};
use super::presence::disconnect_reason;
use super::{sessions, topics};
use crate::messaging::Sender;
use crate::policies::Subject;
use async_trait::async_trait;
use fleet_protocol::policy::Action;
use jiff::Timestamp;
use rmqtt::codec::types::MQTT_LEVEL_5;
use rmqtt::codec::v5::{DisconnectReasonCode, PublishAckReason, SubscribeAckReason, ToReasonCode as _};
use rmqtt::hook::{Handler, HookResult, Parameter, ReturnType, Type};
use rmqtt::session::Session;
use rmqtt::types::{
    AuthResult, ConnectInfo, LastWill, Publish, PublishAclResult, PublishResult, QoS, Reason, Subscribe,
    SubscribeAclResult,
};
use std::sync::Arc;

/// AWS: the longest payload, in bytes.
const LONGEST_PAYLOAD: usize = 128 << 10;
/// Under which name a session carries its link.
const LINK: &str = "link";

/// The steps at which the broker is asked.
pub(super) const ASKED_AT: [Type; 11] = [
    Type::ClientAuthenticate,
    Type::ClientConnected,
    Type::ClientDisconnected,
    Type::ClientSubscribeCheckAcl,
    Type::MessagePublish,
    Type::MessagePublishCheckAcl,
    Type::MessageExpiryCheck,
    Type::MessageDelivered,
    Type::MessageAcked,
    Type::MessageDropped,
    Type::SessionTerminated,
];

/// Answers the library.
#[derive(Clone)]
pub(super) struct Hooks(pub(super) Arc<Core>);

#[async_trait]
impl Handler for Hooks {
    async fn hook(&self, asked: &Parameter, _: Option<HookResult>) -> ReturnType {
        (false, self.answer(asked).await)
    }
}

impl Hooks {
    async fn answer(&self, asked: &Parameter<'_>) -> Option<HookResult> {
        match asked {
            Parameter::ClientAuthenticate(connect) => {
                let result = match self.0.admit(connect).await {
                    Ok(()) => AuthResult::Allow(false, None),
                    Err(why) => {
                        let (client, address) = (connect.client_id(), why.address);
                        self.0.metrics.mqtt_refused(why.what);
                        tracing::warn!(%client, address, certificate = why.certificate, why = why.text, "refused an MQTT client");
                        AuthResult::NotAuthorized
                    }
                };
                return Some(HookResult::AuthResult(result));
            }
            Parameter::ClientConnected(session) => self.0.connected(session).await,
            Parameter::ClientDisconnected(session, reason) => self.0.disconnected(session, reason).await,
            Parameter::ClientSubscribeCheckAcl(session, subscribe) => {
                return self.0.check_subscribe(session, subscribe).await.map(HookResult::SubscribeAclResult);
            }
            Parameter::MessagePublish(_, _, publish) => {
                return Some(HookResult::Publish(self.0.stamp((*publish).clone())));
            }
            Parameter::MessagePublishCheckAcl(session, publish) => {
                return Some(HookResult::PublishAclResult(self.0.check_publish(session, publish).await));
            }
            Parameter::MessageExpiryCheck(session, _, publish) => {
                return (!self.0.may_receive(session, publish).await).then_some(HookResult::MessageExpiry);
            }
            Parameter::MessageDelivered(session, _, publish) => {
                if let Some(link) = link_of(session).await {
                    link.sent(sessions::size(publish));
                }
                self.0.metrics.mqtt_message("out");
            }
            Parameter::MessageAcked(session, _, publish) => {
                if let Some(message) = publish.create_time {
                    self.0.sessions.settle(&session.id.client_id, message).await;
                }
            }
            Parameter::MessageDropped(Some(to), _, publish, reason) => {
                if let Some(link) = self.0.sessions.link(&to.client_id) {
                    link.sent(sessions::size(publish));
                }
                // One that it may not have, or whose time is over. Others wait for the next connection.
                if let (Reason::MessageExpiration, Some(message)) = (reason, publish.create_time) {
                    self.0.sessions.settle(&to.client_id, message).await;
                }
            }
            _ => {}
        }
        None
    }
}

async fn link_of(session: &Session) -> Option<Arc<Link>> {
    session.extra_attrs.read().await.get::<Arc<Link>>(LINK).cloned()
}

/// Why a client is not let in.
struct NotAdmitted {
    /// One of few words.
    what: &'static str,
    text: String,
    address: String,
    certificate: String,
}

impl Core {
    /// Whether a client may connect as it asks to.
    async fn admit(&self, connect: &ConnectInfo) -> Result<(), NotAdmitted> {
        let inner = connect.ipaddress();
        let Some(link) = inner.and_then(|inner| self.links.get(inner)) else {
            let address = inner.map(|inner| inner.to_string()).unwrap_or_default();
            let text = "it did not come through the server's front".to_owned();
            return Err(NotAdmitted { what: "front", text, address, certificate: String::new() });
        };
        self.admit_linked(connect, &link).await.map_err(|(what, text)| {
            let certificate = link.identity.certificate().to_string();
            NotAdmitted { what, text, address: link.address.to_string(), certificate }
        })
    }

    async fn admit_linked(&self, connect: &ConnectInfo, link: &Arc<Link>) -> Result<(), (&'static str, String)> {
        let client_id = connect.client_id();
        let is_thing = self.is_thing(client_id).await.map_err(|error| ("failed", error.to_string()))?;
        check_client_id(client_id, &link.identity, is_thing).map_err(|why| ("client-id", why.to_string()))?;
        let will = connect.last_will().map(Will::of);
        let persistent = match connect {
            ConnectInfo::V3(_, connect) => !connect.clean_session,
            ConnectInfo::V5(_, connect) => connect.session_expiry_interval_secs > 0,
        };
        let mut subject = Subject {
            client_id: client_id.to_string(),
            certificate: link.identity.certificate().clone(),
            address: link.address,
            persistent,
            will_topic: will.as_ref().map(|will| will.topic.to_owned()),
        };
        self.may(&subject, Action::Connect, client_id).await?;
        if let Some(Will { topic, payload, qos, retain }) = will {
            topics::check_name(topic).map_err(|why| ("will", format!("the will's topic {topic:?}: {why}")))?;
            if topics::is_reserved(topic) || payload > LONGEST_PAYLOAD || qos == QoS::ExactlyOnce {
                return Err((
                    "will",
                    format!("a will to {topic:?} of {payload} bytes at QoS {} is not taken", qos.value()),
                ));
            }
            self.may(&subject, Action::Publish, topic).await?;
            if retain {
                self.may(&subject, Action::RetainPublish, topic).await?;
            }
        }
        // They are looked at when it connects.
        (subject.persistent, subject.will_topic) = (false, None);
        let admitted = Admitted { subject, version5: connect.proto_ver() == MQTT_LEVEL_5 };
        if link.is_cut() || !link.admit(admitted) {
            return Err(("certificate", "the connection is being ended".to_owned()));
        }
        Ok(())
    }

    async fn may(&self, who: &Subject, action: Action, resource: &str) -> Result<(), (&'static str, String)> {
        match self.policies.decide(who, action, resource).await {
            Ok(decision) if decision.is_allowed() => Ok(()),
            Ok(decision) => Err(("policy", format!("{action} on {resource}: {decision}"))),
            Err(error) => Err(("failed", error.to_string())),
        }
    }

    async fn connected(&self, session: &Session) {
        let link = session.id.remote_addr.and_then(|inner| self.links.get(inner));
        let Some(link) = link else { return };
        session.extra_attrs.write().await.insert(LINK.into(), link.clone());
        tracing::info!(
            client = link.client_id(), address = %link.address, certificate = %link.identity.certificate(), "an MQTT client connected"
        );
        if link.identity.is_new {
            let (certificate, now) = (link.identity.certificate(), Timestamp::now());
            if let Err(error) = self.services.provisioning.connected(certificate, link.address, now).await {
                tracing::error!(%error, %certificate, "a thing was not verified by its first connection; the next one will");
            }
        }
        self.tell_connected(&link).await;
    }

    async fn disconnected(&self, session: &Session, reason: &Reason) {
        let expiry = session.fitter.session_expiry_interval(session.disconnect().await.unwrap_or(None).as_ref());
        self.sessions.disconnect(&session.id, i64::try_from(expiry.as_secs()).unwrap_or(i64::MAX)).await;
        let Some(link) = link_of(session).await else { return };
        link.explain(code_of(reason));
        let reason = disconnect_reason(reason, link.reason());
        tracing::info!(client = link.client_id(), address = %link.address, %reason, "an MQTT client disconnected");
        self.tell_disconnected(&link, reason).await;
    }

    /// Gives a message its id, which is its time. Its properties are there whoever sent it: the library adds to them.
    fn stamp(&self, mut publish: Publish) -> Publish {
        publish.create_time = Some(self.ids.next());
        publish.properties.get_or_insert_default();
        publish
    }

    /// None takes the subscription.
    async fn check_subscribe(&self, session: &Session, subscribe: &Subscribe) -> Option<SubscribeAclResult> {
        let filter = &*subscribe.topic_filter;
        let link = link_of(session).await;
        let (what, code, text) = match (&link, topics::check_filter(filter)) {
            (Some(link), Ok(())) if !link.is_cut() => match self.decide(link, Action::Subscribe, filter).await {
                Ok(()) => return None,
                Err((what @ "policy", why)) => (what, SubscribeAckReason::NotAuthorized, why),
                Err((what, why)) => (what, SubscribeAckReason::UnspecifiedError, why),
            },
            (Some(_), Err(topics::TopicError::Shared)) => {
                let text = topics::TopicError::Shared.to_string();
                ("topic", SubscribeAckReason::SharedSubscriptionNotSupported, text)
            }
            (Some(_), Err(why)) => ("topic", SubscribeAckReason::TopicFilterInvalid, why.to_string()),
            _ => ("certificate", SubscribeAckReason::NotAuthorized, "the connection is being ended".to_owned()),
        };
        self.refuse(link.as_deref(), Action::Subscribe, filter, what, &text);
        if let Some(link) = link.filter(|link| what == "policy" && self.disconnects(link)) {
            link.cut(DisconnectReasonCode::NotAuthorized);
        }
        Some(SubscribeAclResult::new_failure(code))
    }

    /// Whether a message is taken. When it is, what it asks of the server is done, and what kept sessions must get of it is on
    /// the disk.
    async fn check_publish(&self, session: &Session, publish: &Publish) -> PublishAclResult {
        self.metrics.mqtt_message("in");
        let link = link_of(session).await;
        let refused = match &link {
            Some(link) if !link.is_cut() => self.take(link, session, publish).await,
            _ => Err(Refused::ended()),
        };
        let Err(Refused { what, code, text }) = refused else { return PublishAclResult::allow() };
        self.refuse(link.as_deref(), Action::Publish, &publish.topic, what, &text);
        // At QoS 0 nothing else can be answered.
        let disconnect = publish.qos == QoS::AtMostOnce || link.as_deref().is_none_or(|link| self.disconnects(link));
        if let Some(link) = link.filter(|_| disconnect) {
            link.explain(code.to_reason_code());
        }
        PublishAclResult(PublishResult::reason_code(code, Some(text.into()), disconnect))
    }

    async fn take(&self, link: &Arc<Link>, session: &Session, publish: &Publish) -> Result<(), Refused> {
        let topic = &*publish.topic;
        topics::check_name(topic).map_err(|why| Refused::new("topic", PublishAckReason::TopicNameInvalid, why))?;
        if publish.payload.len() > LONGEST_PAYLOAD {
            let text = format!("a payload has at most {LONGEST_PAYLOAD} bytes");
            return Err(Refused::new("size", PublishAckReason::QuotaExceeded, text));
        }
        if publish.qos == QoS::ExactlyOnce {
            let text = "QoS 2 is not supported";
            return Err(Refused::new("qos", PublishAckReason::ImplementationSpecificError, text));
        }
        self.allowed(link, Action::Publish, topic).await?;
        if publish.retain {
            self.allowed(link, Action::RetainPublish, topic).await?;
            if !self.retained.has_room(publish) {
                let text = "the server retains too many messages already";
                return Err(Refused::new("retained", PublishAckReason::QuotaExceeded, text));
            }
        }
        if topics::is_reserved(topic) {
            return self.serve(link, publish).await;
        }
        let subscribers = self.index.subscribers(topic, Some(&session.id));
        self.sessions
            .keep(publish, &subscribers)
            .await
            .map_err(|error| Refused::new("failed", PublishAckReason::UnspecifiedError, error))
    }

    /// A message on a reserved topic is a request to the server, and its answer goes to whom it concerns.
    async fn serve(&self, link: &Arc<Link>, publish: &Publish) -> Result<(), Refused> {
        let client_id = link.client_id();
        let sender = Sender {
            client_id: client_id.to_owned(),
            certificate: link.identity.certificate().clone(),
            thing: link.identity.thing(client_id).cloned(),
            address: link.address,
        };
        match self.services.answer(&sender, &publish.topic, &publish.payload).await {
            Some(answers) => {
                for answer in answers {
                    self.say(answer, Some(client_id)).await;
                }
                Ok(())
            }
            None => {
                let text = "the server has no such topic, and others may not use $ at the beginning";
                Err(Refused::new("topic", PublishAckReason::TopicNameInvalid, text))
            }
        }
    }

    async fn allowed(&self, link: &Arc<Link>, action: Action, resource: &str) -> Result<(), Refused> {
        match self.decide(link, action, resource).await {
            Ok(()) => Ok(()),
            Err((what @ "policy", why)) => Err(Refused::new(what, PublishAckReason::NotAuthorized, why)),
            Err((what, why)) => Err(Refused::new(what, PublishAckReason::UnspecifiedError, why)),
        }
    }

    /// Whether a client may be sent this message. AWS looks at it when it is sent, since the policy may have changed since
    /// the client subscribed.
    async fn may_receive(&self, session: &Session, publish: &Publish) -> bool {
        let Some(link) = link_of(session).await else { return false };
        let decided = self.decide(&link, Action::Receive, &publish.topic).await;
        if let Err((what, why)) = &decided {
            self.refuse(Some(&link), Action::Receive, &publish.topic, what, why);
        }
        decided.is_ok()
    }

    async fn decide(&self, link: &Link, action: Action, resource: &str) -> Result<(), (&'static str, String)> {
        match link.admitted() {
            Some(admitted) => self.may(&admitted.subject, action, resource).await,
            None => Err(("policy", "it has not connected".to_owned())),
        }
    }

    fn refuse(&self, link: Option<&Link>, action: Action, resource: &str, what: &'static str, why: &str) {
        self.metrics.mqtt_refused(what);
        let client = link.map_or("", Link::client_id);
        let address = link.map(|link| link.address.to_string()).unwrap_or_default();
        tracing::warn!(client, address, %action, resource, why, "refused what an MQTT client asked for");
    }
}

/// A message that is not taken.
struct Refused {
    /// One of few words.
    what: &'static str,
    code: PublishAckReason,
    text: String,
}

impl Refused {
    fn new(what: &'static str, code: PublishAckReason, text: impl ToString) -> Self {
        Self { what, code, text: text.to_string() }
    }

    fn ended() -> Self {
        Self::new("certificate", PublishAckReason::NotAuthorized, "the connection is being ended")
    }
}

/// What a client has the server publish when its connection breaks.
struct Will<'a> {
    topic: &'a str,
    payload: usize,
    qos: QoS,
    retain: bool,
}

impl<'a> Will<'a> {
    fn of(will: LastWill<'a>) -> Self {
        match will {
            LastWill::V3(will) => {
                Self { topic: &will.topic, payload: will.message.len(), qos: will.qos, retain: will.retain }
            }
            LastWill::V5(will) => {
                Self { topic: &will.topic, payload: will.message.len(), qos: will.qos, retain: will.retain }
            }
        }
    }
}

/// What a client of MQTT 5 is told when nobody said anything better.
fn code_of(reason: &Reason) -> DisconnectReasonCode {
    match reason {
        Reason::Reasons(all) => all.first().map_or(DisconnectReasonCode::UnspecifiedError, code_of),
        Reason::ConnectKicked(_) => DisconnectReasonCode::SessionTakenOver,
        Reason::ConnectRemoteClose => DisconnectReasonCode::UnspecifiedError,
        // The library tells of packets that it cannot read by their errors' words.
        Reason::Error(text) if text.starts_with("Max size exceeded") => DisconnectReasonCode::PacketTooLarge,
        Reason::Error(_) => DisconnectReasonCode::MalformedPacket,
        other => other.to_reason_code(),
    }
}
