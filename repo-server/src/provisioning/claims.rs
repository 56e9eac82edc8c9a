//! Claim certificates: what devices are made with, and may do nothing with but ask for their own.

use super::fleet::initial;
use super::{Provisioning, ProvisioningError};
use crate::audit::{Actor, Entry};
use crate::certificates::{ClientCertificate, NewRecord, pem_of};
use crate::fleet_ca::{CertificateRequest, ClientSubject};
use fleet_protocol::audit::Outcome;
use fleet_protocol::certificates::{CertificateInfo, CertificateKind, CertificateStatus};
use fleet_protocol::names::TemplateName;
use fleet_protocol::provisioning::rest::{CreatedClaim, NewClaim};
use jiff::{SignedDuration, Timestamp};

const YEAR: SignedDuration = SignedDuration::from_hours(24 * 365);
/// Unless another time is asked for.
const LIFETIME: i32 = 2;
/// In years.
const LONGEST_LIFETIME: i32 = 20;
/// In characters (RFC 5280, ub-common-name).
const LONGEST_NAME: usize = 64;

/// What is checked of a [`NewClaim`].
#[derive(Debug, Clone)]
pub(crate) struct ClaimRequest {
    name: String,
    template: TemplateName,
    request: CertificateRequest,
    not_after: Timestamp,
}

impl ClaimRequest {
    pub(crate) fn check(new: NewClaim, now: Timestamp) -> Result<Self, ProvisioningError> {
        let NewClaim { name, template_name, certificate_signing_request, expires_at } = new;
        let is_plain = name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && !b"+#/".contains(&byte));
        let name = name.trim().to_owned();
        if name.is_empty() || name.len() > LONGEST_NAME || !is_plain {
            return Err(ProvisioningError::ClaimName);
        }
        let in_years = |years| now.saturating_add(YEAR * years).unwrap_or(Timestamp::MAX);
        let not_after = expires_at.unwrap_or_else(|| in_years(LIFETIME));
        if not_after <= now || not_after > in_years(LONGEST_LIFETIME) {
            return Err(ProvisioningError::ClaimEnd);
        }
        let request = CertificateRequest::check(&certificate_signing_request)?;
        Ok(Self { name, template: template_name, request, not_after })
    }
}

impl Provisioning {
    /// Makes a claim. Its key stays with whoever asked.
    pub(crate) async fn create_claim(
        &self,
        claim: ClaimRequest,
        actor: Actor,
        now: Timestamp,
    ) -> Result<CreatedClaim, ProvisioningError> {
        let ClaimRequest { name, template, request, not_after } = claim;
        self.template(&template).await?;
        // A key that a device has would make it a claim of everybody's.
        if let Some(known) = self.known_key(&request.fingerprint).await? {
            return Err(ProvisioningError::UsedKey(known.id));
        }
        let subject = ClientSubject { common_name: Some(name.clone()), not_after };
        let der = self.domains.authority.issue(request, subject, now).await?;
        let certificate = ClientCertificate::of_der(&der).ok_or(ProvisioningError::Unreadable)?;
        let entry = Entry {
            actor: actor.clone(),
            action: "claim.create",
            subject: certificate.id.to_string(),
            detail: format!("{name}, for the template {template}, until {}", certificate.not_after),
            outcome: Outcome::Done,
        };
        let record = NewRecord {
            certificate,
            pem: pem_of(&der),
            name,
            kind: CertificateKind::Claim,
            status: CertificateStatus::Active,
            template: Some(template),
            asked_with: None,
        };
        let certificate: CertificateInfo = self.domains.certificates.add(&record, &entry, now).await?;
        self.attach_policy(&initial()?, &certificate.certificate_id, &actor).await?;
        Ok(CreatedClaim { certificate, certificate_pem: record.pem, ca_certificate_pem: self.domains.authority.pem()? })
    }
}
