//! What goes by itself: certificates that nobody registered with, and tokens that are over.

use super::tokens::LIFETIME;
use super::{Provisioning, ProvisioningError};
use crate::audit::Actor;
use fleet_protocol::certificates::CertificateStatus;
use fleet_protocol::names::CertificateId;
use jiff::Timestamp;
use sqlx::Row as _;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(600);
/// Certificates that go at a time.
const BATCH: i64 = 500;

impl Provisioning {
    /// Looks after it, for ever.
    pub(crate) async fn maintain(&self) {
        loop {
            if let Err(error) = self.clear(Timestamp::now()).await {
                tracing::warn!(%error, "could not remove certificates that nobody registered with; will try again");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// As on AWS IoT, a certificate whose device was not registered with it while its token counted is gone.
    async fn clear(&self, now: Timestamp) -> Result<(), ProvisioningError> {
        let database = &self.domains.database;
        sqlx::query("DELETE FROM ownership_tokens WHERE expires_at <= $1")
            .bind(now.as_second())
            .execute(database)
            .await?;
        let long_ago = now.saturating_sub(LIFETIME).unwrap_or(now);
        loop {
            let rows = sqlx::query(
                "SELECT id FROM certificates WHERE status = $1 AND created_at <= $2 \
                 AND id NOT IN (SELECT certificate FROM ownership_tokens) ORDER BY id LIMIT $3",
            )
            .bind(CertificateStatus::PendingActivation.as_str())
            .bind(long_ago.as_second())
            .bind(BATCH)
            .fetch_all(database)
            .await?;
            for row in &rows {
                self.forget(&row.try_get::<String, _>(0)?.parse()?).await?;
            }
            if rows.is_empty() {
                return Ok(());
            }
        }
    }

    async fn forget(&self, id: &CertificateId) -> Result<(), ProvisioningError> {
        // A registration may have been cut off behind these.
        let actor = Actor { name: "upkeep".to_owned(), token: None, remote_address: "local".to_owned() };
        self.leave_things(id, &actor).await?;
        self.detach_policies(id, &actor).await?;
        sqlx::query("DELETE FROM certificates WHERE id = $1 AND status = $2")
            .bind(id.to_string())
            .bind(CertificateStatus::PendingActivation.as_str())
            .execute(&self.domains.database)
            .await?;
        Ok(())
    }
}
