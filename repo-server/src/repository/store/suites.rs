//! What suites hold.

use super::super::change::Placed;
use super::super::retention::Held;
use super::pool::{FEW, package_of_row};
use super::{Store, StoreError, parsed, time};
use crate::shadows::Installed;
use debian_formats::PackageName;
use debian_formats::names::SuiteName;
use fleet_protocol::suites::Retention;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Store {
    /// False if there is one of this name.
    pub(in crate::repository) async fn create_suite(
        &self,
        suite: &SuiteName,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let created = sqlx::query(
            "INSERT INTO suites (name, generation, created_at) VALUES ($1, 0, $2) ON CONFLICT (name) DO NOTHING",
        )
        .bind(suite.as_str())
        .bind(now.as_second())
        .execute(&self.database)
        .await?;
        Ok(created.rows_affected() == 1)
    }

    pub(in crate::repository) async fn suites(&self) -> Result<Vec<SuiteName>, StoreError> {
        let rows = sqlx::query("SELECT name FROM suites ORDER BY name").fetch_all(&self.database).await?;
        rows.iter().map(|row| parsed(row, 0, "suite")).collect()
    }

    /// Those of these SHA-256 that a suite holds.
    pub(in crate::repository) async fn held_of(
        &self,
        suite: &SuiteName,
        wanted: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, StoreError> {
        let mut held = BTreeSet::new();
        if wanted.len() > FEW {
            let rows = sqlx::query("SELECT sha256 FROM suite_packages WHERE suite = $1")
                .bind(suite.as_str())
                .fetch_all(&self.database)
                .await?;
            held = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            held.retain(|sha256| wanted.contains(sha256));
            return Ok(held);
        }
        for sha256 in wanted {
            let row = sqlx::query("SELECT 1 FROM suite_packages WHERE suite = $1 AND sha256 = $2")
                .bind(suite.as_str())
                .bind(sha256)
                .fetch_optional(&self.database)
                .await?;
            if row.is_some() {
                held.insert(sha256.clone());
            }
        }
        Ok(held)
    }

    /// Everything in a suite.
    pub(in crate::repository) async fn suite_packages(&self, suite: &SuiteName) -> Result<Vec<Placed>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.sha256, p.name, p.version, p.architecture, p.filename, p.size, p.stanza, p.signed_by, \
             COALESCE(c.paths, ''), s.component, s.phased FROM suite_packages s \
             JOIN packages p ON p.sha256 = s.sha256 LEFT JOIN package_contents c ON c.sha256 = s.sha256 \
             WHERE s.suite = $1 ORDER BY p.name, p.sha256",
        )
        .bind(suite.as_str())
        .fetch_all(&self.database)
        .await?;
        rows.iter().map(placed_of_row).collect()
    }

    /// What a suite holds under a name.
    pub(in crate::repository) async fn suite_packages_named(
        &self,
        suite: &SuiteName,
        name: &PackageName,
    ) -> Result<Vec<Placed>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.sha256, p.name, p.version, p.architecture, p.filename, p.size, p.stanza, p.signed_by, \
             COALESCE(c.paths, ''), s.component, s.phased FROM packages p \
             JOIN suite_packages s ON s.sha256 = p.sha256 LEFT JOIN package_contents c ON c.sha256 = p.sha256 \
             WHERE p.name = $1 AND s.suite = $2 ORDER BY p.version, p.sha256",
        )
        .bind(name.as_str())
        .bind(suite.as_str())
        .fetch_all(&self.database)
        .await?;
        rows.iter().map(placed_of_row).collect()
    }

    /// See [`super::Repository::page`].
    pub(in crate::repository) async fn suite_page(
        &self,
        suite: &SuiteName,
        after: &str,
        limit: u16,
    ) -> Result<Vec<Placed>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.sha256, p.name, p.version, p.architecture, p.filename, p.size, p.stanza, p.signed_by, \
             '' AS paths, s.component, s.phased FROM suite_packages s JOIN packages p ON p.sha256 = s.sha256 \
             WHERE s.suite = $1 AND p.filename > $2 ORDER BY p.filename LIMIT $3",
        )
        .bind(suite.as_str())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.database)
        .await?;
        rows.iter().map(placed_of_row).collect()
    }

    /// What a suite keeps; none if it is not there.
    pub(in crate::repository) async fn retention(&self, suite: &SuiteName) -> Result<Option<Retention>, StoreError> {
        let row = sqlx::query("SELECT keep_versions, keep_days FROM suites WHERE name = $1")
            .bind(suite.as_str())
            .fetch_optional(&self.database)
            .await?;
        let number = |row: &AnyRow, column| {
            let value: i64 = row.try_get(column)?;
            u32::try_from(value).map_err(|_| StoreError::Row { what: "retention", value: value.to_string() })
        };
        row.map(|row| Ok(Retention { versions: number(&row, 0)?, days: number(&row, 1)? })).transpose()
    }

    pub(in crate::repository) async fn set_retention(
        &self,
        suite: &SuiteName,
        retention: Retention,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE suites SET keep_versions = $1, keep_days = $2 WHERE name = $3")
            .bind(i64::from(retention.versions))
            .bind(i64::from(retention.days))
            .bind(suite.as_str())
            .execute(&self.database)
            .await?;
        Ok(())
    }

    /// What a suite holds, as far as retention goes.
    pub(in crate::repository) async fn held(&self, suite: &SuiteName) -> Result<Vec<Held>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.sha256, p.name, p.architecture, p.version, s.added_at FROM suite_packages s \
             JOIN packages p ON p.sha256 = s.sha256 WHERE s.suite = $1",
        )
        .bind(suite.as_str())
        .fetch_all(&self.database)
        .await?;
        let held = |row: &AnyRow| {
            let sha256: String = row.try_get(0)?;
            Ok(Held {
                sha256: sha256.into(),
                name: row.try_get(1)?,
                architecture: row.try_get(2)?,
                version: parsed(row, 3, "version")?,
                added_at: time(row, 4)?,
            })
        };
        rows.iter().map(held).collect()
    }

    /// What devices have of these packages.
    pub(in crate::repository) async fn installed(&self, packages: BTreeSet<String>) -> Result<Installed, StoreError> {
        Ok(Installed::of(&self.database, packages).await?)
    }

    /// Whether a suite is a snapshot.
    pub(in crate::repository) async fn is_frozen(&self, suite: &SuiteName) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM suites WHERE name = $1 AND frozen_at > 0")
            .bind(suite.as_str())
            .fetch_optional(&self.database)
            .await?;
        Ok(row.is_some())
    }
}

pub(super) fn placed_of_row(row: &AnyRow) -> Result<Placed, StoreError> {
    let phased: i64 = row.try_get(10)?;
    let phased = u8::try_from(phased).ok().filter(|percentage| *percentage < 100);
    Ok(Placed { package: Arc::new(package_of_row(row)?), component: parsed(row, 9, "component")?, phased })
}
