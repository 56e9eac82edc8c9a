//! Over MQTT, in the protocol of AWS IoT's fleet provisioning (MQTT API).

use super::{CERTIFY, Exchange, ExchangeError, Owner, REGISTER, Registered, issued, refused, registered};
use crate::broker::{Contact, Shown, options};
use crate::identity::files::{Identity, Issued};
use crate::system::chance;
use fleet_protocol::names::TemplateName;
use fleet_protocol::provisioning::messages::{CertificateRequest, RegistrationRequest};
use fleet_protocol::provisioning::topics::Topic;
use rumqttc::{Client, Connection, Event, Packet, QoS, SubscribeFilter, SubscribeReasonCode};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// For each answer. A hook may take 5 s.
const PATIENCE: Duration = Duration::from_secs(30);
const QUEUE: usize = 8;

/// A connection with the claim certificate.
struct OverMqtt {
    contact: Contact,
    template: TemplateName,
    client: Client,
    connection: Connection,
}

/// Connects.
pub(in crate::identity) fn over_mqtt(
    contact: &Contact,
    owner: Owner<'_>,
    template: &TemplateName,
) -> Result<Box<dyn Exchange>, ExchangeError> {
    let (certificate, key) = owner.read()?;
    let client_id = match owner {
        // Many devices have the same claim; a client of the same id would end this one's connection.
        Owner::Claim(_) => format!("provisioning-{:016x}", chance()),
        Owner::Device { identity, .. } => identity.thing.to_string(),
    };
    let shown = Shown { certificate: &certificate, key: &key };
    let options = options(contact, &client_id, Some(&shown))?;
    let (client, connection) = Client::new(options, QUEUE);
    let mut this = OverMqtt { contact: contact.clone(), template: template.clone(), client, connection };
    this.wait(|packet| matches!(packet, Packet::ConnAck(_)).then_some(()))?;
    Ok(Box::new(this))
}

/// Whether the broker takes the device in as this one.
pub(in crate::identity) fn connects(contact: &Contact, identity: &Identity) -> Result<(), ExchangeError> {
    let Identity { thing, key, certificate, .. } = identity;
    let options = options(contact, thing.as_str(), Some(&Shown { certificate, key }))?;
    let (client, mut connection) = Client::new(options, QUEUE);
    wait(&mut connection, contact, |packet| matches!(packet, Packet::ConnAck(_)).then_some(()))?;
    // Whether it hears of the end does not matter.
    let _ = client.try_disconnect();
    while connection.recv_timeout(PATIENCE).is_ok_and(|event| event.is_ok()) {}
    Ok(())
}

impl Exchange for OverMqtt {
    fn certificate(&mut self, request: &str) -> Result<Issued, ExchangeError> {
        let question = CertificateRequest { certificate_signing_request: request.to_owned() };
        issued(&self.ask(CERTIFY, &Topic::CreateFromCsr, &question)?)
    }

    fn register(&mut self, token: &str, parameters: &BTreeMap<String, String>) -> Result<Registered, ExchangeError> {
        let question =
            RegistrationRequest { certificate_ownership_token: token.to_owned(), parameters: parameters.clone() };
        registered(&self.ask(REGISTER, &Topic::Provision(self.template.clone()), &question)?)
    }
}

impl OverMqtt {
    fn ask(&mut self, what: &'static str, topic: &Topic, question: &impl Serialize) -> Result<Vec<u8>, ExchangeError> {
        let payload = serde_json::to_vec(question).map_err(|cause| ExchangeError::Answer { question: what, cause })?;
        let (accepted, rejected) = (topic.accepted(), topic.rejected());
        let filters = [&accepted, &rejected].map(|topic| SubscribeFilter::new(topic.clone(), QoS::AtLeastOnce));
        // A queue of this length does not fill up.
        let _ = self.client.try_subscribe_many(filters);
        let allowed = self.wait(|packet| match packet {
            Packet::SubAck(answer) => Some(!answer.return_codes.contains(&SubscribeReasonCode::Failure)),
            _ => None,
        })?;
        if !allowed {
            let (code, reason) = ("SUBACK 128".to_owned(), format!("the claim may not subscribe to {accepted}"));
            return Err(ExchangeError::Refused { question: what, code, reason });
        }
        let _ = self.client.try_publish(topic.to_string(), QoS::AtLeastOnce, false, payload);
        let (is_accepted, answer) = self.wait(|packet| match packet {
            Packet::Publish(message) if message.topic == accepted => Some((true, message.payload.to_vec())),
            Packet::Publish(message) if message.topic == rejected => Some((false, message.payload.to_vec())),
            _ => None,
        })?;
        if is_accepted { Ok(answer) } else { Err(refused(what, &answer)) }
    }

    fn wait<T>(&mut self, wanted: impl FnMut(Packet) -> Option<T>) -> Result<T, ExchangeError> {
        wait(&mut self.connection, &self.contact, wanted)
    }
}

/// Waits for a packet, as long as the connection lasts.
fn wait<T>(
    connection: &mut Connection,
    contact: &Contact,
    mut wanted: impl FnMut(Packet) -> Option<T>,
) -> Result<T, ExchangeError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match connection.recv_timeout(left) {
            Ok(Ok(Event::Incoming(packet))) => {
                if let Some(found) = wanted(packet) {
                    return Ok(found);
                }
            }
            Ok(Ok(Event::Outgoing(_))) => {}
            Ok(Err(cause)) => return Err(contact.failed(cause).into()),
            Err(_) => return Err(contact.silent(PATIENCE).into()),
        }
    }
}
