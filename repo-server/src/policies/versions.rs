//! Policies and their versions.

use super::rows::{summary_of_row, target_of, version_of, version_of_row};
use super::{GENERATION, Policies, PolicyError};
use crate::audit::{self, Actor};
use fleet_protocol::names::PolicyName;
use fleet_protocol::policies::{
    MOST_VERSIONS, NewPolicy, NewPolicyVersion, PolicyInfo, PolicyPage, PolicySummary, PolicyVersion,
    PolicyVersionSummary,
};
use fleet_protocol::policy::{DEFAULTS, Document};
use jiff::Timestamp;
use sqlx::{AnyConnection, Connection as _, Row as _};

impl Policies {
    /// Makes a policy, and says whether it was not there. To make the same again changes nothing.
    pub(crate) async fn create(&self, new: &NewPolicy, actor: &Actor) -> Result<(PolicyInfo, bool), PolicyError> {
        let NewPolicy { name, document } = new;
        if [".", ".."].contains(&name.as_str()) {
            return Err(PolicyError::Dots(name.clone()));
        }
        document.parse::<Document>()?;
        if let Some(found) = self.find(name).await? {
            return if found.document == *document {
                Ok((found, false))
            } else {
                Err(PolicyError::Exists(name.clone()))
            };
        }
        let mut connection = self.database.acquire().await?;
        let outcome = create(&mut connection, name, document, actor, (self.clock)()).await;
        let is_new = self.generation.settle(connection, outcome).await?;
        if is_new {
            tracing::info!(policy = %name, by = actor.name, "made a policy");
        }
        // Somebody else may have made it in between.
        let info = self.info(name).await?;
        if info.document == *document { Ok((info, is_new)) } else { Err(PolicyError::Exists(name.clone())) }
    }

    /// The policies whose names come behind `after`.
    pub(crate) async fn page(&self, limit: u16, after: &str) -> Result<PolicyPage, PolicyError> {
        let rows = sqlx::query(
            "SELECT name, default_version, created_at FROM policies WHERE name > $1 ORDER BY name LIMIT $2",
        )
        .bind(after)
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.database)
        .await?;
        let more = rows.len() > usize::from(limit);
        let policies = rows.iter().take(usize::from(limit)).map(summary_of_row).collect::<Result<Vec<_>, _>>()?;
        let next = policies.last().filter(|_| more).map(|policy| policy.name.to_string());
        Ok(PolicyPage { policies, next })
    }

    /// A policy with the document that is in force.
    pub(crate) async fn info(&self, name: &PolicyName) -> Result<PolicyInfo, PolicyError> {
        self.find(name).await?.ok_or_else(|| PolicyError::Unknown(name.clone()))
    }

    async fn find(&self, name: &PolicyName) -> Result<Option<PolicyInfo>, PolicyError> {
        let row = sqlx::query(
            "SELECT p.name, p.default_version, p.created_at, v.document FROM policies p \
             JOIN policy_versions v ON v.policy = p.name AND v.version = p.default_version WHERE p.name = $1",
        )
        .bind(name.as_str())
        .fetch_optional(&self.database)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let policy = summary_of_row(&row)?;
        let versions =
            sqlx::query("SELECT version, created_at FROM policy_versions WHERE policy = $1 ORDER BY version")
                .bind(name.as_str())
                .fetch_all(&self.database)
                .await?;
        let versions = versions.iter().map(|row| version_of_row(row, policy.default_version));
        let versions = versions.collect::<Result<_, _>>()?;
        Ok(Some(PolicyInfo { policy, document: row.try_get(3)?, versions }))
    }

    /// A version of a policy.
    pub(crate) async fn version(&self, name: &PolicyName, version: u32) -> Result<PolicyVersion, PolicyError> {
        let row = sqlx::query(
            "SELECT v.version, v.created_at, v.document, p.default_version FROM policy_versions v \
             JOIN policies p ON p.name = v.policy WHERE v.policy = $1 AND v.version = $2",
        )
        .bind(name.as_str())
        .bind(i64::from(version))
        .fetch_optional(&self.database)
        .await?;
        let Some(row) = row else {
            let PolicyInfo { policy: PolicySummary { name: policy, .. }, .. } = self.info(name).await?;
            return Err(PolicyError::UnknownVersion { policy, version });
        };
        let summary = version_of_row(&row, version_of(row.try_get(3)?)?)?;
        Ok(PolicyVersion { name: name.clone(), version: summary, document: row.try_get(2)? })
    }

    /// Makes a version of a policy.
    pub(crate) async fn create_version(
        &self,
        name: &PolicyName,
        new: &NewPolicyVersion,
        actor: &Actor,
    ) -> Result<PolicyVersion, PolicyError> {
        new.document.parse::<Document>()?;
        let mut connection = self.database.acquire().await?;
        let outcome = create_version(&mut connection, name, new, actor, (self.clock)()).await;
        let version = self.generation.settle(connection, outcome).await?;
        tracing::info!(policy = %name, version = version.version, by = actor.name, "made a version of a policy");
        Ok(PolicyVersion { name: name.clone(), version, document: new.document.clone() })
    }

    /// Has another version of a policy be in force. To ask for the one that is changes nothing.
    pub(crate) async fn set_default(
        &self,
        name: &PolicyName,
        version: u32,
        actor: &Actor,
    ) -> Result<PolicyInfo, PolicyError> {
        if !self.version(name, version).await?.version.is_default {
            let mut connection = self.database.acquire().await?;
            let outcome = set_default(&mut connection, name, version, actor, (self.clock)()).await;
            self.generation.settle(connection, outcome).await?;
            tracing::info!(policy = %name, version, by = actor.name, "put a version of a policy in force");
        }
        self.info(name).await
    }

    /// Deletes a version that is not in force, and gives it.
    pub(crate) async fn delete_version(
        &self,
        name: &PolicyName,
        version: u32,
        actor: &Actor,
    ) -> Result<PolicyVersion, PolicyError> {
        let found = self.version(name, version).await?;
        let mut connection = self.database.acquire().await?;
        let outcome = delete_version(&mut connection, name, version, actor, (self.clock)()).await;
        self.generation.settle(connection, outcome).await?;
        Ok(found)
    }

    /// Deletes a policy that is attached to nothing, and gives it.
    pub(crate) async fn delete(&self, name: &PolicyName, actor: &Actor) -> Result<PolicyInfo, PolicyError> {
        let found = self.info(name).await?;
        if DEFAULTS.iter().any(|default| default.name == name.as_str()) {
            return Err(PolicyError::Default(name.clone()));
        }
        let mut connection = self.database.acquire().await?;
        let outcome = delete(&mut connection, name, actor, (self.clock)()).await;
        self.generation.settle(connection, outcome).await?;
        tracing::info!(policy = %name, by = actor.name, "deleted a policy");
        Ok(found)
    }
}

async fn create(
    connection: &mut AnyConnection,
    name: &PolicyName,
    document: &str,
    actor: &Actor,
    now: Timestamp,
) -> Result<(bool, i64), PolicyError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    let is_new = insert(&mut transaction, name, document, now).await?;
    if is_new {
        audit::note(&mut transaction, actor, "policy.create", name, String::new(), now).await?;
    }
    transaction.commit().await?;
    Ok((is_new, generation))
}

/// Whether there was none of this name.
pub(super) async fn insert(
    transaction: &mut AnyConnection,
    name: &PolicyName,
    document: &str,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let made = sqlx::query(
        "INSERT INTO policies (name, default_version, last_version, created_at) VALUES ($1, 1, 1, $2) \
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(name.as_str())
    .bind(now.as_second())
    .execute(&mut *transaction)
    .await?;
    if made.rows_affected() == 0 {
        return Ok(false);
    }
    insert_version(transaction, name, 1, document, now).await?;
    Ok(true)
}

async fn insert_version(
    transaction: &mut AnyConnection,
    name: &PolicyName,
    version: u32,
    document: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO policy_versions (policy, version, document, created_at) VALUES ($1, $2, $3, $4)")
        .bind(name.as_str())
        .bind(i64::from(version))
        .bind(document)
        .bind(now.as_second())
        .execute(transaction)
        .await?;
    Ok(())
}

async fn create_version(
    connection: &mut AnyConnection,
    name: &PolicyName,
    new: &NewPolicyVersion,
    actor: &Actor,
    now: Timestamp,
) -> Result<(PolicyVersionSummary, i64), PolicyError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    let number = sqlx::query_scalar(
        "UPDATE policies SET last_version = last_version + 1 WHERE name = $1 RETURNING last_version",
    )
    .bind(name.as_str())
    .fetch_optional(&mut *transaction)
    .await?;
    let version = version_of(number.ok_or_else(|| PolicyError::Unknown(name.clone()))?)?;
    let versions = sqlx::query("SELECT version FROM policy_versions WHERE policy = $1")
        .bind(name.as_str())
        .fetch_all(&mut *transaction)
        .await?;
    if versions.len() >= MOST_VERSIONS {
        return Err(PolicyError::TooManyVersions(name.clone()));
    }
    insert_version(&mut transaction, name, version, &new.document, now).await?;
    if new.set_as_default {
        put_in_force(&mut transaction, name, version).await?;
    }
    let in_force = if new.set_as_default { ", in force" } else { "" };
    audit::note(&mut transaction, actor, "policy.version.create", name, format!("version {version}{in_force}"), now)
        .await?;
    transaction.commit().await?;
    let created_at = Timestamp::from_second(now.as_second())?;
    Ok((PolicyVersionSummary { version, is_default: new.set_as_default, created_at }, generation))
}

async fn put_in_force(transaction: &mut AnyConnection, name: &PolicyName, version: u32) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query(
        "UPDATE policies SET default_version = $1 WHERE name = $2 \
         AND EXISTS (SELECT 1 FROM policy_versions v WHERE v.policy = $3 AND v.version = $4)",
    )
    .bind(i64::from(version))
    .bind(name.as_str())
    .bind(name.as_str())
    .bind(i64::from(version))
    .execute(transaction)
    .await?;
    Ok(changed.rows_affected() == 1)
}

async fn set_default(
    connection: &mut AnyConnection,
    name: &PolicyName,
    version: u32,
    actor: &Actor,
    now: Timestamp,
) -> Result<((), i64), PolicyError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    if !put_in_force(&mut transaction, name, version).await? {
        return Err(PolicyError::UnknownVersion { policy: name.clone(), version });
    }
    audit::note(&mut transaction, actor, "policy.version.default", name, format!("version {version}"), now).await?;
    transaction.commit().await?;
    Ok(((), generation))
}

async fn delete_version(
    connection: &mut AnyConnection,
    name: &PolicyName,
    version: u32,
    actor: &Actor,
    now: Timestamp,
) -> Result<((), i64), PolicyError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    let in_force: Option<i64> = sqlx::query_scalar("SELECT default_version FROM policies WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
    if in_force == Some(i64::from(version)) {
        return Err(PolicyError::InForce { policy: name.clone(), version });
    }
    let deleted = sqlx::query("DELETE FROM policy_versions WHERE policy = $1 AND version = $2")
        .bind(name.as_str())
        .bind(i64::from(version))
        .execute(&mut *transaction)
        .await?;
    if deleted.rows_affected() == 1 {
        audit::note(&mut transaction, actor, "policy.version.delete", name, format!("version {version}"), now).await?;
    }
    transaction.commit().await?;
    Ok(((), generation))
}

async fn delete(
    connection: &mut AnyConnection,
    name: &PolicyName,
    actor: &Actor,
    now: Timestamp,
) -> Result<((), i64), PolicyError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    let attached = sqlx::query("SELECT target_kind, target FROM policy_attachments WHERE policy = $1 LIMIT 1")
        .bind(name.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some(row) = attached {
        let target = target_of(&row.try_get::<String, _>(0)?, &row.try_get::<String, _>(1)?)?;
        return Err(PolicyError::Attached { policy: name.clone(), target });
    }
    sqlx::query("DELETE FROM policy_versions WHERE policy = $1").bind(name.as_str()).execute(&mut *transaction).await?;
    let deleted =
        sqlx::query("DELETE FROM policies WHERE name = $1").bind(name.as_str()).execute(&mut *transaction).await?;
    if deleted.rows_affected() == 1 {
        audit::note(&mut transaction, actor, "policy.delete", name, String::new(), now).await?;
    }
    transaction.commit().await?;
    Ok(((), generation))
}
