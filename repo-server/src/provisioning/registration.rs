//! The second step: the device becomes a thing.
//!
//! First everything is looked at, then the token is used up, then the thing is made, each part of it so that it can be made
//! again; the last change has the certificate count.

use super::rules::{Holder, take_over};
use super::{Provisioning, ProvisioningError, Requester, actor_of, serials, templates, tokens};
use crate::audit::Entry;
use crate::certificates::Standing;
use fleet_protocol::audit::Outcome;
use fleet_protocol::certificates::{CertificateDescription, CertificateKind, CertificateStatus};
use fleet_protocol::names::{CertificateId, TemplateName, ThingName};
use fleet_protocol::provisioning::SERIAL_NUMBER;
use fleet_protocol::provisioning::hook::{HookRequest, template_arn};
use fleet_protocol::provisioning::messages::{RegistrationRequest, RegistrationResponse};
use fleet_protocol::provisioning::template::{Plan, Template, check_parameters};
use jiff::Timestamp;
use sqlx::Row as _;
use std::collections::BTreeMap;

impl Provisioning {
    /// Makes the device a thing, as the template says, and has its certificate count.
    pub(crate) async fn register(
        &self,
        from: &Requester,
        template: &TemplateName,
        request: RegistrationRequest,
        now: Timestamp,
    ) -> Result<RegistrationResponse, ProvisioningError> {
        self.admit(from)?;
        let serial = request.parameters.get(SERIAL_NUMBER).cloned();
        let registered = self.make_thing(from, template, request, now).await;
        match &registered {
            Ok(registered) => {
                let (thing, client, address) = (&registered.thing_name, &from.client_id, from.address);
                tracing::info!(%thing, %template, with = %from.certificate, client, %address, "provisioned a device");
            }
            Err(error) => self.refused(from, serial.as_deref().unwrap_or(template.as_str()), error).await,
        }
        registered
    }

    async fn make_thing(
        &self,
        from: &Requester,
        name: &TemplateName,
        request: RegistrationRequest,
        now: Timestamp,
    ) -> Result<RegistrationResponse, ProvisioningError> {
        let RegistrationRequest { certificate_ownership_token: token, parameters } = request;
        self.check_claim(from, name, now).await?;
        check_parameters(&parameters)?;
        let template = self.enabled_template(name).await?;
        let id = tokens::look_up(&self.domains.database, &token, &from.certificate, now).await?;
        let certificate = self.domains.certificates.describe(&id).await?;
        if !matches!(certificate.certificate.status, CertificateStatus::PendingActivation | CertificateStatus::Active) {
            return Err(ProvisioningError::UsedKey(id));
        }
        let parameters = self.ask_hook(from, name, &template, &certificate, parameters).await?;
        let plan = Template::parse(&template.template_body)?.plan(&id, &parameters)?;
        let thing = &plan.thing.name;
        let serial = match template.listed_only {
            true => Some(self.check_serial(name, &parameters, thing).await?),
            false => None,
        };
        self.check_names_of(&certificate, thing).await?;

        tokens::use_up(&self.domains.database, &token, &id, now).await?;
        let actor = actor_of(from);
        if let Some(serial) = &serial {
            serials::use_up(&self.domains.database, name, serial, thing, now).await?;
        }
        self.carry_out(&plan, &id, &certificate.certificate, &actor).await?;
        let entry = Entry {
            actor,
            action: "thing.provision",
            subject: thing.to_string(),
            detail: format!("by the template {name}, certificate {id}"),
            outcome: Outcome::Done,
        };
        match plan.is_active {
            true => self.domains.certificates.activate(&id, &entry, now).await?,
            false => self.domains.certificates.leave_inactive(&id, &entry, now).await?,
        }
        let Plan { thing, device_configuration, .. } = plan;
        Ok(RegistrationResponse { device_configuration, thing_name: thing.name })
    }

    /// Whether the connection's certificate is a claim for this template.
    async fn check_claim(
        &self,
        from: &Requester,
        template: &TemplateName,
        now: Timestamp,
    ) -> Result<(), ProvisioningError> {
        match self.domains.certificates.standing_of(&from.certificate, now).await? {
            Some(Standing::Claim(Some(own))) if own == *template => Ok(()),
            Some(Standing::Claim(own)) => Err(ProvisioningError::OtherTemplate {
                own: own.map_or_else(|| "none".to_owned(), String::from),
                asked: template.clone(),
            }),
            Some(Standing::Device { .. }) => Err(ProvisioningError::NoClaim),
            _ => Err(ProvisioningError::NotKnown(from.certificate.clone())),
        }
    }

    /// The parameters that count, if there is nobody to ask, or who was asked has no objection.
    async fn ask_hook(
        &self,
        from: &Requester,
        name: &TemplateName,
        template: &templates::Settings,
        certificate: &CertificateDescription,
        mut parameters: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, ProvisioningError> {
        let Some(url) = &template.hook_url else { return Ok(parameters) };
        let request = HookRequest {
            claim_certificate_id: from.certificate.clone(),
            certificate_id: certificate.certificate.certificate_id.clone(),
            certificate_pem: certificate.certificate_pem.clone(),
            template_arn: template_arn(name),
            client_id: from.client_id.clone(),
            parameters: parameters.clone(),
        };
        let answer = self.hook.ask(url, &request).await?;
        if !answer.allow_provisioning {
            return Err(ProvisioningError::HookRefused);
        }
        parameters.extend(answer.parameter_overrides);
        check_parameters(&parameters)?;
        Ok(parameters)
    }

    async fn check_serial(
        &self,
        template: &TemplateName,
        parameters: &BTreeMap<String, String>,
        thing: &ThingName,
    ) -> Result<String, ProvisioningError> {
        let serial = parameters.get(SERIAL_NUMBER).ok_or(ProvisioningError::NoSerial)?;
        serials::check(&self.domains.database, template, serial, thing).await?;
        Ok(serial.clone())
    }

    /// Whether this certificate may speak for this thing.
    async fn check_names_of(
        &self,
        certificate: &CertificateDescription,
        thing: &ThingName,
    ) -> Result<(), ProvisioningError> {
        let certificate = &certificate.certificate;
        if let Some(other) = certificate.things.iter().find(|other| *other != thing) {
            let (certificate, thing) = (certificate.certificate_id.clone(), other.clone());
            return Err(ProvisioningError::OtherThing { certificate, thing });
        }
        let public_key = self.domains.certificates.public_key(&certificate.certificate_id).await?;
        take_over(thing, &self.holders(thing).await?, &public_key)
    }

    /// The certificates of devices that speak for a thing and count.
    pub(super) async fn holders(&self, thing: &ThingName) -> Result<Vec<Holder>, ProvisioningError> {
        let rows = sqlx::query(
            "SELECT c.id, c.public_key FROM certificates c JOIN thing_principals p ON p.certificate = c.id \
             WHERE p.thing = $1 AND c.kind = $2 AND c.status = $3",
        )
        .bind(thing.to_string())
        .bind(CertificateKind::Device.as_str())
        .bind(CertificateStatus::Active.as_str())
        .fetch_all(&self.domains.database)
        .await?;
        rows.iter()
            .map(|row| {
                let id: CertificateId = row.try_get::<String, _>(0)?.parse()?;
                Ok(Holder { id, public_key: row.try_get(1)? })
            })
            .collect()
    }
}
