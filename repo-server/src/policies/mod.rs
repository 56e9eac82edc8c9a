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

use crate::generation::{Counter, Generation};
use cache::Cache;
use jiff::Timestamp;
use of_people::OfPeople;
use sqlx::AnyPool;
use tokio::sync::watch;

/// Raised with every change of policies and attachments. It comes first in each.
const GENERATION: Counter = Counter {
    of: "policies",
    read: "SELECT value FROM policy_generation",
    raise: "UPDATE policy_generation SET value = value + 1 RETURNING value",
};

/// The policies of this server.
#[derive(Debug)]
pub(crate) struct Policies {
    database: AnyPool,
    clock: fn() -> Timestamp,
    generation: Generation,
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
        let generation = Generation::open(database.clone(), GENERATION).await?;
        let policies =
            Self { database, clock, generation, registry, cache: Cache::default(), of_people: OfPeople::default() };
        policies.make_defaults().await?;
        Ok(policies)
    }

    /// Keeps up with other processes, for ever.
    pub(crate) async fn keep_up(&self) {
        self.generation.keep_up().await;
    }

    /// Becomes another number when a policy or an attachment changed.
    pub(crate) fn generation(&self) -> watch::Receiver<i64> {
        self.generation.subscribe()
    }
}
