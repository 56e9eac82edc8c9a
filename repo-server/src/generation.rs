//! A number in the database that rises with every change of something.
//!
//! What a decision rests on is kept in memory together with the number that it was read at: another number, and it counts
//! no longer.

use crate::database;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool};
use std::time::Duration;
use tokio::sync::watch;

/// How soon a change made by another process is seen.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Where the number stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter {
    /// What changes with it, in words.
    pub(crate) of: &'static str,
    /// The statement that reads it.
    pub(crate) read: &'static str,
    /// The statement that raises it and gives the new one.
    pub(crate) raise: &'static str,
}

impl Counter {
    /// Raises the number, as part of a change. Where it comes first, the change waits for others to end, and SQLite gives
    /// the right to write before anything is read.
    pub(crate) async fn raise(&self, transaction: &mut AnyConnection) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(self.raise).fetch_one(transaction).await
    }
}

/// What this process knows of the number. What it changes itself is told before the change is answered, what another one
/// changes within two seconds.
#[derive(Debug)]
pub(crate) struct Generation {
    database: AnyPool,
    counter: Counter,
    known: watch::Sender<i64>,
}

impl Generation {
    pub(crate) async fn open(database: AnyPool, counter: Counter) -> Result<Self, sqlx::Error> {
        let generation = Self { database, counter, known: watch::Sender::new(0) };
        generation.look().await?;
        Ok(generation)
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<i64> {
        self.known.subscribe()
    }

    pub(crate) fn current(&self) -> i64 {
        *self.known.borrow()
    }

    /// Tells of a generation, if there is one and it is a later one.
    pub(crate) fn announce(&self, generation: impl Into<Option<i64>>) {
        let Some(generation) = generation.into() else { return };
        self.known.send_if_modified(|known| {
            let is_newer = generation > *known;
            *known = generation.max(*known);
            is_newer
        });
    }

    /// The outcome of a change, and the generation that it made is told of.
    pub(crate) async fn settle<T, E>(
        &self,
        connection: PoolConnection<Any>,
        outcome: Result<(T, i64), E>,
    ) -> Result<T, E> {
        let (value, generation) = database::settle(connection, outcome).await?;
        self.announce(generation);
        Ok(value)
    }

    /// Looks what other processes changed.
    pub(crate) async fn look(&self) -> Result<(), sqlx::Error> {
        self.announce(sqlx::query_scalar::<_, i64>(self.counter.read).fetch_one(&self.database).await?);
        Ok(())
    }

    /// Keeps up with other processes, for ever.
    pub(crate) async fn keep_up(&self) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "could not look whether another process changed {}; looks again", self.counter.of);
            }
        }
    }
}
