//! What is read: everything when the server begins, and a session's messages when its client is there.

use super::{Copy, Kept, KeptSession, StoreError};
use crate::broker::ids::ClientId;
use crate::broker::message::Message;
use crate::broker::wills::WaitingWill;
use crate::broker::wire::{QoS, Will};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row as _};
use std::sync::Arc;

fn decoded<T, E: std::error::Error + Send + Sync + 'static>(result: Result<T, E>) -> Result<T, sqlx::Error> {
    result.map_err(|error| sqlx::Error::Decode(error.into()))
}

fn text(row: &AnyRow, at: usize) -> Result<String, sqlx::Error> {
    row.try_get(at)
}

/// The columns id, topic, payload, properties and expires_at, in this order.
fn message(row: &AnyRow, qos: QoS) -> Result<Message, sqlx::Error> {
    let payload = decoded(STANDARD.decode(text(row, 2)?))?.into();
    let properties = decoded(serde_json::from_str(&text(row, 3)?))?;
    Ok(Message::of(row.try_get(0)?, text(row, 1)?, payload, qos, properties, row.try_get(4)?))
}

fn qos(row: &AnyRow, at: usize) -> Result<QoS, sqlx::Error> {
    Ok(if row.try_get::<i64, _>(at)? == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce })
}

fn waiting_will(row: &AnyRow) -> Result<WaitingWill, sqlx::Error> {
    let payload = decoded(STANDARD.decode(text(row, 2)?))?.into();
    let properties = decoded(serde_json::from_str(&text(row, 3)?))?;
    let mut publish = Message::of(0, text(row, 1)?, payload, qos(row, 4)?, properties, None).publish;
    publish.retain = row.try_get::<i64, _>(5)? != 0;
    Ok(WaitingWill { client: text(row, 6)?.into(), due: row.try_get(0)?, will: Will { publish, delay: 0 } })
}

pub(super) async fn pending(
    database: &AnyPool,
    client: &ClientId,
    first: i64,
    last: i64,
) -> Result<Vec<(Arc<Message>, Copy)>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, topic, payload, properties, expires_at, retain, identifiers FROM mqtt_pending \
         JOIN mqtt_messages ON mqtt_messages.id = mqtt_pending.message \
         WHERE client_id = $1 AND message BETWEEN $2 AND $3 ORDER BY id",
    )
    .bind(client.to_string())
    .bind(first)
    .bind(last)
    .fetch_all(database)
    .await?;
    let of_row = |row: &AnyRow| {
        let identifiers = decoded(serde_json::from_str(&text(row, 6)?))?;
        let retain = row.try_get::<i64, _>(5)? != 0;
        Ok((Arc::new(message(row, QoS::AtLeastOnce)?), Copy { client: client.clone(), retain, identifiers }))
    };
    rows.iter().map(of_row).collect()
}

/// Reads what was kept. Clients that were connected when the server ended have been disconnected since.
pub(in crate::broker) async fn read(database: &AnyPool, now: i64) -> Result<Kept, StoreError> {
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
        .map(|row| Ok((text(row, 0)?, text(row, 1)?, decoded(serde_json::from_str(&text(row, 2)?))?)));
    let pending = sqlx::query("SELECT client_id, message FROM mqtt_pending").fetch_all(database).await?;
    let pending = pending.iter().map(|row| Ok((text(row, 0)?, row.try_get(1)?)));
    let retained = sqlx::query("SELECT id, topic, payload, properties, expires_at, qos FROM mqtt_retained");
    let retained = retained.fetch_all(database).await?;
    let retained = retained.iter().map(|row| message(row, qos(row, 5)?));
    let wills = sqlx::query("SELECT due, topic, payload, properties, qos, retain, client_id FROM mqtt_wills");
    let wills = wills.fetch_all(database).await?;
    let highest = sqlx::query(
        "SELECT COALESCE(MAX(id), 0) FROM (SELECT MAX(id) AS id FROM mqtt_messages UNION ALL \
         SELECT MAX(id) AS id FROM mqtt_retained) AS ids",
    );
    Ok(Kept {
        sessions: sessions.collect::<Result<_, sqlx::Error>>()?,
        subscriptions: subscriptions.collect::<Result<_, sqlx::Error>>()?,
        pending: pending.collect::<Result<_, sqlx::Error>>()?,
        retained: retained.collect::<Result<_, sqlx::Error>>()?,
        wills: wills.iter().map(waiting_will).collect::<Result<_, sqlx::Error>>()?,
        highest: highest.fetch_one(database).await?.try_get(0)?,
    })
}
