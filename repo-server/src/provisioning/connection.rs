//! The last step: a device shows its own certificate for the first time.

use super::fleet::{unverified, verified};
use super::{Provisioning, ProvisioningError};
use crate::audit::Actor;
use fleet_protocol::certificates::CertificateStatus;
use fleet_protocol::names::CertificateId;
use jiff::Timestamp;
use sqlx::Row as _;
use std::net::IpAddr;

impl Provisioning {
    /// Has a certificate speak for nothing any more, so that a thing's places are there for those that count.
    pub(super) async fn leave_things(&self, id: &CertificateId, actor: &Actor) -> Result<(), ProvisioningError> {
        for thing in self.domains.certificates.things(id).await? {
            self.domains.registry.detach(&thing, id, actor).await?;
        }
        Ok(())
    }

    /// To be called when a device has shown its own certificate that was never used before (`Standing::Device`); again
    /// it changes nothing. Its things leave the group `unverified` for `verified`, and what it was renewed from counts no
    /// longer.
    pub(crate) async fn connected(
        &self,
        certificate: &CertificateId,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), ProvisioningError> {
        let row = sqlx::query(
            "SELECT c.first_used_at, o.id FROM certificates c \
             LEFT JOIN certificates o ON o.id = c.asked_with AND o.kind = c.kind AND o.status = $1 WHERE c.id = $2",
        )
        .bind(CertificateStatus::Active.as_str())
        .bind(certificate.to_string())
        .fetch_optional(&self.domains.database)
        .await?;
        let Some(row) = row else { return Ok(()) };
        if row.try_get::<Option<i64>, _>(0)?.is_some() {
            return Ok(());
        }
        let actor = Actor { name: "first connection".to_owned(), token: None, remote_address: address.to_string() };
        let (unverified, verified) = (unverified()?, verified()?);
        for thing in self.domains.certificates.things(certificate).await? {
            // Somebody may have taken it out of both on purpose.
            if self.domains.registry.remove_from_group(&unverified, &thing, &actor).await? {
                self.domains.registry.add_to_group(&verified, &thing, &actor).await?;
                tracing::info!(%thing, %certificate, "a thing was verified by its first connection");
            }
        }
        if let Some(old) = row.try_get::<Option<String>, _>(1)? {
            let old: CertificateId = old.parse()?;
            self.domains.certificates.set_status(&old, CertificateStatus::Inactive, actor.clone(), now).await?;
            self.leave_things(&old, &actor).await?;
        }
        // Last, so that what was cut off is done the next time.
        self.domains.certificates.used(certificate, now).await?;
        Ok(())
    }
}
