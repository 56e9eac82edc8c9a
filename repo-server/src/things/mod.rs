//! The registry: things, their types, the groups they are in and the certificates that speak for them.
//!
//! Every change is one transaction with its entry in the audit log. What things are found by is kept in an index
//! (`index`), which dynamic groups are decided with, too.

mod bulk;
mod connectivity;
mod error;
mod groups;
mod index;
mod members;
mod order;
mod presence;
mod principals;
mod rows;
mod search;
mod thing;
mod types;

pub(crate) use error::RegistryError;
pub(crate) use presence::Presence;

use crate::generation::{Counter, Generation};
use fleet_protocol::names::ThingName;
use jiff::Timestamp;
use sqlx::{AnyConnection, AnyPool};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::watch;

/// Raised when something changed that what certificates may do rests on.
const GENERATION: Counter = Counter {
    of: "things or groups",
    read: "SELECT generation FROM registry WHERE id = 1",
    raise: "UPDATE registry SET generation = generation + 1 WHERE id = 1 RETURNING generation",
};
/// How often the index is compared with what it is about.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(3600);

/// A change in one transaction. A connection that failed is not used again: on a full disk SQLite may end a
/// transaction by itself, and the pool would not know.
macro_rules! in_transaction {
    ($registry:expr, |$transaction:ident| $body:expr) => {{
        let mut connection = $registry.database.acquire().await?;
        let outcome: Result<_, $crate::things::RegistryError> = async {
            let mut $transaction = sqlx::Connection::begin(&mut *connection).await?;
            $crate::things::take_turn(&mut $transaction).await?;
            let value = $body?;
            $transaction.commit().await?;
            Ok(value)
        }
        .await;
        if outcome.as_ref().is_err_and($crate::things::RegistryError::spoils_connection) {
            let _ = connection.close().await;
        }
        outcome
    }};
}
use in_transaction;

/// The things of this server.
#[derive(Debug)]
pub(crate) struct Registry {
    database: AnyPool,
    clock: fn() -> Timestamp,
    generation: Generation,
    /// Things whose index is to be brought up to date.
    waiting: std::sync::Mutex<BTreeSet<ThingName>>,
    /// Held by whoever does so.
    refreshing: tokio::sync::Mutex<()>,
}

impl Registry {
    /// The registry of a server, with the groups that every server has.
    pub(crate) async fn open(database: AnyPool, clock: fn() -> Timestamp) -> Result<Self, RegistryError> {
        let registry = Self {
            generation: Generation::open(database.clone(), GENERATION).await?,
            database,
            clock,
            waiting: std::sync::Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
        };
        registry.make_own_groups().await?;
        Ok(registry)
    }

    /// Becomes another number whenever something changed that what a certificate may do can rest on: an attachment, a
    /// thing's type or attributes, or a group's things, parents or existence. What this process changes is seen before
    /// the change is answered, what another process changes within two seconds.
    pub(crate) fn generation(&self) -> watch::Receiver<i64> {
        self.generation.subscribe()
    }

    /// Keeps up with other processes, and the index with what it is about, for ever.
    pub(crate) async fn keep_up(&self) {
        tokio::join!(self.generation.keep_up(), self.reconcile_often());
    }

    async fn reconcile_often(&self) {
        loop {
            if let Err(error) = self.reconcile().await {
                tracing::warn!(%error, "could not compare the index of things with their shadows; the next hour will");
            }
            tokio::time::sleep(RECONCILE_INTERVAL).await;
        }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// Waits for other changes of the registry to end. It comes first, so that what is read next is what they left, and so
/// that SQLite gives the right to write before anything was read.
async fn take_turn(transaction: &mut AnyConnection) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE registry SET writes = writes + 1 WHERE id = 1").execute(transaction).await?;
    Ok(())
}

/// A new UUID (RFC 9562 §5.4).
fn new_id() -> Result<String, RegistryError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(RegistryError::Random)?;
    let [.., six, _, eight, _, _, _, _, _, _, _] = &mut bytes;
    *six = *six & 0x0f | 0x40;
    *eight = *eight & 0x3f | 0x80;
    let hex = debian_formats::checksums::hex(&bytes);
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

#[cfg(test)]
mod tests;
