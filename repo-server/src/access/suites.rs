//! Who may read which suite. The answer is needed with every request, so it is in memory; other processes on the same
//! database learn of a change before whoever made it gets the answer.

use super::error::AccessError;
use crate::audit::{Actor, Audit, Entry};
use crate::database;
use debian_formats::names::SuiteName;
use fleet_protocol::access::ReadAccess;
use fleet_protocol::audit::Outcome;
use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row as _};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// How soon a change made by another process is seen.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// After so long every process has looked.
const ALL_HAVE_LOOKED: Duration = Duration::from_millis(2500);

/// The access of this server's suites.
#[derive(Debug)]
pub(crate) struct Suites {
    database: AnyPool,
    audit: Audit,
    known: watch::Sender<BTreeMap<SuiteName, ReadAccess>>,
    /// Held from reading the table to showing it, so that what was read earlier never replaces what was read later.
    refreshing: Mutex<()>,
}

impl Suites {
    pub(crate) async fn load(database: AnyPool, audit: Audit) -> Result<Self, AccessError> {
        let suites = Self { database, audit, known: watch::Sender::default(), refreshing: Mutex::new(()) };
        suites.refresh().await?;
        Ok(suites)
    }

    /// Who may read a suite.
    pub(crate) async fn access_of(&self, suite: &SuiteName) -> Result<ReadAccess, AccessError> {
        let known = self.known.borrow().get(suite).copied();
        match known {
            Some(access) => Ok(access),
            None => {
                // Made a moment ago.
                self.refresh().await?;
                Ok(self.known.borrow().get(suite).copied().unwrap_or(ReadAccess::Devices))
            }
        }
    }

    /// Whether any suite is not public.
    pub(crate) fn any_private(&self) -> bool {
        self.known.borrow().values().any(|access| *access != ReadAccess::Public)
    }

    /// The suites that hold the package of this pool file now.
    pub(crate) async fn holding(&self, filename: &str) -> Result<Vec<(SuiteName, ReadAccess)>, AccessError> {
        let rows = sqlx::query(
            "SELECT DISTINCT s.name, s.access FROM suites s JOIN suite_packages h ON h.suite = s.name \
             JOIN packages p ON p.sha256 = h.sha256 WHERE p.filename = $1",
        )
        .bind(filename)
        .fetch_all(&self.database)
        .await?;
        rows.iter().map(access_of_row).collect()
    }

    /// Sets who may read a suite; false if there is no such suite. To set it again to the same changes nothing.
    pub(crate) async fn set(&self, suite: &SuiteName, access: ReadAccess, actor: Actor) -> Result<bool, AccessError> {
        let entry = Entry {
            actor,
            action: "suite.access",
            subject: suite.to_string(),
            detail: format!("{access} may read it"),
            outcome: Outcome::Done,
        };
        let statement = sqlx::query("UPDATE suites SET access = $1 WHERE name = $2 AND access <> $3")
            .bind(access.as_str())
            .bind(suite.to_string())
            .bind(access.as_str());
        let changed = self.audit.change(statement, &entry).await?;
        if changed {
            tracing::info!(%suite, %access, by = entry.actor.name, "changed who may read a suite");
        }
        self.refresh().await?;
        if changed && database::is_shared(&self.database) {
            // Whoever closes a suite may then publish what is not for everybody.
            tokio::time::sleep(ALL_HAVE_LOOKED).await;
        }
        Ok(self.known.borrow().contains_key(suite))
    }

    /// Keeps up with other processes, if there may be any, for ever.
    pub(crate) async fn keep_up(&self) {
        while database::is_shared(&self.database) {
            tokio::time::sleep(REFRESH_INTERVAL).await;
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "could not look who may read which suite; what was known holds");
            }
        }
    }

    async fn refresh(&self) -> Result<(), AccessError> {
        let _turn = self.refreshing.lock().await;
        let rows = sqlx::query("SELECT name, access FROM suites").fetch_all(&self.database).await?;
        self.known.send_replace(rows.iter().map(access_of_row).collect::<Result<_, _>>()?);
        Ok(())
    }
}

fn access_of_row(row: &AnyRow) -> Result<(SuiteName, ReadAccess), AccessError> {
    Ok((row.try_get::<String, _>(0)?.parse()?, row.try_get::<String, _>(1)?.parse()?))
}
