//! The next certificate of a device that has one. It counts at once; the old one counts until the new one was used.

use super::rules::{ForKey, for_renewal};
use super::{Provisioning, ProvisioningError, Requester, actor_of};
use crate::audit::Entry;
use crate::fleet_ca::CertificateRequest;
use fleet_protocol::audit::Outcome;
use fleet_protocol::certificates::CertificateStatus;
use fleet_protocol::names::{CertificateId, ThingName};
use fleet_protocol::provisioning::messages::CertificateResponse;
use jiff::Timestamp;
use sqlx::Row as _;

impl Provisioning {
    pub(super) async fn renew(
        &self,
        from: &Requester,
        request: CertificateRequest,
        now: Timestamp,
    ) -> Result<CertificateResponse, ProvisioningError> {
        let own = &from.certificate;
        let things = self.domains.certificates.things(own).await?;
        if things.is_empty() {
            return Err(ProvisioningError::NothingToRenew(own.clone()));
        }
        self.check_names(&request, &things).await?;
        let known = self.known_key(&request.fingerprint).await?;
        let (id, pem, record) = match for_renewal(known, own, now)? {
            ForKey::GiveAgain(known) => (known.id, known.pem, None),
            ForKey::Issue => {
                let record = self.issue(from, request, now).await?;
                (record.certificate.id.clone(), record.pem.clone(), Some(record))
            }
        };
        let token = self.keep_with_token(record.as_ref(), &id, from, now).await?;
        // Each of these may be repeated: a device that was cut off asks again.
        let actor = actor_of(from);
        for thing in &things {
            self.domains.registry.attach(thing, &id, &actor).await?;
        }
        self.copy_policies(own, &id, &actor).await?;
        self.end_unused_renewals(own, &id, now, from).await?;
        let names: Vec<&str> = things.iter().map(ThingName::as_str).collect();
        let entry = Entry {
            actor,
            action: "certificate.renew",
            subject: id.to_string(),
            detail: format!("{}, in place of {own}", names.join(", ")),
            outcome: Outcome::Done,
        };
        self.domains.certificates.activate(&id, &entry, now).await?;
        Ok(CertificateResponse { certificate_ownership_token: token, certificate_id: id, certificate_pem: pem })
    }

    /// Renewals that came to nothing count no longer, so that they do not pile up.
    async fn end_unused_renewals(
        &self,
        own: &CertificateId,
        kept: &CertificateId,
        now: Timestamp,
        from: &Requester,
    ) -> Result<(), ProvisioningError> {
        let rows = sqlx::query(
            "SELECT id FROM certificates WHERE asked_with = $1 AND id <> $2 AND status = $3 AND first_used_at IS NULL",
        )
        .bind(own.to_string())
        .bind(kept.to_string())
        .bind(CertificateStatus::Active.as_str())
        .fetch_all(&self.domains.database)
        .await?;
        for row in rows {
            let id = row.try_get::<String, _>(0)?.parse()?;
            self.domains.certificates.set_status(&id, CertificateStatus::Inactive, actor_of(from), now).await?;
            self.leave_things(&id, &actor_of(from)).await?;
        }
        Ok(())
    }
}
