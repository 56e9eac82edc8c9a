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
mod signing_in;
mod users;

pub(crate) use decisions::PersonSubject;
pub(crate) use error::{PeopleError, SignInError};
pub(crate) use secrets::{NewSecret, Person, SignedIn};

use crate::access::{Rate, Throttle};
use crate::generation::{Counter, Generation};
use crate::policies::Policies;
use decisions::Known;
use jiff::Timestamp;
use sqlx::AnyPool;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Raised with every change of what people may do, and of what they are signed in with. It comes first in each.
const GENERATION: Counter = Counter {
    of: "people",
    read: "SELECT value FROM people_generation",
    raise: "UPDATE people_generation SET value = value + 1 RETURNING value",
};
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
    generation: Generation,
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
        Ok(Self {
            generation: Generation::open(database.clone(), GENERATION).await?,
            database,
            policies,
            clock,
            registry,
            known: Known::default(),
            comparing: Semaphore::new(COMPARED_AT_ONCE),
            guesses: Mutex::new(Throttle::new(WRONG_PASSWORDS)),
        })
    }

    /// Becomes another number whenever a person may do less or more than before, or a session or token was ended. What
    /// this process changes is seen before the change is answered, what another one changes within two seconds.
    pub(crate) fn generation(&self) -> watch::Receiver<i64> {
        self.generation.subscribe()
    }

    /// Keeps up with other processes, and removes what has ended, for ever.
    pub(crate) async fn keep_up(&self) {
        tokio::join!(self.generation.keep_up(), self.sweep_often());
    }

    async fn sweep_often(&self) {
        let mut sweeps = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            sweeps.tick().await;
            if let Err(error) = self.sweep().await {
                tracing::warn!(%error, "could not remove the sessions and tokens that have ended; tries again");
            }
        }
    }
}

#[cfg(test)]
mod tests;
