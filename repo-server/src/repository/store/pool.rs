//! What the pool holds.

use super::pool_writes::{PoolWrite, begin_pool_write};
use super::{Package, Store, StoreError, parsed, unsigned};
use debian_formats::Version;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A package that no suite holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::repository) struct UnlistedPackage {
    pub(in crate::repository) sha256: String,
    pub(in crate::repository) filename: String,
}

/// A file of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PoolFile {
    pub(crate) sha256: String,
    pub(crate) size: u64,
}

/// What a package of the pool is known by.
#[derive(Debug)]
pub(in crate::repository) struct PoolName {
    pub(in crate::repository) sha256: String,
    pub(in crate::repository) name: String,
    pub(in crate::repository) architecture: String,
    pub(in crate::repository) version: Version,
    pub(in crate::repository) filename: String,
}

impl PoolName {
    pub(in crate::repository) fn of(package: &Package) -> Self {
        Self {
            sha256: package.sha256.clone(),
            name: package.name.clone(),
            architecture: package.architecture.clone(),
            version: package.version.clone(),
            filename: package.filename.clone(),
        }
    }
}

/// Packages of the pool, by what may stand in another one's way.
#[derive(Debug, Default)]
pub(in crate::repository) struct PoolNames {
    by_name: BTreeMap<(String, String), Vec<Arc<PoolName>>>,
    by_filename: BTreeMap<String, Arc<PoolName>>,
}

impl PoolNames {
    pub(in crate::repository) fn add(&mut self, package: PoolName) {
        let package = Arc::new(package);
        let key = (package.name.clone(), package.architecture.clone());
        self.by_name.entry(key).or_default().push(package.clone());
        self.by_filename.insert(package.filename.clone(), package);
    }

    /// The package of the same name and architecture whose version is equal as dpkg compares (`1.0` and `1.00` are), or
    /// whose file has the same name.
    pub(in crate::repository) fn rival(&self, package: &Package) -> Option<&PoolName> {
        let named = self.by_name.get(&(package.name.clone(), package.architecture.clone()));
        let equal = named.into_iter().flatten().find(|it| it.version == package.version);
        equal.or_else(|| self.by_filename.get(&package.filename)).map(AsRef::as_ref)
    }
}

/// For so many packages, each is looked for; for more, all that there are are read.
pub(super) const FEW: usize = 50;

impl Store {
    /// All of the pool that may stand in the way of these, and perhaps more.
    pub(in crate::repository) async fn pool_names(&self, wanted: &[&Package]) -> Result<PoolNames, StoreError> {
        let mut names = PoolNames::default();
        if wanted.len() > FEW {
            let rows = sqlx::query("SELECT sha256, name, architecture, version, filename FROM packages")
                .fetch_all(&self.database)
                .await?;
            rows.iter().try_for_each(|row| pool_name_of_row(row).map(|name| names.add(name)))?;
            return Ok(names);
        }
        for package in wanted {
            let rows = sqlx::query(
                "SELECT sha256, name, architecture, version, filename FROM packages \
                 WHERE (name = $1 AND architecture = $2) OR filename = $3",
            )
            .bind(&package.name)
            .bind(&package.architecture)
            .bind(&package.filename)
            .fetch_all(&self.database)
            .await?;
            rows.iter().try_for_each(|row| pool_name_of_row(row).map(|name| names.add(name)))?;
        }
        Ok(names)
    }

    /// The packages of these SHA-256.
    pub(in crate::repository) async fn packages(&self, wanted: &BTreeSet<String>) -> Result<Vec<Package>, StoreError> {
        let mut packages = Vec::new();
        for sha256 in wanted {
            let row = sqlx::query(
                "SELECT p.sha256, p.name, p.version, p.architecture, p.filename, p.size, p.stanza, p.signed_by, \
                 COALESCE(c.paths, '') FROM packages p LEFT JOIN package_contents c ON c.sha256 = p.sha256 \
                 WHERE p.sha256 = $1",
            )
            .bind(sha256)
            .fetch_one(&self.database)
            .await?;
            packages.push(package_of_row(&row)?);
        }
        Ok(packages)
    }

    /// A file of the pool, if it has it.
    pub(in crate::repository) async fn pool_file(&self, filename: &str) -> Result<Option<PoolFile>, StoreError> {
        let row = sqlx::query("SELECT sha256, size FROM packages WHERE filename = $1")
            .bind(filename)
            .fetch_optional(&self.database)
            .await?;
        row.map(|row| Ok(PoolFile { sha256: row.try_get(0)?, size: unsigned(row.try_get(1)?, "size")? })).transpose()
    }

    /// Notes of every package whether a suite holds it.
    pub(in crate::repository) async fn note_unlisted(&self, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE packages SET unlisted_at = 0 WHERE unlisted_at > 0 \
             AND EXISTS (SELECT 1 FROM suite_packages s WHERE s.sha256 = packages.sha256)",
        )
        .execute(&self.database)
        .await?;
        sqlx::query(
            "UPDATE packages SET unlisted_at = $1 WHERE unlisted_at = 0 \
             AND NOT EXISTS (SELECT 1 FROM suite_packages s WHERE s.sha256 = packages.sha256)",
        )
        .bind(now.as_second())
        .execute(&self.database)
        .await?;
        Ok(())
    }

    /// Packages that were unlisted before this time.
    pub(in crate::repository) async fn unlisted_before(
        &self,
        time: Timestamp,
    ) -> Result<Vec<UnlistedPackage>, StoreError> {
        let rows = sqlx::query("SELECT sha256, filename FROM packages WHERE unlisted_at > 0 AND unlisted_at < $1")
            .bind(time.as_second())
            .fetch_all(&self.database)
            .await?;
        rows.iter().map(|row| Ok(UnlistedPackage { sha256: row.try_get(0)?, filename: row.try_get(1)? })).collect()
    }

    /// Forgets a package that no suite holds; gives the note that its file is to be removed. None if a suite holds it
    /// again, or somebody else removes it.
    pub(in crate::repository) async fn forget_package(
        &self,
        package: &UnlistedPackage,
        owner: &str,
        now: Timestamp,
    ) -> Result<Option<PoolWrite>, StoreError> {
        let mut transaction = self.database.begin().await?;
        // From here on nobody uploads that file.
        let Some(write) = begin_pool_write(&mut transaction, &package.filename, owner, now).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        sqlx::query("DELETE FROM package_contents WHERE sha256 = $1")
            .bind(&package.sha256)
            .execute(&mut *transaction)
            .await?;
        let forgotten = sqlx::query(
            "DELETE FROM packages WHERE sha256 = $1 \
             AND NOT EXISTS (SELECT 1 FROM suite_packages s WHERE s.sha256 = packages.sha256)",
        )
        .bind(&package.sha256)
        .execute(&mut *transaction)
        .await?;
        if forgotten.rows_affected() != 1 {
            transaction.rollback().await?;
            return Ok(None);
        }
        transaction.commit().await?;
        Ok(Some(write))
    }
}

fn pool_name_of_row(row: &AnyRow) -> Result<PoolName, StoreError> {
    Ok(PoolName {
        sha256: row.try_get(0)?,
        name: row.try_get(1)?,
        architecture: row.try_get(2)?,
        version: parsed(row, 3, "version")?,
        filename: row.try_get(4)?,
    })
}

pub(super) fn package_of_row(row: &AnyRow) -> Result<Package, StoreError> {
    Ok(Package {
        sha256: row.try_get(0)?,
        name: row.try_get(1)?,
        version: parsed(row, 2, "version")?,
        architecture: row.try_get(3)?,
        filename: row.try_get(4)?,
        size: unsigned(row.try_get(5)?, "size")?,
        stanza: row.try_get(6)?,
        signed_by: row.try_get(7)?,
        paths: row.try_get(8)?,
    })
}
