//! The policies that every server begins with.

use super::versions::insert;
use super::{GENERATION, Policies, PolicyError};
use fleet_protocol::policy::{DEFAULTS, DefaultPolicy};
use jiff::Timestamp;
use sqlx::{AnyConnection, Connection as _};

impl Policies {
    /// Makes those that are not there, and attaches each to its group or role. What an owner changed or detached stays so.
    pub(super) async fn make_defaults(&self) -> Result<(), PolicyError> {
        for default in DEFAULTS {
            let there = sqlx::query("SELECT 1 FROM policies WHERE name = $1")
                .bind(default.name)
                .fetch_optional(&self.database)
                .await?;
            if there.is_none() {
                let mut connection = self.database.acquire().await?;
                let outcome = make(&mut connection, default, (self.clock)()).await;
                self.generation.settle(connection, outcome).await?;
            }
        }
        Ok(())
    }
}

async fn make(
    connection: &mut AnyConnection,
    default: DefaultPolicy,
    now: Timestamp,
) -> Result<((), i64), PolicyError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    // Another process may have made it in between.
    let is_new = insert(&mut transaction, &default.name.parse()?, default.document, now).await?;
    let target = default.group.map(|group| ("group", group)).or(default.role.map(|role| ("role", role.as_str())));
    if let (true, Some((kind, target))) = (is_new, target) {
        sqlx::query(
            "INSERT INTO policy_attachments (policy, target_kind, target) VALUES ($1, $2, $3) \
             ON CONFLICT (policy, target_kind, target) DO NOTHING",
        )
        .bind(default.name)
        .bind(kind)
        .bind(target)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(((), generation))
}
