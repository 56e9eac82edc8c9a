//! People: who may sign in, which things they see, and what they may do with those.
//!
//! Whoever signs in gets a session, and in it tokens for MQTT that last minutes. A decision about a person rests on their
//! role and the policies of it (`policies`), and on which of the things that a topic names they see. That is asked for with
//! every message, so it is kept in memory with the numbers of the generations of people and of the registry that it was
//! read in.

mod decisions;
mod error;
mod password;
mod secrets;
mod seen_things;
mod users;

pub(crate) use decisions::PersonSubject;
pub(crate) use error::{PeopleError, SignInError};
pub(crate) use secrets::{NewSecret, Person, SignedIn};

use crate::access::{Rate, Throttle};
use crate::audit::{self, Actor, Entry};
use crate::policies::Policies;
use decisions::Known;
use fleet_protocol::audit::Outcome;
use jiff::Timestamp;
use sqlx::{AnyConnection, AnyPool};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How soon a change made by another process is seen.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often what has ended is removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
/// Wrong passwords that one remote party may send: ten, and then one in six seconds.
const WRONG_PASSWORDS: Rate = Rate { burst: 10, refill: Duration::from_secs(6), parties: 8192 };
/// Passwords that are compared at a time: each takes 19 MiB and a good part of a core.
const COMPARED_AT_ONCE: usize = 2;

/// The people of this server.
#[derive(Debug)]
pub(crate) struct People {
    database: AnyPool,
    policies: Arc<Policies>,
    clock: fn() -> Timestamp,
    /// Raised with every change.
    generation: watch::Sender<i64>,
    /// The registry's: of things and groups.
    registry: watch::Receiver<i64>,
    known: Known,
    comparing: Semaphore,
    guesses: Mutex<Throttle>,
}

impl People {
    /// The people of a server. `registry` becomes another number when a thing or a group changed.
    pub(crate) async fn open(
        database: AnyPool,
        registry: watch::Receiver<i64>,
        policies: Arc<Policies>,
        clock: fn() -> Timestamp,
    ) -> Result<Self, PeopleError> {
        let people = Self {
            database,
            policies,
            clock,
            generation: watch::Sender::new(0),
            registry,
            known: Known::default(),
            comparing: Semaphore::new(COMPARED_AT_ONCE),
            guesses: Mutex::new(Throttle::new(WRONG_PASSWORDS)),
        };
        people.look().await?;
        Ok(people)
    }

    /// Becomes another number whenever a person may do less or more than before, or a session or token was ended. What
    /// this process changes is seen before the change is answered, what another one changes within two seconds.
    pub(crate) fn generation(&self) -> watch::Receiver<i64> {
        self.generation.subscribe()
    }

    /// Keeps up with other processes, and removes what has ended, for ever.
    pub(crate) async fn keep_up(&self) {
        let (mut looks, mut sweeps) = (tokio::time::interval(LOOK_INTERVAL), tokio::time::interval(SWEEP_INTERVAL));
        loop {
            let done = tokio::select! {
                _ = looks.tick() => self.look().await,
                _ = sweeps.tick() => self.sweep().await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "could not keep up with who may sign in; tries again");
            }
        }
    }

    async fn look(&self) -> Result<(), PeopleError> {
        let generation = sqlx::query_scalar("SELECT value FROM people_generation").fetch_one(&self.database).await?;
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
}

/// Begins every change: it waits for others to end, and SQLite gives the right to write before anything is read.
async fn raise_generation(transaction: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("UPDATE people_generation SET value = value + 1 RETURNING value").fetch_one(transaction).await
}

/// Notes a change in the audit log.
async fn note(
    transaction: &mut AnyConnection,
    actor: &Actor,
    action: &'static str,
    subject: impl ToString,
    detail: String,
    now: Timestamp,
) -> Result<(), PeopleError> {
    let entry = Entry { actor: actor.clone(), action, subject: subject.to_string(), detail, outcome: Outcome::Done };
    Ok(audit::append(transaction, &entry, now).await?)
}

#[cfg(test)]
mod tests;
