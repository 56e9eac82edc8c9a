//! One publication, in one transaction.

use super::super::change::Change;
use super::super::generation::Generation;
use super::additions::Additions;
use super::{Store, StoreError, phase, signed};
use debian_formats::names::SuiteName;
use jiff::Timestamp;
use sqlx::{AnyConnection, Connection as _};
use std::sync::Arc;

/// What a publication does to what the tables say a suite holds.
#[derive(Debug, Clone, Copy)]
pub(in crate::repository) enum Step<'a> {
    /// Changes it, one after the other.
    Changes(&'a [Arc<[Change]>]),
    /// Makes the suite, frozen, as another one is in its generation of this number.
    Snapshot { of: &'a SuiteName, number: i64 },
    /// Has it hold what a snapshot does in its generation of this number.
    ReturnTo { snapshot: &'a SuiteName, number: i64 },
}

impl Store {
    /// Publishes: the generation and what it adds become visible together, or not at all. Whoever finds the suite at
    /// another generation than the one before has lost a race, and nothing is changed. Generations before `keep_from`
    /// are forgotten.
    pub(in crate::repository) async fn publish(
        &self,
        suite: &SuiteName,
        generation: &Generation,
        keep_from: i64,
        step: Step<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut connection = self.database.acquire().await?;
        let outcome = publish_in_transaction(&mut connection, suite, generation, keep_from, step, now).await;
        if outcome.is_err() {
            // On a full disk SQLite may end a transaction by itself, and the pool would not know: such a connection
            // is not used again. Closing it is all that is wanted, so how it closes does not matter.
            let _ = connection.close().await;
        }
        match outcome {
            // Another process put the same package in meanwhile, or removed it from the pool.
            Err(StoreError::Database(sqlx::Error::Database(error)))
                if error.is_unique_violation() || error.is_foreign_key_violation() =>
            {
                Err(StoreError::Raced(suite.clone()))
            }
            outcome => outcome,
        }
    }
}

async fn publish_in_transaction(
    connection: &mut AnyConnection,
    suite: &SuiteName,
    generation: &Generation,
    keep_from: i64,
    step: Step<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    let (name, number) = (suite.as_str(), generation.number());
    if let Step::Snapshot { of, .. } = step {
        // Who may read the one may read the other.
        sqlx::query(
            "INSERT INTO suites (name, generation, created_at, frozen_at, access) \
             SELECT $1, 0, $2, $3, access FROM suites WHERE name = $4",
        )
        .bind(name)
        .bind(now.as_second())
        .bind(now.as_second())
        .bind(of.as_str())
        .execute(&mut *transaction)
        .await?;
    }
    let raised = sqlx::query("UPDATE suites SET generation = $1 WHERE name = $2 AND generation = $3")
        .bind(number)
        .bind(name)
        .bind(number - 1)
        .execute(&mut *transaction)
        .await?;
    if raised.rows_affected() != 1 {
        return Err(StoreError::Raced(suite.clone()));
    }
    match step {
        Step::Changes(changes) => {
            change_in_transaction(&mut transaction, name, changes, now).await?;
        }
        Step::Snapshot { of, number } | Step::ReturnTo { snapshot: of, number } => {
            copy_in_transaction(&mut transaction, name, of, number).await?;
        }
    }
    let [(_, release), (_, inrelease), (_, release_gpg)] = generation.signed_files();
    sqlx::query(
        "INSERT INTO generations (suite, number, date, valid_until, release, inrelease, release_gpg) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(name)
    .bind(number)
    .bind(generation.date().as_second())
    .bind(generation.valid_until().as_second())
    .bind(release)
    .bind(inrelease)
    .bind(release_gpg)
    .execute(&mut *transaction)
    .await?;
    for file in &generation.files().listed {
        sqlx::query("INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ($1, $2, $3, $4, $5)")
            .bind(name)
            .bind(number)
            .bind(&file.path)
            .bind(&file.sha256)
            .bind(signed(file.size))
            .execute(&mut *transaction)
            .await?;
    }
    for (key, part) in generation.parts() {
        for (position, block) in (0i64..).zip(&part.blocks) {
            sqlx::query(
                "INSERT INTO generation_blocks (suite, number, kind, component, architecture, position, block) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(name)
            .bind(number)
            .bind(key.kind.as_str())
            .bind(key.component.as_str())
            .bind(key.architecture.as_str())
            .bind(position)
            .bind(&block.id)
            .execute(&mut *transaction)
            .await?;
        }
    }
    for sql in [
        "DELETE FROM generation_blocks WHERE suite = $1 AND number < $2",
        "DELETE FROM generation_files WHERE suite = $1 AND number < $2",
        "DELETE FROM generations WHERE suite = $1 AND number < $2",
    ] {
        sqlx::query(sql).bind(name).bind(keep_from).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Has a suite hold what another one holds, whose newest generation must be of this number.
async fn copy_in_transaction(
    transaction: &mut AnyConnection,
    suite: &str,
    from: &SuiteName,
    number: i64,
) -> Result<(), StoreError> {
    // Whoever changes the other one meanwhile waits for this, or this for them.
    let unchanged = sqlx::query("UPDATE suites SET generation = generation WHERE name = $1 AND generation = $2")
        .bind(from.as_str())
        .bind(number)
        .execute(&mut *transaction)
        .await?;
    if unchanged.rows_affected() != 1 {
        return Err(StoreError::Raced(from.clone()));
    }
    sqlx::query("DELETE FROM suite_packages WHERE suite = $1").bind(suite).execute(&mut *transaction).await?;
    sqlx::query(
        "INSERT INTO suite_packages (suite, sha256, added_at, component, phased) \
         SELECT $1, sha256, added_at, component, phased FROM suite_packages WHERE suite = $2",
    )
    .bind(suite)
    .bind(from.as_str())
    .execute(&mut *transaction)
    .await?;
    Ok(())
}

/// Changes what a suite holds. No two changes are about the same package, so those that add some may come last.
async fn change_in_transaction(
    transaction: &mut AnyConnection,
    suite: &str,
    changes: &[Arc<[Change]>],
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut additions = Additions::default();
    for change in changes.iter().flat_map(|some| some.iter()) {
        let done = match change {
            Change::AddNew(placed, write) => {
                additions.add_new(placed, write);
                continue;
            }
            Change::Add(placed) => {
                additions.add(placed);
                continue;
            }
            Change::Remove { package } => {
                sqlx::query("DELETE FROM suite_packages WHERE suite = $1 AND sha256 = $2")
                    .bind(suite)
                    .bind(&**package)
                    .execute(&mut *transaction)
                    .await?
            }
            Change::Phase(placed) => {
                sqlx::query("UPDATE suite_packages SET phased = $1 WHERE suite = $2 AND sha256 = $3")
                    .bind(phase(placed.phased))
                    .bind(suite)
                    .bind(&placed.package.sha256)
                    .execute(&mut *transaction)
                    .await?
            }
        };
        // The suite does not hold what should go or stay: somebody took it out meanwhile.
        if done.rows_affected() != 1 {
            return Err(StoreError::NotHeld(change.package().to_owned()));
        }
    }
    additions.write(transaction, suite, now).await
}
