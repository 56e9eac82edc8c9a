//! What the broker keeps in the database. One task writes, in the order in which it is told; whatever waits when it begins
//! is one transaction, so that many messages share one write to the disk.

mod bulk;
mod columns;
mod read;
mod write;

pub(super) use read::read;

use super::ids::ClientId;
use super::message::Message;
use super::wills::WaitingWill;
use super::wire::Subscription;
use sqlx::AnyPool;
use std::num::NonZeroU32;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// What may wait to be written; who comes then waits, too.
const MOST_WAITING: usize = 4096;
/// Of one transaction.
const MOST_AT_ONCE: usize = 1024;

/// Something that could not be kept.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the broker's tables could not be read or written: {0}")]
pub struct StoreError(String);

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

/// A session's copy of a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Copy {
    pub(super) client: ClientId,
    pub(super) retain: bool,
    pub(super) identifiers: Vec<NonZeroU32>,
}

/// A session that outlives its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptSession {
    pub(super) client: ClientId,
    pub(super) owner: String,
    /// In seconds.
    pub(super) expiry: i64,
    pub(super) disconnected_at: Option<i64>,
}

/// What there was when the server began.
pub(super) struct Kept {
    pub(super) sessions: Vec<KeptSession>,
    pub(super) subscriptions: Vec<(String, String, Subscription)>,
    /// Which messages each session has not acknowledged.
    pub(super) pending: Vec<(String, i64)>,
    pub(super) retained: Vec<Message>,
    pub(super) wills: Vec<WaitingWill>,
    /// No message has a higher id.
    pub(super) highest: i64,
}

/// A change of what is kept.
pub(super) enum Write {
    Message(Arc<Message>, Vec<Copy>),
    Acknowledged(ClientId, i64),
    Session(KeptSession),
    Forget(ClientId),
    Subscribed(ClientId, String, Subscription),
    Unsubscribed(ClientId, String),
    Retained(Arc<Message>),
    NotRetained(String),
    WillWaits(WaitingWill),
    /// Of this client, and due then.
    WillEnded(ClientId, i64),
    /// What nobody needs any more.
    Sweep(i64),
}

/// Who waits for a write, if anybody does.
type Done = Option<oneshot::Sender<Result<(), StoreError>>>;

enum Task {
    Write(Write, Done),
    Flush(oneshot::Sender<()>),
}

/// The way to the writing task.
#[derive(Clone)]
pub(super) struct Store {
    database: AnyPool,
    tasks: mpsc::Sender<Task>,
}

/// The right to have something written.
pub(super) struct Turn<'a>(mpsc::Permit<'a, Task>);

impl Turn<'_> {
    pub(super) fn write(self, write: Write) -> Written {
        let (done, written) = oneshot::channel();
        self.0.send(Task::Write(write, Some(done)));
        Written(written)
    }

    /// Nobody waits for it to be on the disk.
    pub(super) fn write_later(self, write: Write) {
        self.0.send(Task::Write(write, None));
    }
}

/// Something that is being written.
#[must_use]
pub(super) struct Written(oneshot::Receiver<Result<(), StoreError>>);

impl Written {
    /// Returns when it is on the disk.
    pub(super) async fn wait(self) -> Result<(), StoreError> {
        self.0.await.map_err(|_| ended())?
    }
}

impl Store {
    /// Begins to write; the task ends when the last `Store` is dropped and everything is written.
    pub(super) fn start(database: AnyPool) -> (Self, JoinHandle<()>) {
        let (tasks, waiting) = mpsc::channel(MOST_WAITING);
        (Self { database: database.clone(), tasks }, tokio::spawn(write_all(database, waiting)))
    }

    /// Waits until something may be written.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, StoreError> {
        Ok(Turn(self.tasks.reserve().await.map_err(|_| ended())?))
    }

    /// The same for two things together: whoever held one place while waiting for another would keep others from both.
    pub(super) async fn two_turns(&self) -> Result<(Turn<'_>, Turn<'_>), StoreError> {
        let mut permits = self.tasks.reserve_many(2).await.map_err(|_| ended())?;
        let mut turn = || permits.next().map(Turn).ok_or_else(ended);
        Ok((turn()?, turn()?))
    }

    /// Returns when the sessions' copies are on the disk.
    pub(super) async fn messages(&self, messages: Vec<(Arc<Message>, Vec<Copy>)>) -> Result<(), StoreError> {
        let mut writing = Vec::with_capacity(messages.len());
        for (message, copies) in messages {
            writing.push(self.turn().await?.write(Write::Message(message, copies)));
        }
        for written in writing {
            written.wait().await?;
        }
        Ok(())
    }

    pub(super) async fn retained(&self, message: Arc<Message>) -> Result<(), StoreError> {
        self.turn().await?.write(Write::Retained(message)).wait().await
    }

    pub(super) async fn not_retained(&self, topic: &str) -> Result<(), StoreError> {
        self.turn().await?.write(Write::NotRetained(topic.to_owned())).wait().await
    }

    /// Returns when it is on the disk.
    pub(super) async fn will_waits(&self, waiting: WaitingWill) -> Result<(), StoreError> {
        self.turn().await?.write(Write::WillWaits(waiting)).wait().await
    }

    /// It was published, or its client is back.
    pub(super) async fn will_ended(&self, client: ClientId, due: i64) {
        self.write_later(Write::WillEnded(client, due)).await;
    }

    pub(super) async fn acknowledged(&self, client: &ClientId, message: i64) {
        self.write_later(Write::Acknowledged(client.clone(), message)).await;
    }

    pub(super) async fn sweep(&self, now: i64) {
        self.write_later(Write::Sweep(now)).await;
    }

    async fn write_later(&self, write: Write) {
        match self.turn().await {
            Ok(turn) => turn.write_later(write),
            Err(error) => tracing::error!(%error, "something of a session was not noted"),
        }
    }

    /// Returns when everything that was given before is written.
    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.tasks.send(Task::Flush(done)).await.is_ok() {
            // A writer that has ended has nothing left to write.
            let _ = flushed.await;
        }
    }

    /// Those messages between two numbers that a session has not acknowledged, in the order of their numbers. They were
    /// on the disk before anybody knew their numbers.
    pub(super) async fn pending(
        &self,
        client: &ClientId,
        first: i64,
        last: i64,
    ) -> Result<Vec<(Arc<Message>, Copy)>, StoreError> {
        read::pending(&self.database, client, first, last).await
    }
}

fn ended() -> StoreError {
    StoreError("the server is stopping".to_owned())
}

async fn write_all(database: AnyPool, mut waiting: mpsc::Receiver<Task>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, MOST_AT_ONCE).await > 0 {
        let mut writes = Vec::new();
        for task in batch.drain(..) {
            match task {
                Task::Write(write, done) => writes.push((write, done)),
                Task::Flush(done) => {
                    finish(&database, std::mem::take(&mut writes)).await;
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
            }
        }
        finish(&database, writes).await;
    }
}

/// Writes them together; if that fails, each by itself, so that one cannot spoil the others.
async fn finish(database: &AnyPool, writes: Vec<(Write, Done)>) {
    if writes.is_empty() {
        return;
    }
    let all: Vec<&Write> = writes.iter().map(|(write, _)| write).collect();
    let together = write::transact(database, &all).await;
    let alone = writes.len() == 1;
    for (write, done) in writes {
        let outcome = match &together {
            Err(_) if !alone => write::transact(database, &[&write]).await,
            outcome => outcome.clone(),
        };
        match (outcome, done) {
            (outcome, Some(done)) => {
                let _ = done.send(outcome);
            }
            (Err(error), None) => tracing::error!(%error, "something of a session was not noted"),
            (Ok(()), None) => {}
        }
    }
}
