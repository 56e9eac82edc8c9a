//! What a plan makes of things and policies. Each part may be made again.

use super::{Provisioning, ProvisioningError};
use crate::audit::Actor;
use debian_formats::checksums::sha256_hex;
use fleet_protocol::certificates::CertificateInfo;
use fleet_protocol::names::{CertificateId, GroupName, PolicyName};
use fleet_protocol::policies::{NewPolicy, PolicyTarget};
use fleet_protocol::policy::INITIAL;
use fleet_protocol::provisioning::template::{Override, Plan, PolicyPlan, ThingPlan};
use fleet_protocol::things::{
    AttributePayload, Attributes, NewThing, Thing, ThingChange, UNVERIFIED_GROUP, VERIFIED_GROUP,
};
use sqlx::Row as _;
use std::collections::BTreeMap;

impl Provisioning {
    pub(super) async fn carry_out(
        &self,
        plan: &Plan,
        id: &CertificateId,
        certificate: &CertificateInfo,
        actor: &Actor,
    ) -> Result<(), ProvisioningError> {
        let (registry, thing) = (&self.domains.registry, &plan.thing);
        let was_here = certificate.things.contains(&thing.name);
        match registry.thing(&thing.name).await? {
            None => self.create(thing, actor).await?,
            // It is being registered once more.
            Some(_) if was_here => {}
            Some(there) => self.change(&there, thing, actor).await?,
        }
        if certificate.first_used_at.is_none() {
            registry.remove_from_group(&verified()?, &thing.name, actor).await?;
            registry.add_to_group(&unverified()?, &thing.name, actor).await?;
        }
        registry.attach(&thing.name, id, actor).await?;
        for policy in &plan.policies {
            self.attach_planned(policy, id, actor).await?;
        }
        Ok(())
    }

    async fn create(&self, plan: &ThingPlan, actor: &Actor) -> Result<(), ProvisioningError> {
        let registry = &self.domains.registry;
        let attribute_payload = AttributePayload { attributes: checked(plan.attributes.clone())?, merge: false };
        let new = NewThing { thing_type_name: plan.thing_type.clone(), attribute_payload };
        registry.create_thing(&plan.name, &new, actor).await?;
        for group in &plan.groups {
            registry.add_to_group(group, &plan.name, actor).await?;
        }
        Ok(())
    }

    /// A thing that was there before its device: what the template overrides is changed.
    async fn change(&self, there: &Thing, plan: &ThingPlan, actor: &Actor) -> Result<(), ProvisioningError> {
        let registry = &self.domains.registry;
        if [plan.on_attributes, plan.on_thing_type, plan.on_groups].contains(&Override::Fail) {
            return Err(ProvisioningError::ThingExists(there.thing_name.clone()));
        }
        let attribute_payload = match plan.on_attributes {
            Override::DoNothing | Override::Fail => None,
            on @ (Override::Replace | Override::Merge) => {
                Some(AttributePayload { attributes: checked(plan.attributes.clone())?, merge: on == Override::Merge })
            }
        };
        let replaces_type = plan.on_thing_type == Override::Replace;
        if attribute_payload.is_some() || replaces_type {
            let change = ThingChange {
                thing_type_name: plan.thing_type.clone().filter(|_| replaces_type),
                remove_thing_type: replaces_type && plan.thing_type.is_none(),
                attribute_payload,
                expected_version: None,
            };
            registry.update_thing(&plan.name, change, actor).await?;
        }
        if plan.on_groups == Override::Replace {
            for group in registry.direct_groups_of(&plan.name).await? {
                // Those of a query cannot be left.
                if !plan.groups.contains(&group) && !self.is_dynamic(&group).await? {
                    registry.remove_from_group(&group, &plan.name, actor).await?;
                }
            }
        }
        if matches!(plan.on_groups, Override::Replace | Override::Merge) {
            for group in &plan.groups {
                registry.add_to_group(group, &plan.name, actor).await?;
            }
        }
        Ok(())
    }
}

impl Provisioning {
    async fn is_dynamic(&self, group: &GroupName) -> Result<bool, ProvisioningError> {
        let group = self.domains.registry.group(group).await?;
        Ok(group.is_some_and(|group| group.query_string.is_some()))
    }

    /// Attaches a template's policy. One of a document alone is named by its digest, so there is one of each.
    async fn attach_planned(
        &self,
        policy: &PolicyPlan,
        id: &CertificateId,
        actor: &Actor,
    ) -> Result<(), ProvisioningError> {
        let name = match policy {
            PolicyPlan::Named(name) => name.clone(),
            PolicyPlan::Document(name, document) => {
                let digest = || sha256_hex(document.as_bytes()).parse();
                let name = name.clone().map_or_else(digest, Ok)?;
                let new = NewPolicy { name: name.clone(), document: document.clone() };
                self.domains.policies.create(&new, actor).await?;
                name
            }
        };
        self.attach_policy(&name, id, actor).await
    }

    pub(super) async fn attach_policy(
        &self,
        policy: &PolicyName,
        id: &CertificateId,
        actor: &Actor,
    ) -> Result<(), ProvisioningError> {
        let target = PolicyTarget::Certificate { id: id.clone() };
        Ok(self.domains.policies.attach(policy, &target, actor).await?)
    }

    /// Attaches what is attached to one certificate to another, too.
    pub(super) async fn copy_policies(
        &self,
        from: &CertificateId,
        to: &CertificateId,
        actor: &Actor,
    ) -> Result<(), ProvisioningError> {
        for policy in self.policies_of(from).await? {
            self.attach_policy(&policy, to, actor).await?;
        }
        Ok(())
    }

    pub(super) async fn detach_policies(&self, id: &CertificateId, actor: &Actor) -> Result<(), ProvisioningError> {
        let target = PolicyTarget::Certificate { id: id.clone() };
        for policy in self.policies_of(id).await? {
            self.domains.policies.detach(&policy, &target, actor).await?;
        }
        Ok(())
    }

    async fn policies_of(&self, id: &CertificateId) -> Result<Vec<PolicyName>, ProvisioningError> {
        let rows = sqlx::query(
            "SELECT policy FROM policy_attachments WHERE target_kind = 'certificate' AND target = $1 ORDER BY policy",
        )
        .bind(id.to_string())
        .fetch_all(&self.domains.database)
        .await?;
        rows.iter().map(|row| Ok(row.try_get::<String, _>(0)?.parse()?)).collect()
    }
}

fn checked(attributes: BTreeMap<String, String>) -> Result<Attributes, ProvisioningError> {
    Attributes::try_from(attributes).map_err(|error| ProvisioningError::Registry(error.into()))
}

/// The group of things that have not been connected with their own certificate.
pub(super) fn unverified() -> Result<GroupName, ProvisioningError> {
    Ok(UNVERIFIED_GROUP.parse()?)
}

/// The group of things that have.
pub(super) fn verified() -> Result<GroupName, ProvisioningError> {
    Ok(VERIFIED_GROUP.parse()?)
}

/// What a claim may do.
pub(super) fn initial() -> Result<PolicyName, ProvisioningError> {
    Ok(INITIAL.parse()?)
}
