//! Serial numbers that no longer count, whether or not their certificates are registered here.

use super::changes::next_generation;
use super::serial::Serial;
use super::{Certificates, CertificatesError};
use crate::audit::{self, Actor};
use crate::database::settle;
use fleet_protocol::certificates::CertificateStatus;
use jiff::Timestamp;
use sqlx::{AnyConnection, Connection as _, Row as _};

/// A certificate that no longer counts.
pub(crate) struct Revoked {
    pub(crate) serial: String,
    pub(crate) subject: String,
    pub(crate) at: Timestamp,
}

impl Certificates {
    /// Since when a certificate no longer counts.
    pub(crate) async fn revoked_at(&self, serial: Serial) -> Result<Option<Timestamp>, CertificatesError> {
        let row = sqlx::query("SELECT revoked_at FROM revoked_certificates WHERE serial = $1")
            .bind(serial.to_string())
            .fetch_optional(&self.database)
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.map(Timestamp::from_second).transpose()?)
    }

    /// Has the certificates of a serial number count no longer; false if they did not before, and then nothing is changed.
    pub(crate) async fn revoke(
        &self,
        serial: Serial,
        subject: &str,
        actor: Actor,
        now: Timestamp,
    ) -> Result<bool, CertificatesError> {
        let mut connection = self.database.acquire().await?;
        let outcome = revoke(&mut connection, serial, subject, actor, now).await;
        let revoked = settle(connection, outcome).await?;
        self.look_soon();
        Ok(revoked)
    }

    /// Those that no longer count, in the order of their revocation.
    pub(crate) async fn revoked(&self) -> Result<Vec<Revoked>, CertificatesError> {
        let rows =
            sqlx::query("SELECT serial, subject, revoked_at FROM revoked_certificates ORDER BY revoked_at, serial")
                .fetch_all(&self.database)
                .await?;
        let revoked = rows.iter().map(|row| {
            let at = Timestamp::from_second(row.try_get(2)?)?;
            Ok(Revoked { serial: row.try_get(0)?, subject: row.try_get(1)?, at })
        });
        revoked.collect()
    }
}

async fn revoke(
    connection: &mut AnyConnection,
    serial: Serial,
    subject: &str,
    actor: Actor,
    now: Timestamp,
) -> Result<bool, CertificatesError> {
    let mut transaction = connection.begin().await?;
    if !note(&mut transaction, &serial.to_string(), subject, now).await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    let rows = sqlx::query("SELECT id FROM certificates WHERE serial = $1").bind(serial.to_string());
    for row in rows.fetch_all(&mut *transaction).await? {
        let generation = next_generation(&mut transaction).await?;
        sqlx::query("UPDATE certificates SET status = $1, generation = $2 WHERE id = $3")
            .bind(CertificateStatus::Revoked.as_str())
            .bind(generation)
            .bind(row.try_get::<String, _>(0)?)
            .execute(&mut *transaction)
            .await?;
    }
    audit::note(&mut transaction, &actor, "certificate.revoke", serial, subject.to_owned(), now).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Puts a serial number on the list; false if it is there.
pub(super) async fn note(
    connection: &mut AnyConnection,
    serial: &str,
    subject: &str,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let statement = sqlx::query(
        "INSERT INTO revoked_certificates (serial, subject, revoked_at) VALUES ($1, $2, $3) \
         ON CONFLICT (serial) DO NOTHING",
    );
    let done = statement.bind(serial).bind(subject).bind(now.as_second()).execute(connection).await?;
    Ok(done.rows_affected() > 0)
}
