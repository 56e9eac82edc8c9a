//! The packages that a publication adds: an import's time rests on how few statements they take.

use super::super::change::Placed;
use super::pool_writes::{PoolWrite, one_of};
use super::{Package, StoreError, phase, signed};
use crate::sql::{AT_ONCE, Sql, Value, insertions};
use jiff::Timestamp;
use sqlx::AnyConnection;
use std::collections::BTreeMap;

/// What is to be added to the pool and to a suite.
#[derive(Default)]
pub(super) struct Additions<'a> {
    /// To the suite: all of them.
    placed: Vec<&'a Placed>,
    /// To the pool: those that it did not hold.
    new: Vec<&'a Package>,
    /// The notes that their files were put there, by their time.
    notes: BTreeMap<i64, Vec<&'a str>>,
}

impl<'a> Additions<'a> {
    pub(super) fn add(&mut self, placed: &'a Placed) {
        self.placed.push(placed);
    }

    pub(super) fn add_new(&mut self, placed: &'a Placed, write: &'a PoolWrite) {
        self.add(placed);
        self.new.push(&placed.package);
        self.notes.entry(write.begun_at).or_default().push(&write.filename);
    }

    pub(super) async fn write(
        &self,
        transaction: &mut AnyConnection,
        suite: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for new in self.new.chunks(AT_ONCE) {
            let packages: Vec<_> = new.iter().map(|package| package_row(package, now)).collect();
            let contents: Vec<_> =
                new.iter().map(|package| [package.sha256.as_str().into(), package.paths.as_str().into()]).collect();
            insert(
                transaction,
                "INSERT INTO packages \
                 (sha256, name, version, architecture, filename, size, stanza, signed_by, uploaded_at)",
                &packages,
            )
            .await?;
            insert(transaction, "INSERT INTO package_contents (sha256, paths)", &contents).await?;
        }
        self.end_notes(transaction).await?;
        for placed in self.placed.chunks(AT_ONCE) {
            let places: Vec<_> = placed.iter().map(|placed| place_row(suite, placed, now)).collect();
            let sql = "INSERT INTO suite_packages (suite, sha256, added_at, component, phased)";
            insert(transaction, sql, &places).await?;
        }
        Ok(())
    }

    async fn end_notes(&self, transaction: &mut AnyConnection) -> Result<(), StoreError> {
        for (begun_at, filenames) in &self.notes {
            for some in filenames.chunks(AT_ONCE) {
                let mut sql = Sql::new("DELETE FROM pool_writes WHERE begun_at = ");
                sql.bind(*begun_at).push(" AND filename IN ").list(some.iter().copied());
                let noted = sql.query().execute(&mut *transaction).await?;
                // Whoever took a note over may have removed the file.
                if noted.rows_affected() != some.len() as u64 {
                    return Err(StoreError::NoteLost(one_of(some)));
                }
            }
        }
        Ok(())
    }
}

fn package_row(package: &Package, now: Timestamp) -> [Value; 9] {
    [
        package.sha256.as_str().into(),
        package.name.as_str().into(),
        package.version.as_str().into(),
        package.architecture.as_str().into(),
        package.filename.as_str().into(),
        signed(package.size).into(),
        package.stanza.as_str().into(),
        package.signed_by.as_str().into(),
        now.as_second().into(),
    ]
}

fn place_row(suite: &str, placed: &Placed, now: Timestamp) -> [Value; 5] {
    [
        suite.into(),
        placed.package.sha256.as_str().into(),
        now.as_second().into(),
        placed.component.as_str().into(),
        phase(placed.phased).into(),
    ]
}

async fn insert<const COLUMNS: usize>(
    transaction: &mut AnyConnection,
    sql: &str,
    rows: &[[Value; COLUMNS]],
) -> Result<(), StoreError> {
    for sql in insertions(sql, rows) {
        sql.query().execute(&mut *transaction).await?;
    }
    Ok(())
}
