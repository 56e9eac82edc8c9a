//! What is written, statement by statement.

use super::bulk::Bulk;
use super::columns::{json, payload, properties};
use super::{KeptSession, StoreError, Write};
use crate::broker::message::Message;
use crate::broker::wills::WaitingWill;
use sqlx::{AnyConnection, AnyPool, Connection as _};

pub(super) async fn transact(database: &AnyPool, writes: &[&Write]) -> Result<(), StoreError> {
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
    let mut bulk = Bulk::default();
    for write in writes {
        match write {
            Write::Message(message, copies) => bulk.add(message, copies),
            Write::Acknowledged(client, message) => bulk.remove(client, *message),
            other => {
                std::mem::take(&mut bulk).write(&mut transaction).await?;
                apply(&mut transaction, other).await?;
            }
        }
    }
    bulk.write(&mut transaction).await?;
    transaction.commit().await
}

async fn apply(connection: &mut AnyConnection, write: &Write) -> Result<(), sqlx::Error> {
    match write {
        // Those come in bulk.
        Write::Message(..) | Write::Acknowledged(..) => return Ok(()),
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
        Write::Subscribed(client, filter, subscription) => sqlx::query(
            "INSERT INTO mqtt_subscriptions (client_id, filter, options) VALUES ($1, $2, $3) \
             ON CONFLICT (client_id, filter) DO UPDATE SET options = EXCLUDED.options",
        )
        .bind(client.to_string())
        .bind(filter)
        .bind(json(subscription)?),
        Write::Unsubscribed(client, filter) => {
            sqlx::query("DELETE FROM mqtt_subscriptions WHERE client_id = $1 AND filter = $2")
                .bind(client.to_string())
                .bind(filter)
        }
        Write::Retained(message) => return retain(connection, message).await,
        Write::NotRetained(topic) => sqlx::query("DELETE FROM mqtt_retained WHERE topic = $1").bind(topic),
        Write::WillWaits(waiting) => return keep_will(connection, waiting).await,
        Write::WillEnded(client, due) => {
            sqlx::query("DELETE FROM mqtt_wills WHERE client_id = $1 AND due = $2").bind(client.to_string()).bind(*due)
        }
        Write::Sweep(now) => return sweep(connection, *now).await,
    }
    .execute(connection)
    .await
    .map(drop)
}

async fn forget(connection: &mut AnyConnection, client: &str) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM mqtt_pending WHERE client_id = $1",
        "DELETE FROM mqtt_subscriptions WHERE client_id = $1",
        "DELETE FROM mqtt_sessions WHERE client_id = $1",
    ] {
        sqlx::query(statement).bind(client.to_owned()).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn retain(connection: &mut AnyConnection, message: &Message) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO mqtt_retained (topic, id, qos, payload, properties, expires_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (topic) DO UPDATE SET id = EXCLUDED.id, qos = EXCLUDED.qos, payload = EXCLUDED.payload, \
         properties = EXCLUDED.properties, expires_at = EXCLUDED.expires_at",
    )
    .bind(message.topic().to_owned())
    .bind(message.id)
    .bind(i64::from(message.publish.qos.value()))
    .bind(payload(&message.publish))
    .bind(properties(&message.publish)?)
    .bind(message.expires_at)
    .execute(connection)
    .await
    .map(drop)
}

async fn keep_will(
    connection: &mut AnyConnection,
    WaitingWill { client, due, will }: &WaitingWill,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO mqtt_wills (client_id, due, topic, qos, retain, payload, properties) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (client_id) DO UPDATE SET due = EXCLUDED.due, \
         topic = EXCLUDED.topic, qos = EXCLUDED.qos, retain = EXCLUDED.retain, payload = EXCLUDED.payload, \
         properties = EXCLUDED.properties",
    )
    .bind(client.to_string())
    .bind(*due)
    .bind(will.publish.topic.to_string())
    .bind(i64::from(will.publish.qos.value()))
    .bind(i64::from(will.publish.retain))
    .bind(payload(&will.publish))
    .bind(properties(&will.publish)?)
    .execute(connection)
    .await
    .map(drop)
}

async fn sweep(connection: &mut AnyConnection, now: i64) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM mqtt_pending WHERE message IN (SELECT id FROM mqtt_messages WHERE expires_at <= $1)",
        // Of a session that ended while they were on their way.
        "DELETE FROM mqtt_pending WHERE message < $1 \
         AND NOT EXISTS (SELECT 1 FROM mqtt_sessions WHERE mqtt_sessions.client_id = mqtt_pending.client_id)",
        "DELETE FROM mqtt_messages WHERE id < $1 \
         AND NOT EXISTS (SELECT 1 FROM mqtt_pending WHERE mqtt_pending.message = mqtt_messages.id)",
        "DELETE FROM mqtt_retained WHERE expires_at <= $1",
    ] {
        sqlx::query(statement).bind(now).execute(&mut *connection).await?;
    }
    Ok(())
}
