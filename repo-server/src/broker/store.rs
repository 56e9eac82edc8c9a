//! What the broker keeps in the database. One task writes, in the order in which it is told; whatever waits when it begins
//! is one transaction, so that many messages share one write to the disk.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rmqtt::codec::v5::PublishProperties;
use rmqtt::types::{ClientId, CodecPublish, Publish, QoS, SubscriptionOptions, TopicFilter};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, Connection as _, Row as _};
use std::num::NonZeroU32;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// What may wait to be written; who comes then waits, too.
const MOST_WAITING: usize = 4096;
/// Of one transaction.
const MOST_AT_ONCE: usize = 512;

/// Something that could not be kept.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the broker's tables could not be read or written: {0}")]
pub struct StoreError(String);

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

/// A message as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    /// The time in milliseconds, made unique.
    pub(super) id: i64,
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) properties: PublishProperties,
    /// In milliseconds.
    pub(super) expires_at: Option<i64>,
}

impl Stored {
    /// None for one without an id, which only the server's own hooks give.
    pub(super) fn of(publish: &Publish) -> Option<Self> {
        let id = publish.create_time?;
        let mut properties = publish.properties.clone().unwrap_or_default();
        properties.topic_alias = None;
        properties.subscription_ids.clear();
        let expires_at = properties.message_expiry_interval.map(|seconds| id + i64::from(seconds.get()) * 1000);
        Some(Self { id, topic: publish.topic.to_string(), payload: publish.payload.clone(), properties, expires_at })
    }

    /// As it is sent.
    pub(super) fn publish(self, qos: QoS, retain: bool, identifiers: Vec<NonZeroU32>) -> Publish {
        let mut properties = self.properties;
        properties.subscription_ids = identifiers;
        let publish = CodecPublish {
            dup: false,
            retain,
            qos,
            topic: self.topic.into(),
            packet_id: None,
            payload: self.payload,
            properties: Some(properties),
        };
        Publish::from(publish).create_time(self.id)
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

/// A retained message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeptRetained {
    pub(super) message: Stored,
    pub(super) qos: QoS,
}

/// What there was when the server began.
pub(super) struct Kept {
    pub(super) sessions: Vec<KeptSession>,
    pub(super) subscriptions: Vec<(ClientId, TopicFilter, SubscriptionOptions)>,
    /// Which messages each session has not acknowledged.
    pub(super) pending: Vec<(ClientId, i64)>,
    pub(super) retained: Vec<KeptRetained>,
    /// No message has a higher id.
    pub(super) highest: i64,
}

enum Write {
    Message(Stored, Vec<Copy>),
    Acknowledged(ClientId, i64),
    Session(KeptSession),
    Forget(ClientId),
    Subscribed(ClientId, TopicFilter, String),
    Unsubscribed(ClientId, TopicFilter),
    Retained(KeptRetained),
    NotRetained(String),
    /// What nobody needs any more.
    Sweep(i64),
}

/// Who waits for a write, if anybody does.
type Done = Option<oneshot::Sender<Result<(), StoreError>>>;

enum Task {
    Write(Write, Done),
    Pending(ClientId, oneshot::Sender<Result<Vec<(Stored, Copy)>, StoreError>>),
    Flush(oneshot::Sender<()>),
}

/// The way to the writing task.
#[derive(Clone)]
pub(super) struct Store {
    tasks: mpsc::Sender<Task>,
}

impl Store {
    /// Begins to write; the task ends when the last `Store` is dropped and everything is written.
    pub(super) fn start(database: AnyPool) -> (Self, JoinHandle<()>) {
        let (tasks, waiting) = mpsc::channel(MOST_WAITING);
        (Self { tasks }, tokio::spawn(write_all(database, waiting)))
    }

    async fn write(&self, write: Write) -> Result<(), StoreError> {
        let (done, written) = oneshot::channel();
        self.put(Task::Write(write, Some(done))).await?;
        written.await.map_err(|_| ended())?
    }

    /// Without waiting for it to be on the disk.
    async fn write_later(&self, write: Write) {
        if let Err(error) = self.put(Task::Write(write, None)).await {
            tracing::error!(%error, "something of a session was not noted");
        }
    }

    async fn put(&self, task: Task) -> Result<(), StoreError> {
        self.tasks.send(task).await.map_err(|_| ended())
    }

    /// Returns when the sessions' copies are on the disk.
    pub(super) async fn message(&self, message: Stored, copies: Vec<Copy>) -> Result<(), StoreError> {
        self.write(Write::Message(message, copies)).await
    }

    pub(super) async fn acknowledged(&self, client: &ClientId, message: i64) {
        self.write_later(Write::Acknowledged(client.clone(), message)).await;
    }

    pub(super) async fn session(&self, session: KeptSession) -> Result<(), StoreError> {
        self.write(Write::Session(session)).await
    }

    /// A session's connection has ended.
    pub(super) async fn disconnected(&self, session: KeptSession) {
        self.write_later(Write::Session(session)).await;
    }

    /// Removes a session with everything that is kept for it.
    pub(super) async fn forget(&self, client: &ClientId) -> Result<(), StoreError> {
        self.write(Write::Forget(client.clone())).await
    }

    pub(super) async fn subscribed(
        &self,
        client: &ClientId,
        filter: &TopicFilter,
        options: &SubscriptionOptions,
    ) -> Result<(), StoreError> {
        let options = serde_json::to_string(options).map_err(|error| StoreError(error.to_string()))?;
        self.write(Write::Subscribed(client.clone(), filter.clone(), options)).await
    }

    pub(super) async fn unsubscribed(&self, client: &ClientId, filter: &TopicFilter) -> Result<(), StoreError> {
        self.write(Write::Unsubscribed(client.clone(), filter.clone())).await
    }

    pub(super) async fn retained(&self, retained: KeptRetained) -> Result<(), StoreError> {
        self.write(Write::Retained(retained)).await
    }

    pub(super) async fn not_retained(&self, topic: &str) -> Result<(), StoreError> {
        self.write(Write::NotRetained(topic.to_owned())).await
    }

    pub(super) async fn sweep(&self, now: i64) {
        self.write_later(Write::Sweep(now)).await;
    }

    /// Returns when everything that was given before is written.
    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.put(Task::Flush(done)).await.is_ok() {
            // A writer that has ended has nothing left to write.
            let _ = flushed.await;
        }
    }

    /// What a session has not acknowledged, after everything that was written before.
    pub(super) async fn pending(&self, client: &ClientId) -> Result<Vec<(Stored, Copy)>, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.put(Task::Pending(client.clone(), answer)).await?;
        answered.await.map_err(|_| ended())?
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
                Task::Pending(client, answer) => {
                    finish(&database, std::mem::take(&mut writes)).await;
                    // Whoever asked may have gone.
                    let _ = answer.send(pending(&database, &client).await);
                }
                Task::Flush(done) => {
                    finish(&database, std::mem::take(&mut writes)).await;
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
    let together = transact(database, &all).await;
    let alone = writes.len() == 1;
    for (write, done) in writes {
        let outcome = match &together {
            Err(_) if !alone => transact(database, &[&write]).await,
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

async fn transact(database: &AnyPool, writes: &[&Write]) -> Result<(), StoreError> {
    let mut connection = database.acquire().await?;
    let outcome = write_in_transaction(&mut connection, writes).await;
    if outcome.is_err() {
        // On a full disk SQLite may end a transaction by itself, and the pool would not know.
        let _ = connection.close().await;
    }
    Ok(outcome?)
}

async fn write_in_transaction(connection: &mut AnyConnection, writes: &[&Write]) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for write in writes {
        apply(&mut transaction, write).await?;
    }
    transaction.commit().await
}

async fn apply(connection: &mut AnyConnection, write: &Write) -> Result<(), sqlx::Error> {
    match write {
        Write::Message(message, copies) => return insert_message(connection, message, copies).await,
        Write::Acknowledged(client, message) => {
            sqlx::query("DELETE FROM mqtt_pending WHERE client_id = $1 AND message = $2")
                .bind(client.to_string())
                .bind(*message)
        }
        Write::Session(KeptSession { client, owner, expiry, disconnected_at }) => sqlx::query(
            "INSERT INTO mqtt_sessions (client_id, owner, expiry, disconnected_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (client_id) DO UPDATE SET owner = EXCLUDED.owner, expiry = EXCLUDED.expiry, \
             disconnected_at = EXCLUDED.disconnected_at",
        )
        .bind(client.to_string())
        .bind(owner)
        .bind(*expiry)
        .bind(*disconnected_at),
        Write::Forget(client) => return forget(connection, client).await,
        Write::Subscribed(client, filter, options) => sqlx::query(
            "INSERT INTO mqtt_subscriptions (client_id, filter, options) VALUES ($1, $2, $3) \
             ON CONFLICT (client_id, filter) DO UPDATE SET options = EXCLUDED.options",
        )
        .bind(client.to_string())
        .bind(filter.to_string())
        .bind(options),
        Write::Unsubscribed(client, filter) => {
            sqlx::query("DELETE FROM mqtt_subscriptions WHERE client_id = $1 AND filter = $2")
                .bind(client.to_string())
                .bind(filter.to_string())
        }
        Write::Retained(retained) => return retain(connection, retained).await,
        Write::NotRetained(topic) => sqlx::query("DELETE FROM mqtt_retained WHERE topic = $1").bind(topic),
        Write::Sweep(now) => return sweep(connection, *now).await,
    }
    .execute(connection)
    .await
    .map(drop)
}

async fn insert_message(connection: &mut AnyConnection, message: &Stored, copies: &[Copy]) -> Result<(), sqlx::Error> {
    // A session that comes later may need one that others have already.
    sqlx::query(
        "INSERT INTO mqtt_messages (id, topic, payload, properties, expires_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(message.id)
    .bind(&message.topic)
    .bind(STANDARD.encode(&message.payload))
    .bind(json(&message.properties)?)
    .bind(message.expires_at)
    .execute(&mut *connection)
    .await?;
    for Copy { client, retain, identifiers } in copies {
        sqlx::query(
            "INSERT INTO mqtt_pending (client_id, message, retain, identifiers) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (client_id, message) DO NOTHING",
        )
        .bind(client.to_string())
        .bind(message.id)
        .bind(i64::from(*retain))
        .bind(json(identifiers)?)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn forget(connection: &mut AnyConnection, client: &ClientId) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM mqtt_pending WHERE client_id = $1",
        "DELETE FROM mqtt_subscriptions WHERE client_id = $1",
        "DELETE FROM mqtt_sessions WHERE client_id = $1",
    ] {
        sqlx::query(statement).bind(client.to_string()).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn retain(connection: &mut AnyConnection, retained: &KeptRetained) -> Result<(), sqlx::Error> {
    let KeptRetained { message, qos } = retained;
    sqlx::query(
        "INSERT INTO mqtt_retained (topic, id, qos, payload, properties, expires_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (topic) DO UPDATE SET id = EXCLUDED.id, qos = EXCLUDED.qos, payload = EXCLUDED.payload, \
         properties = EXCLUDED.properties, expires_at = EXCLUDED.expires_at",
    )
    .bind(&message.topic)
    .bind(message.id)
    .bind(i64::from(qos.value()))
    .bind(STANDARD.encode(&message.payload))
    .bind(json(&message.properties)?)
    .bind(message.expires_at)
    .execute(connection)
    .await
    .map(drop)
}

async fn sweep(connection: &mut AnyConnection, now: i64) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM mqtt_pending WHERE message IN (SELECT id FROM mqtt_messages WHERE expires_at <= $1)",
        "DELETE FROM mqtt_messages WHERE id < $1 \
         AND NOT EXISTS (SELECT 1 FROM mqtt_pending WHERE mqtt_pending.message = mqtt_messages.id)",
        "DELETE FROM mqtt_retained WHERE expires_at <= $1",
    ] {
        sqlx::query(statement).bind(now).execute(&mut *connection).await?;
    }
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn decoded<T, E: std::error::Error + Send + Sync + 'static>(result: Result<T, E>) -> Result<T, sqlx::Error> {
    result.map_err(|error| sqlx::Error::Decode(error.into()))
}

/// The columns id, topic, payload, properties and expires_at, in this order.
fn stored(row: &AnyRow) -> Result<Stored, sqlx::Error> {
    Ok(Stored {
        id: row.try_get(0)?,
        topic: row.try_get(1)?,
        payload: decoded(STANDARD.decode(row.try_get::<String, _>(2)?))?.into(),
        properties: decoded(serde_json::from_str(&row.try_get::<String, _>(3)?))?,
        expires_at: row.try_get(4)?,
    })
}

async fn pending(database: &AnyPool, client: &ClientId) -> Result<Vec<(Stored, Copy)>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, topic, payload, properties, expires_at, retain, identifiers FROM mqtt_pending \
         JOIN mqtt_messages ON mqtt_messages.id = mqtt_pending.message WHERE client_id = $1 ORDER BY id",
    )
    .bind(client.to_string())
    .fetch_all(database)
    .await?;
    let of_row = |row: &AnyRow| {
        let identifiers = decoded(serde_json::from_str(&row.try_get::<String, _>(6)?))?;
        let retain = row.try_get::<i64, _>(5)? != 0;
        Ok((stored(row)?, Copy { client: client.clone(), retain, identifiers }))
    };
    rows.iter().map(of_row).collect()
}

/// Reads what was kept. Clients that were connected when the server ended have been disconnected since.
pub(super) async fn read(database: &AnyPool, now: i64) -> Result<Kept, StoreError> {
    let text = |row: &AnyRow, at: usize| row.try_get::<String, _>(at);
    sqlx::query("UPDATE mqtt_sessions SET disconnected_at = $1 WHERE disconnected_at IS NULL")
        .bind(now)
        .execute(database)
        .await?;
    let sessions =
        sqlx::query("SELECT client_id, owner, expiry, disconnected_at FROM mqtt_sessions").fetch_all(database).await?;
    let sessions = sessions.iter().map(|row| {
        let (client, owner) = (text(row, 0)?.into(), text(row, 1)?);
        Ok(KeptSession { client, owner, expiry: row.try_get(2)?, disconnected_at: row.try_get(3)? })
    });
    let subscriptions =
        sqlx::query("SELECT client_id, filter, options FROM mqtt_subscriptions").fetch_all(database).await?;
    let subscriptions = subscriptions
        .iter()
        .map(|row| Ok((text(row, 0)?.into(), text(row, 1)?.into(), decoded(serde_json::from_str(&text(row, 2)?))?)));
    let pending = sqlx::query("SELECT client_id, message FROM mqtt_pending").fetch_all(database).await?;
    let pending = pending.iter().map(|row| Ok((text(row, 0)?.into(), row.try_get(1)?)));
    let retained = sqlx::query("SELECT id, topic, payload, properties, expires_at, qos FROM mqtt_retained");
    let retained = retained.fetch_all(database).await?;
    let retained = retained.iter().map(|row| {
        let qos = if row.try_get::<i64, _>(5)? == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        Ok(KeptRetained { message: stored(row)?, qos })
    });
    let highest = sqlx::query(
        "SELECT COALESCE(MAX(id), 0) FROM (SELECT MAX(id) AS id FROM mqtt_messages UNION ALL \
         SELECT MAX(id) AS id FROM mqtt_retained) AS ids",
    );
    Ok(Kept {
        sessions: sessions.collect::<Result<_, sqlx::Error>>()?,
        subscriptions: subscriptions.collect::<Result<_, sqlx::Error>>()?,
        pending: pending.collect::<Result<_, sqlx::Error>>()?,
        retained: retained.collect::<Result<_, sqlx::Error>>()?,
        highest: highest.fetch_one(database).await?.try_get(0)?,
    })
}
