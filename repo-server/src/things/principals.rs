//! Which certificates speak for which things.

use super::error::RegistryError;
use super::rows::need_thing;
use super::{GENERATION, Registry, in_transaction};
use crate::audit::{self, Actor};
use fleet_protocol::certificates::CertificateKind;
use fleet_protocol::names::{CertificateId, ThingName};
use jiff::Timestamp;
use sqlx::AnyConnection;

/// So many certificates may speak for a thing.
const MOST_PRINCIPALS: i64 = 10;

impl Registry {
    /// Has a certificate speak for a thing; whether it did not before.
    pub(crate) async fn attach(
        &self,
        thing: &ThingName,
        certificate: &CertificateId,
        actor: &Actor,
    ) -> Result<bool, RegistryError> {
        let now = self.now();
        let generation =
            in_transaction!(self, |transaction| attach(&mut transaction, thing, certificate, actor, now).await)?;
        self.generation.announce(generation);
        Ok(generation.is_some())
    }

    /// Has a certificate speak for a thing no longer; whether it did before.
    pub(crate) async fn detach(
        &self,
        thing: &ThingName,
        certificate: &CertificateId,
        actor: &Actor,
    ) -> Result<bool, RegistryError> {
        let now = self.now();
        let generation =
            in_transaction!(self, |transaction| detach(&mut transaction, thing, certificate, actor, now).await)?;
        self.generation.announce(generation);
        Ok(generation.is_some())
    }

    /// The certificates that speak for a thing.
    pub(crate) async fn principals_of(&self, thing: &ThingName) -> Result<Vec<CertificateId>, RegistryError> {
        let mut connection = self.database.acquire().await?;
        need_thing(&mut connection, thing).await?;
        let ids: Vec<String> =
            sqlx::query_scalar("SELECT certificate FROM thing_principals WHERE thing = $1 ORDER BY certificate")
                .bind(thing.as_str())
                .fetch_all(&mut *connection)
                .await?;
        ids.into_iter().map(|id| Ok(id.parse()?)).collect()
    }
}

async fn attach(
    transaction: &mut AnyConnection,
    thing: &ThingName,
    certificate: &CertificateId,
    actor: &Actor,
    now: Timestamp,
) -> Result<Option<i64>, RegistryError> {
    need_thing(transaction, thing).await?;
    let kind: Option<String> = sqlx::query_scalar("SELECT kind FROM certificates WHERE id = $1")
        .bind(certificate.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
    let kind = kind.ok_or_else(|| RegistryError::NoCertificate(certificate.clone()))?;
    if kind == CertificateKind::Claim.as_str() {
        return Err(RegistryError::InTheWay(format!(
            "the certificate {certificate} is a claim, with which devices ask for their own; it speaks for no thing"
        )));
    }
    let attached = sqlx::query(
        "INSERT INTO thing_principals (thing, certificate) VALUES ($1, $2) ON CONFLICT (thing, certificate) DO NOTHING",
    )
    .bind(thing.as_str())
    .bind(certificate.as_str())
    .execute(&mut *transaction)
    .await?;
    if attached.rows_affected() == 0 {
        return Ok(None);
    }
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM thing_principals WHERE thing = $1")
        .bind(thing.as_str())
        .fetch_one(&mut *transaction)
        .await?;
    if count > MOST_PRINCIPALS {
        return Err(RegistryError::InTheWay(format!(
            "{MOST_PRINCIPALS} certificates speak for the thing {thing} already, which is as many as may; detach one first"
        )));
    }
    audit::note(transaction, actor, "thing.attach", thing, certificate.to_string(), now).await?;
    Ok(Some(GENERATION.raise(transaction).await?))
}

async fn detach(
    transaction: &mut AnyConnection,
    thing: &ThingName,
    certificate: &CertificateId,
    actor: &Actor,
    now: Timestamp,
) -> Result<Option<i64>, RegistryError> {
    need_thing(transaction, thing).await?;
    let detached = sqlx::query("DELETE FROM thing_principals WHERE thing = $1 AND certificate = $2")
        .bind(thing.as_str())
        .bind(certificate.as_str())
        .execute(&mut *transaction)
        .await?;
    if detached.rows_affected() == 0 {
        return Ok(None);
    }
    audit::note(transaction, actor, "thing.detach", thing, certificate.to_string(), now).await?;
    Ok(Some(GENERATION.raise(transaction).await?))
}
