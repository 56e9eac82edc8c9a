//! Policies: their documents and versions, what they are attached to, and what a client may do by them.
//!
//! A client's policies are those of its certificate, and those of the groups of the thing that it connects as and of
//! their parents; of all the certificate's things, if it connects as none of them. Decisions are asked for with every message, so what they rest on is kept in memory, with the numbers
//! of the generations of policies and of the registry that it was read in; whoever changes something raises one of them,
//! and what was read before counts no longer.

mod attachments;
mod cache;
mod certificate_fields;
mod defaults;
mod documents;
mod effective;
mod error;
mod in_advance;
mod of_people;
mod rows;
#[cfg(test)]
mod tests;
mod versions;

pub(crate) use effective::{Counting, Subject};
pub(crate) use error::PolicyError;

use crate::audit::{self, Actor, Entry};
use cache::Cache;
use fleet_protocol::audit::Outcome;
use jiff::Timestamp;
use of_people::OfPeople;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool};
use std::time::Duration;
use tokio::sync::watch;

/// How soon a change made by another process is seen.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The policies of this server.
#[derive(Debug)]
pub(crate) struct Policies {
    database: AnyPool,
    clock: fn() -> Timestamp,
    /// Raised with every change of policies and attachments.
    generation: watch::Sender<i64>,
    /// The registry's: of things, groups, and which certificate is attached to which thing.
    registry: watch::Receiver<i64>,
    cache: Cache,
    of_people: OfPeople,
}

impl Policies {
    /// The policies of a server, with those that every server begins with. `registry` becomes another number when a
    /// thing, a group or an attachment of a certificate changed.
    pub(crate) async fn open(
        database: AnyPool,
        registry: watch::Receiver<i64>,
        clock: fn() -> Timestamp,
    ) -> Result<Self, PolicyError> {
        let policies = Self {
            database,
            clock,
            generation: watch::Sender::new(0),
            registry,
            cache: Cache::default(),
            of_people: OfPeople::default(),
        };
        policies.make_defaults().await?;
        policies.look().await?;
        Ok(policies)
    }

    /// Keeps up with other processes, for ever.
    pub(crate) async fn keep_up(&self) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "could not look whether another process changed policies; looks again");
            }
        }
    }

    /// Becomes another number when a policy or an attachment changed.
    pub(crate) fn generation(&self) -> watch::Receiver<i64> {
        self.generation.subscribe()
    }

    /// Looks whether policies or attachments changed.
    async fn look(&self) -> Result<(), PolicyError> {
        let generation: i64 =
            sqlx::query_scalar("SELECT value FROM policy_generation").fetch_one(&self.database).await?;
        self.announce(generation);
        Ok(())
    }

    fn announce(&self, generation: i64) {
        self.generation.send_if_modified(|known| {
            let is_newer = generation > *known;
            *known = generation.max(*known);
            is_newer
        });
    }

    /// The outcome of a transaction. A connection that failed is not used again: on a full disk SQLite may end a
    /// transaction by itself, and the pool would not know.
    async fn finish<T>(
        &self,
        connection: PoolConnection<Any>,
        outcome: Result<(T, i64), PolicyError>,
    ) -> Result<T, PolicyError> {
        match outcome {
            Ok((value, generation)) => {
                self.announce(generation);
                Ok(value)
            }
            Err(error) => {
                if error.is_of_database() {
                    // How it closes does not matter.
                    let _ = connection.close().await;
                }
                Err(error)
            }
        }
    }
}

/// Begins every change: it waits for others to end, and SQLite gives the right to write before anything is read.
async fn raise_generation(transaction: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("UPDATE policy_generation SET value = value + 1 RETURNING value").fetch_one(transaction).await
}

/// Notes a change in the audit log.
async fn note(
    transaction: &mut AnyConnection,
    actor: &Actor,
    action: &'static str,
    subject: impl ToString,
    detail: String,
    now: Timestamp,
) -> Result<(), PolicyError> {
    let entry = Entry { actor: actor.clone(), action, subject: subject.to_string(), detail, outcome: Outcome::Done };
    Ok(audit::append(transaction, &entry, now).await?)
}
