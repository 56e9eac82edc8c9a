//! What counts for a client, and the decision.

use super::certificate_fields::fields_of_pem;
use super::documents::{Documents, document};
use super::rows::target_of;
use super::{Policies, PolicyError};
use fleet_protocol::names::{CertificateId, PolicyName, ThingName};
use fleet_protocol::policies::{EffectivePolicy, PolicyTarget};
use fleet_protocol::policy::{
    Action, CertificateFields, Client, Decision, Finding, NamedPolicy, Request, ThingFacts, decide, explain,
};
use sqlx::Row as _;
use std::net::IpAddr;
use std::sync::Arc;

/// A client that asks, as its connection proved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) client_id: String,
    pub(crate) certificate: CertificateId,
    pub(crate) address: IpAddr,
    /// Whether it asks for a session that lasts. Looked at when it connects.
    pub(crate) persistent: bool,
    /// The topic of its will. Looked at when it connects.
    pub(crate) will_topic: Option<String>,
}

/// A policy and how it came to count.
#[derive(Debug)]
pub(crate) struct Counting {
    pub(crate) policy: Arc<NamedPolicy>,
    pub(super) target: PolicyTarget,
}

impl Counting {
    /// As the API tells it.
    pub(crate) fn told(&self) -> EffectivePolicy {
        let (name, version) = (self.policy.name.clone(), self.policy.version);
        EffectivePolicy { name, version, target: self.target.clone() }
    }
}

/// What counts for a certificate.
#[derive(Debug)]
pub(super) struct Effective {
    /// None: the certificate is not registered.
    fields: Option<Arc<CertificateFields>>,
    /// Attached to the certificate itself.
    own: Vec<Counting>,
    things: Vec<AttachedThing>,
}

#[derive(Debug)]
struct AttachedThing {
    facts: ThingFacts,
    /// Attached to its groups and their parents.
    policies: Vec<Counting>,
}

impl Effective {
    pub(super) fn fields(&self) -> Option<Arc<CertificateFields>> {
        self.fields.clone()
    }

    pub(super) fn fields_of_certificate(&self) -> Option<&CertificateFields> {
        self.fields.as_deref()
    }

    /// The things that the certificate is attached to.
    pub(super) fn thing_names(&self) -> impl Iterator<Item = &ThingName> {
        self.things.iter().map(|thing| &thing.facts.name)
    }

    pub(super) fn facts_of(&self, client_id: &str) -> Option<&ThingFacts> {
        self.thing_of(client_id).map(|thing| &thing.facts)
    }

    pub(super) fn named_policies_of(&self, client_id: &str) -> impl Iterator<Item = &Arc<NamedPolicy>> {
        self.policies_of(client_id).map(|counting| &counting.policy)
    }

    /// The thing that a client of this id connects as: the one of this name, or of the name before its first slash. The
    /// broker lets a client have no other id.
    fn thing_of(&self, client_id: &str) -> Option<&AttachedThing> {
        let name = client_id.split_once('/').map_or(client_id, |(name, _)| name);
        self.things.iter().find(|thing| thing.facts.name.as_str() == name)
    }

    /// The policies that count for a client of this id. Whoever connects as none of the certificate's things is no
    /// better off for it: what is denied to any of them is denied.
    fn policies_of(&self, client_id: &str) -> impl Iterator<Item = &Counting> {
        let things = self.thing_of(client_id).map_or(&self.things[..], std::slice::from_ref);
        self.own.iter().chain(things.iter().flat_map(|thing| &thing.policies))
    }

    fn client<'a>(&'a self, subject: &'a Subject) -> Client<'a> {
        Client {
            client_id: &subject.client_id,
            source_ip: Some(subject.address),
            thing: self.thing_of(&subject.client_id).map(|thing| &thing.facts),
            certificate_id: Some(&subject.certificate),
            certificate: self.fields.as_deref(),
            persistent: subject.persistent,
            will_topic: subject.will_topic.as_deref(),
        }
    }
}

/// A decision with all that led to it.
#[derive(Debug)]
pub(crate) struct Tested {
    pub(crate) decision: Decision,
    pub(crate) thing: Option<ThingName>,
    pub(crate) policies: Vec<EffectivePolicy>,
    pub(crate) findings: Vec<Finding>,
}

impl Policies {
    /// Whether a client may do something with a resource: a client id, a topic, a topic filter, or a thing's name. What
    /// cannot be decided is not allowed.
    pub(crate) async fn decide(
        &self,
        subject: &Subject,
        action: Action,
        resource: &str,
    ) -> Result<Decision, PolicyError> {
        let effective = self.effective(&subject.certificate).await?;
        let client = effective.client(subject);
        let policies = effective.policies_of(&subject.client_id).map(|counting| &counting.policy);
        Ok(decide(policies, &Request { action, resource, client: &client }))
    }

    /// The decision with all that led to it.
    pub(crate) async fn test(&self, subject: &Subject, action: Action, resource: &str) -> Result<Tested, PolicyError> {
        let decision = self.decide(subject, action, resource).await?;
        let effective = self.effective(&subject.certificate).await?;
        let client = effective.client(subject);
        let counting: Vec<&Counting> = effective.policies_of(&subject.client_id).collect();
        let findings =
            explain(counting.iter().map(|counting| &counting.policy), &Request { action, resource, client: &client });
        let policies = counting.iter().map(|counting| counting.told());
        let thing = client.thing.map(|thing| thing.name.clone());
        Ok(Tested { decision, thing, policies: policies.collect(), findings })
    }

    /// The one certificate that is attached to a thing.
    pub(crate) async fn certificate_of(&self, thing: &ThingName) -> Result<CertificateId, PolicyError> {
        let there = sqlx::query("SELECT 1 FROM things WHERE name = $1")
            .bind(thing.as_str())
            .fetch_optional(&self.database)
            .await?;
        if there.is_none() {
            return Err(PolicyError::UnknownThing(thing.clone()));
        }
        let rows = sqlx::query("SELECT certificate FROM thing_principals WHERE thing = $1 LIMIT 2")
            .bind(thing.as_str())
            .fetch_all(&self.database)
            .await?;
        match &*rows {
            [] => Err(PolicyError::NoCertificate(thing.clone())),
            [row] => Ok(row.try_get::<String, _>(0)?.parse()?),
            _ => Err(PolicyError::SeveralCertificates(thing.clone())),
        }
    }

    /// Whether there is a certificate of this id.
    pub(crate) async fn knows_certificate(&self, certificate: &CertificateId) -> Result<bool, PolicyError> {
        let row = sqlx::query("SELECT 1 FROM certificates WHERE id = $1").bind(certificate.as_str());
        Ok(row.fetch_optional(&self.database).await?.is_some())
    }

    pub(super) async fn read_effective(
        &self,
        certificate: &CertificateId,
        fields: Option<Arc<CertificateFields>>,
        documents: &Documents,
    ) -> Result<Effective, PolicyError> {
        let fields = match fields {
            // A certificate never changes.
            Some(fields) => Some(fields),
            None => self.read_fields(certificate).await?.map(Arc::new),
        };
        let mut things = self.read_things(certificate).await?;
        let mut own = Vec::new();
        let rows = sqlx::query(
            "WITH RECURSIVE up (thing, name) AS ( \
                 SELECT m.thing, m.group_name FROM thing_principals p \
                 JOIN thing_group_members m ON m.thing = p.thing WHERE p.certificate = $1 \
                 UNION \
                 SELECT up.thing, g.parent FROM up JOIN thing_groups g ON g.name = up.name WHERE g.parent IS NOT NULL \
             ) \
             SELECT a.policy, a.target_kind, a.target, '' AS thing FROM policy_attachments a \
             WHERE a.target_kind = 'certificate' AND a.target = $2 \
             UNION ALL \
             SELECT a.policy, a.target_kind, a.target, up.thing FROM up \
             JOIN policy_attachments a ON a.target_kind = 'group' AND a.target = up.name \
             ORDER BY 1, 2, 3",
        )
        .bind(certificate.as_str())
        .bind(certificate.as_str())
        .fetch_all(&self.database)
        .await?;
        for row in &rows {
            let name: PolicyName = row.try_get::<String, _>(0)?.parse()?;
            let target = target_of(&row.try_get::<String, _>(1)?, &row.try_get::<String, _>(2)?)?;
            // A policy that was deleted in between raises the generation, so this is read again.
            let Some(policy) = document(documents, &name)? else { continue };
            let counting = Counting { policy, target };
            match row.try_get::<String, _>(3)?.as_str() {
                "" => own.push(counting),
                thing => {
                    let found = things.iter_mut().find(|known| known.facts.name.as_str() == thing);
                    if let Some(thing) = found {
                        thing.policies.push(counting);
                    }
                }
            }
        }
        Ok(Effective { fields, own, things })
    }

    async fn read_fields(&self, certificate: &CertificateId) -> Result<Option<CertificateFields>, PolicyError> {
        let row = sqlx::query("SELECT pem FROM certificates WHERE id = $1")
            .bind(certificate.as_str())
            .fetch_optional(&self.database)
            .await?;
        let pem: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
        Ok(pem.map(|pem| fields_of_pem(&pem)))
    }

    async fn read_things(&self, certificate: &CertificateId) -> Result<Vec<AttachedThing>, PolicyError> {
        let rows = sqlx::query(
            "SELECT t.name, t.type, t.attributes FROM thing_principals p JOIN things t ON t.name = p.thing \
             WHERE p.certificate = $1",
        )
        .bind(certificate.as_str())
        .fetch_all(&self.database)
        .await?;
        let thing = |row: &sqlx::any::AnyRow| -> Result<AttachedThing, PolicyError> {
            let name: ThingName = row.try_get::<String, _>(0)?.parse()?;
            let type_name: Option<String> = row.try_get(1)?;
            let attributes = serde_json::from_str(&row.try_get::<String, _>(2)?)
                .map_err(|reason| PolicyError::Attributes { thing: name.clone(), reason })?;
            let type_name = type_name.map(|name| name.parse()).transpose()?;
            Ok(AttachedThing { facts: ThingFacts { name, type_name, attributes }, policies: Vec::new() })
        };
        rows.iter().map(thing).collect()
    }
}
