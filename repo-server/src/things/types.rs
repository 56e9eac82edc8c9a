//! Thing types.

use super::error::RegistryError;
use super::rows::{TYPE_COLUMNS, type_of_row};
use super::{Registry, in_transaction, new_id};
use crate::audit::{self, Actor};
use fleet_protocol::names::ThingTypeName;
use fleet_protocol::things::{NewThingType, ThingType, ThingTypeMetadata, ThingTypePage};
use jiff::Timestamp;
use sqlx::AnyConnection;

impl Registry {
    /// Makes a type, and says whether it is new. One that is there already just so stays.
    pub(crate) async fn create_type(
        &self,
        thing_type: &ThingTypeName,
        new: NewThingType,
        actor: &Actor,
    ) -> Result<(ThingType, bool), RegistryError> {
        let now = self.now();
        in_transaction!(self, |transaction| create(&mut transaction, thing_type, new, actor, now).await)
    }

    /// The type of this name.
    pub(crate) async fn thing_type(&self, thing_type: &ThingTypeName) -> Result<Option<ThingType>, RegistryError> {
        find(&mut *self.database.acquire().await?, thing_type).await
    }

    /// The types behind `after`, by name.
    pub(crate) async fn list_types(&self, limit: u16, after: &str) -> Result<ThingTypePage, RegistryError> {
        let sql = format!("SELECT {TYPE_COLUMNS} FROM thing_types WHERE name > $1 ORDER BY name LIMIT $2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .bind(i64::from(limit) + 1)
            .fetch_all(&self.database)
            .await?;
        let more = rows.len() > usize::from(limit);
        let thing_types = rows.iter().take(limit.into()).map(type_of_row).collect::<Result<Vec<_>, _>>()?;
        let next = thing_types.last().filter(|_| more).map(|last| last.thing_type_name.to_string());
        Ok(ThingTypePage { thing_types, next })
    }

    /// Says whether things may be given the type.
    pub(crate) async fn deprecate_type(
        &self,
        thing_type: &ThingTypeName,
        deprecated: bool,
        actor: &Actor,
    ) -> Result<ThingType, RegistryError> {
        let now = self.now();
        in_transaction!(self, |transaction| deprecate(&mut transaction, thing_type, deprecated, actor, now).await)
    }

    /// Forgets a type that is deprecated and that no thing has.
    pub(crate) async fn delete_type(
        &self,
        thing_type: &ThingTypeName,
        actor: &Actor,
    ) -> Result<ThingType, RegistryError> {
        let now = self.now();
        in_transaction!(self, |transaction| delete(&mut transaction, thing_type, actor, now).await)
    }
}

async fn find(connection: &mut AnyConnection, name: &ThingTypeName) -> Result<Option<ThingType>, RegistryError> {
    let sql = format!("SELECT {TYPE_COLUMNS} FROM thing_types WHERE name = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(name.as_str()).fetch_optional(connection).await?;
    row.as_ref().map(type_of_row).transpose()
}

async fn need(connection: &mut AnyConnection, name: &ThingTypeName) -> Result<ThingType, RegistryError> {
    find(connection, name).await?.ok_or_else(|| RegistryError::NoType(name.clone()))
}

async fn create(
    transaction: &mut AnyConnection,
    name: &ThingTypeName,
    new: NewThingType,
    actor: &Actor,
    now: Timestamp,
) -> Result<(ThingType, bool), RegistryError> {
    if let Some(there) = find(transaction, name).await? {
        let same = there.thing_type_properties == new.thing_type_properties;
        return if same { Ok((there, false)) } else { Err(RegistryError::TypeExists(name.clone())) };
    }
    let made = ThingType {
        thing_type_name: name.clone(),
        thing_type_id: new_id()?,
        thing_type_properties: new.thing_type_properties,
        thing_type_metadata: ThingTypeMetadata {
            deprecated: false,
            deprecation_date: None,
            creation_date: Timestamp::from_second(now.as_second())?,
        },
    };
    sqlx::query(
        "INSERT INTO thing_types (name, id, description, searchable_attributes, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(name.as_str())
    .bind(&made.thing_type_id)
    .bind(made.thing_type_properties.thing_type_description.as_str())
    .bind(serde_json::to_string(&made.thing_type_properties.searchable_attributes)?)
    .bind(now.as_second())
    .execute(&mut *transaction)
    .await?;
    audit::note(transaction, actor, "thing-type.create", name, String::new(), now).await?;
    Ok((made, true))
}

async fn deprecate(
    transaction: &mut AnyConnection,
    name: &ThingTypeName,
    deprecated: bool,
    actor: &Actor,
    now: Timestamp,
) -> Result<ThingType, RegistryError> {
    let old = need(transaction, name).await?;
    if old.thing_type_metadata.deprecated == deprecated {
        return Ok(old);
    }
    sqlx::query("UPDATE thing_types SET deprecated_at = $1 WHERE name = $2")
        .bind(deprecated.then_some(now.as_second()))
        .bind(name.as_str())
        .execute(&mut *transaction)
        .await?;
    let detail = if deprecated { "no thing may be given it" } else { "things may be given it again" };
    audit::note(transaction, actor, "thing-type.deprecate", name, detail.to_owned(), now).await?;
    need(transaction, name).await
}

async fn delete(
    transaction: &mut AnyConnection,
    name: &ThingTypeName,
    actor: &Actor,
    now: Timestamp,
) -> Result<ThingType, RegistryError> {
    let old = need(transaction, name).await?;
    if !old.thing_type_metadata.deprecated {
        return Err(RegistryError::InTheWay(format!(
            "the thing type {name} is in use until it is deprecated; `debfleet thing type deprecate {name}` does so"
        )));
    }
    let thing: Option<String> = sqlx::query_scalar("SELECT name FROM things WHERE type = $1 LIMIT 1")
        .bind(name.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some(thing) = thing {
        return Err(RegistryError::InTheWay(format!(
            "things have the type {name}, such as {thing}; give them another one first"
        )));
    }
    sqlx::query("DELETE FROM thing_types WHERE name = $1").bind(name.as_str()).execute(&mut *transaction).await?;
    audit::note(transaction, actor, "thing-type.delete", name, String::new(), now).await?;
    Ok(old)
}
