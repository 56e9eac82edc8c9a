//! Certificates by their common names: all that an external broker tells of who speaks.

use super::store::read;
use super::{Certificates, CertificatesError, Serial};
use fleet_protocol::certificates::{CertificateKind, CertificateStatus};
use fleet_protocol::names::CertificateId;
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use std::collections::BTreeMap;

/// Certificates that are read at a time.
const BATCH: i64 = 1000;

/// A device's certificate that counts, by its common name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) id: CertificateId,
    pub(crate) common_name: String,
}

/// A certificate that a broker must not take though it has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) serial: Serial,
    /// It may count again.
    pub(crate) on_hold: bool,
}

/// Of a certificate that counts, but for its time.
macro_rules! counting {
    () => {
        " FROM certificates c WHERE c.kind = $1 AND c.status = $2 \
          AND NOT EXISTS (SELECT 1 FROM revoked_certificates r WHERE r.serial = c.serial) AND c.not_before <= $3 \
          AND c.not_after >= $4 "
    };
}

impl Certificates {
    /// The device certificates of this common name that count.
    pub(crate) async fn of_common_name(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<Vec<CertificateId>, CertificatesError> {
        self.read_common_names().await?;
        let rows = sqlx::query(concat!("SELECT c.id", counting!(), "AND c.common_name = $5 ORDER BY c.id"))
            .bind(CertificateKind::Device.as_str())
            .bind(CertificateStatus::Active.as_str())
            .bind(now.as_second())
            .bind(now.as_second())
            .bind(name.to_owned())
            .fetch_all(&self.database)
            .await?;
        rows.iter().map(|row| Ok(row.try_get::<String, _>(0)?.parse()?)).collect()
    }

    /// All device certificates that count and have a common name.
    pub(crate) async fn by_common_name(&self, now: Timestamp) -> Result<Vec<Named>, CertificatesError> {
        self.read_common_names().await?;
        let mut all: Vec<Named> = Vec::new();
        loop {
            let after = all.last().map_or("", |last| last.id.as_str()).to_owned();
            let rows = sqlx::query(concat!(
                "SELECT c.id, c.common_name",
                counting!(),
                "AND c.common_name <> '' AND c.id > $5 ORDER BY c.id LIMIT $6"
            ))
            .bind(CertificateKind::Device.as_str())
            .bind(CertificateStatus::Active.as_str())
            .bind(now.as_second())
            .bind(now.as_second())
            .bind(after)
            .bind(BATCH)
            .fetch_all(&self.database)
            .await?;
            if rows.is_empty() {
                return Ok(all);
            }
            for row in &rows {
                all.push(Named { id: row.try_get::<String, _>(0)?.parse()?, common_name: row.try_get(1)? });
            }
        }
    }

    /// The serial numbers that a broker must not take.
    pub(crate) async fn refused(&self, now: Timestamp) -> Result<Vec<Refused>, CertificatesError> {
        let rows = sqlx::query(
            "SELECT serial, 0 FROM revoked_certificates UNION ALL \
             SELECT serial, 1 FROM certificates WHERE status IN ($1, $2) AND not_after >= $3",
        )
        .bind(CertificateStatus::Inactive.as_str())
        .bind(CertificateStatus::PendingActivation.as_str())
        .bind(now.as_second())
        .fetch_all(&self.database)
        .await?;
        let mut refused = BTreeMap::new();
        for row in &rows {
            let (text, held) = (row.try_get::<String, _>(0)?, row.try_get::<i64, _>(1)? == 1);
            // What is revoked stays so.
            refused.entry(text).and_modify(|on_hold| *on_hold &= held).or_insert(held);
        }
        let read = |(text, on_hold): (String, bool)| text.parse().ok().map(|serial| Refused { serial, on_hold });
        Ok(refused.into_iter().filter_map(read).collect())
    }

    /// Looks at the certificates that were kept before their names were.
    async fn read_common_names(&self) -> Result<(), CertificatesError> {
        loop {
            let rows = sqlx::query("SELECT id, pem FROM certificates WHERE common_name IS NULL LIMIT $1")
                .bind(BATCH)
                .fetch_all(&self.database)
                .await?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut connection = self.database.acquire().await?;
            for row in &rows {
                note(&mut connection, row).await?;
            }
        }
    }
}

async fn note(connection: &mut AnyConnection, row: &AnyRow) -> Result<(), CertificatesError> {
    let name = read(&row.try_get::<String, _>(1)?).ok().and_then(|(_, certificate)| certificate.common_name);
    sqlx::query("UPDATE certificates SET common_name = $1 WHERE id = $2")
        .bind(name.unwrap_or_default())
        .bind(row.try_get::<String, _>(0)?)
        .execute(connection)
        .await?;
    Ok(())
}
