//! Which things are connected, and since when.

use super::error::RegistryError;
use crate::sql::Sql;
use fleet_protocol::fleet_query::Connectivity;
use fleet_protocol::names::ThingName;
use fleet_protocol::things::{Thing, ThingConnectivity};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, Row as _};
use std::collections::BTreeMap;

pub(super) async fn connectivity_of(
    connection: &mut AnyConnection,
    thing: &ThingName,
) -> Result<Option<Connectivity>, RegistryError> {
    let row = sqlx::query("SELECT thing, connected, at, disconnect_reason FROM thing_connectivity WHERE thing = $1")
        .bind(thing.as_str())
        .fetch_optional(connection)
        .await?;
    let connectivity = |row: AnyRow| {
        Ok(Connectivity {
            connected: row.try_get::<i64, _>(1)? == 1,
            timestamp_ms: row.try_get(2)?,
            disconnect_reason: row.try_get(3)?,
        })
    };
    row.map(connectivity).transpose()
}

/// Of all these things, by name.
pub(super) async fn of_all(
    database: &AnyPool,
    things: &[Thing],
) -> Result<BTreeMap<String, ThingConnectivity>, RegistryError> {
    if things.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut sql = Sql::new("SELECT thing, connected, at, disconnect_reason FROM thing_connectivity WHERE thing IN ");
    sql.list(things.iter().map(|thing| thing.thing_name.as_str()));
    let rows = sql.query().fetch_all(database).await?;
    let connectivity = |row: &AnyRow| {
        let connectivity = ThingConnectivity {
            connected: row.try_get::<i64, _>(1)? == 1,
            timestamp: Timestamp::from_millisecond(row.try_get(2)?)?,
            disconnect_reason: row.try_get(3)?,
        };
        Ok((row.try_get(0)?, connectivity))
    };
    rows.iter().map(connectivity).collect()
}
