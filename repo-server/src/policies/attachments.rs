//! What policies are attached to.

use super::rows::{columns_of, target_of};
use super::{GENERATION, Policies, PolicyError};
use crate::audit::{self, Actor};
use fleet_protocol::names::PolicyName;
use fleet_protocol::policies::{MOST_POLICIES_OF_TARGET, PolicyTarget, PolicyTargetPage};
use jiff::Timestamp;
use sqlx::{AnyConnection, Connection as _, Row as _};

impl Policies {
    /// Attaches a policy. To attach it again changes nothing.
    pub(crate) async fn attach(
        &self,
        policy: &PolicyName,
        target: &PolicyTarget,
        actor: &Actor,
    ) -> Result<(), PolicyError> {
        let mut connection = self.database.acquire().await?;
        let outcome = attach(&mut connection, policy, target, actor, (self.clock)()).await;
        self.generation.settle(connection, outcome).await
    }

    /// Detaches a policy. To detach it again changes nothing.
    pub(crate) async fn detach(
        &self,
        policy: &PolicyName,
        target: &PolicyTarget,
        actor: &Actor,
    ) -> Result<(), PolicyError> {
        let mut connection = self.database.acquire().await?;
        let outcome = detach(&mut connection, policy, target, actor, (self.clock)()).await;
        self.generation.settle(connection, outcome).await
    }

    /// What a policy is attached to, behind the target that `after` names as [`PolicyTargetPage::next`] does.
    pub(crate) async fn targets(
        &self,
        policy: &PolicyName,
        limit: u16,
        after: &str,
    ) -> Result<PolicyTargetPage, PolicyError> {
        self.info(policy).await?;
        let (kind, name) = after.split_once(' ').unwrap_or(("", ""));
        let rows = sqlx::query(
            "SELECT target_kind, target FROM policy_attachments \
             WHERE policy = $1 AND (target_kind > $2 OR (target_kind = $3 AND target > $4)) \
             ORDER BY target_kind, target LIMIT $5",
        )
        .bind(policy.as_str())
        .bind(kind)
        .bind(kind)
        .bind(name)
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.database)
        .await?;
        let more = rows.len() > usize::from(limit);
        let target = |row: &sqlx::any::AnyRow| target_of(&row.try_get::<String, _>(0)?, &row.try_get::<String, _>(1)?);
        let targets = rows.iter().take(usize::from(limit)).map(target).collect::<Result<Vec<_>, _>>()?;
        let place = |target: &PolicyTarget| {
            let (kind, name) = columns_of(target);
            format!("{kind} {name}")
        };
        let next = targets.last().filter(|_| more).map(place);
        Ok(PolicyTargetPage { targets, next })
    }
}

async fn attach(
    connection: &mut AnyConnection,
    policy: &PolicyName,
    target: &PolicyTarget,
    actor: &Actor,
    now: Timestamp,
) -> Result<((), i64), PolicyError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    insert(&mut transaction, policy, target, actor, now).await?;
    transaction.commit().await?;
    Ok(((), generation))
}

async fn insert(
    transaction: &mut AnyConnection,
    policy: &PolicyName,
    target: &PolicyTarget,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), PolicyError> {
    let there = sqlx::query("SELECT 1 FROM policies WHERE name = $1")
        .bind(policy.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
    if there.is_none() {
        return Err(PolicyError::Unknown(policy.clone()));
    }
    let (kind, name) = columns_of(target);
    let table = match target {
        PolicyTarget::Certificate { .. } => Some("SELECT 1 FROM certificates WHERE id = $1"),
        PolicyTarget::Group { .. } => Some("SELECT 1 FROM thing_groups WHERE name = $1"),
        PolicyTarget::User { .. } => Some("SELECT 1 FROM users WHERE name = $1"),
        PolicyTarget::Role { .. } => None,
    };
    if let Some(table) = table
        && sqlx::query(table).bind(name).fetch_optional(&mut *transaction).await?.is_none()
    {
        return Err(PolicyError::UnknownTarget(target.clone()));
    }
    let added = sqlx::query(
        "INSERT INTO policy_attachments (policy, target_kind, target) VALUES ($1, $2, $3) \
         ON CONFLICT (policy, target_kind, target) DO NOTHING",
    )
    .bind(policy.as_str())
    .bind(kind)
    .bind(name)
    .execute(&mut *transaction)
    .await?;
    if added.rows_affected() == 0 {
        return Ok(());
    }
    let attached = sqlx::query("SELECT policy FROM policy_attachments WHERE target_kind = $1 AND target = $2")
        .bind(kind)
        .bind(name)
        .fetch_all(&mut *transaction)
        .await?;
    if attached.len() > MOST_POLICIES_OF_TARGET {
        return Err(PolicyError::TooManyAttached(target.clone()));
    }
    Ok(audit::note(transaction, actor, "policy.attach", policy, format!("to {target}"), now).await?)
}

async fn detach(
    connection: &mut AnyConnection,
    policy: &PolicyName,
    target: &PolicyTarget,
    actor: &Actor,
    now: Timestamp,
) -> Result<((), i64), PolicyError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    let there = sqlx::query("SELECT 1 FROM policies WHERE name = $1")
        .bind(policy.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
    if there.is_none() {
        return Err(PolicyError::Unknown(policy.clone()));
    }
    let (kind, name) = columns_of(target);
    let removed = sqlx::query("DELETE FROM policy_attachments WHERE policy = $1 AND target_kind = $2 AND target = $3")
        .bind(policy.as_str())
        .bind(kind)
        .bind(name)
        .execute(&mut *transaction)
        .await?;
    if removed.rows_affected() == 1 {
        audit::note(&mut transaction, actor, "policy.detach", policy, format!("from {target}"), now).await?;
    }
    transaction.commit().await?;
    Ok(((), generation))
}
