//! The client that asks, as policies see it.

use super::action::Action;
use super::variable::{Variable, Which};
use crate::names::{CertificateId, ThingName, ThingTypeName};
use core::net::IpAddr;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A client that connects or is connected.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The MQTT client id.
    pub client_id: &'a str,
    /// Where it connects from.
    pub source_ip: Option<IpAddr>,
    /// The thing that it connects as: its certificate is attached to it.
    pub thing: Option<&'a ThingFacts>,
    /// The id of its certificate.
    pub certificate_id: Option<&'a CertificateId>,
    /// What its certificate says.
    pub certificate: Option<&'a CertificateFields>,
    /// Whether it asks for a session that lasts. Looked at when it connects.
    pub persistent: bool,
    /// The topic of its will. Looked at when it connects.
    pub will_topic: Option<&'a str>,
}

/// What the registry knows of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThingFacts {
    /// Its name.
    pub name: ThingName,
    /// Its type.
    pub type_name: Option<ThingTypeName>,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
}

/// The fields of a certificate by AWS's names, such as `Subject.CommonName`, each with its values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateFields(BTreeMap<String, Vec<String>>);

impl CertificateFields {
    /// AWS's limits: of more values the first five count, and no value that is longer than this, in characters.
    const MOST_VALUES: usize = 5;
    const LONGEST_VALUE: usize = 1024;

    /// Adds a value behind those that the field has.
    pub fn add(&mut self, field: &str, value: &str) {
        let values = self.0.entry(field.to_owned()).or_default();
        if values.len() < Self::MOST_VALUES && value.chars().count() <= Self::LONGEST_VALUE {
            values.push(value.to_owned());
        }
    }
}

impl<'a> Client<'a> {
    /// The values of a variable; none if the client has no such thing.
    pub(super) fn values(&self, variable: &Variable, action: Action) -> Vec<Cow<'a, str>> {
        match variable {
            Variable::Certificate(name, Which::All) => {
                let values = self.certificate.and_then(|certificate| certificate.0.get(name));
                values.into_iter().flatten().map(|value| Cow::Borrowed(value.as_str())).collect()
            }
            Variable::CertificateKeys => {
                let fields = self.certificate.map(|certificate| certificate.0.keys());
                fields.into_iter().flatten().map(|name| Cow::Owned(format!("iot:Certificate.{name}"))).collect()
            }
            Variable::ConnectAttributes if action == Action::Connect => {
                let persistent = self.persistent.then_some(Cow::Borrowed("PersistentConnect"));
                let will = self.will_topic.map(|_| Cow::Borrowed("LastWill"));
                persistent.into_iter().chain(will).collect()
            }
            single => self.value(single, action).into_iter().collect(),
        }
    }

    /// Whether it is known what a variable stands for, for whoever says in advance what a client may do: not an address
    /// that is not given, nor how it will connect.
    pub(super) fn knows(&self, variable: &Variable, action: Action) -> bool {
        match variable {
            Variable::SourceIp => self.source_ip.is_some(),
            Variable::ConnectAttributes | Variable::LastWillTopic => action != Action::Connect,
            _ => true,
        }
    }

    /// The value of a variable that has no more than one.
    pub(super) fn value(&self, variable: &Variable, action: Action) -> Option<Cow<'a, str>> {
        Some(match variable {
            Variable::ClientId => Cow::Borrowed(self.client_id),
            Variable::SourceIp => Cow::Owned(self.source_ip?.to_canonical().to_string()),
            Variable::ThingName => Cow::Borrowed(self.thing?.name.as_str()),
            Variable::ThingTypeName => Cow::Borrowed(self.thing?.type_name.as_ref()?.as_str()),
            Variable::Attribute(name) => Cow::Borrowed(self.thing?.attributes.get(name)?),
            Variable::IsAttached => Cow::Borrowed(if self.thing.is_some() { "true" } else { "false" }),
            Variable::CertificateId => Cow::Borrowed(self.certificate_id?.as_str()),
            Variable::Certificate(name, Which::Number(number)) => {
                Cow::Borrowed(self.certificate?.0.get(name)?.get(*number)?)
            }
            Variable::LastWillTopic => {
                let topic = self.will_topic.filter(|_| action == Action::Connect)?;
                Cow::Owned(format!("{}/{topic}", Action::Publish.resource_type()))
            }
            Variable::ConnectAttributes | Variable::CertificateKeys | Variable::Certificate(_, Which::All) => {
                return None;
            }
        })
    }
}
