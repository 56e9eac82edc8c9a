//! Things: made, changed, deleted, listed.

use super::error::RegistryError;
use super::index::{self, Known};
use super::rows::{find_thing, need_thing, need_type, stored_version, thing_of_row};
use super::{GENERATION, Registry, in_transaction, new_id};
use crate::audit::{self, Actor};
use crate::shadows;
use fleet_protocol::names::{ThingName, ThingTypeName};
use fleet_protocol::things::{Attributes, NewThing, Thing, ThingChange, ThingPage};
use jiff::Timestamp;
use sqlx::AnyConnection;

impl Registry {
    /// Makes a thing, and says whether it is new. One that is there already just so stays.
    pub(crate) async fn create_thing(
        &self,
        thing: &ThingName,
        new: &NewThing,
        actor: &Actor,
    ) -> Result<(Thing, bool), RegistryError> {
        let now = self.now();
        let (made, generation) =
            in_transaction!(self, |transaction| create(&mut transaction, thing, new, actor, now).await)?;
        self.generation.announce(generation);
        Ok(made)
    }

    /// The thing of this name.
    pub(crate) async fn thing(&self, thing: &ThingName) -> Result<Option<Thing>, RegistryError> {
        find_thing(&mut *self.database.acquire().await?, thing).await
    }

    /// The things behind `after`, by name.
    pub(crate) async fn list_things(&self, limit: u16, after: &str) -> Result<ThingPage, RegistryError> {
        let rows = sqlx::query(
            "SELECT t.name, t.id, t.type, t.attributes, t.version, t.created_at FROM things t \
             WHERE t.name > $1 ORDER BY t.name LIMIT $2",
        )
        .bind(after)
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.database)
        .await?;
        let more = rows.len() > usize::from(limit);
        let things = rows.iter().take(limit.into()).map(thing_of_row).collect::<Result<Vec<_>, _>>()?;
        let next = things.last().filter(|_| more).map(|last| last.thing_name.to_string());
        Ok(ThingPage { things, next })
    }

    /// Changes a thing's type or attributes.
    pub(crate) async fn update_thing(
        &self,
        thing: &ThingName,
        change: ThingChange,
        actor: &Actor,
    ) -> Result<Thing, RegistryError> {
        let now = self.now();
        let (changed, generation) =
            in_transaction!(self, |transaction| update(&mut transaction, thing, change, actor, now).await)?;
        self.generation.announce(generation);
        Ok(changed)
    }

    /// Forgets a thing that no certificate speaks for, and its shadows.
    pub(crate) async fn delete_thing(&self, thing: &ThingName, actor: &Actor) -> Result<Thing, RegistryError> {
        let now = self.now();
        let (deleted, generation) =
            in_transaction!(self, |transaction| delete(&mut transaction, thing, actor, now).await)?;
        self.generation.announce(generation);
        Ok(deleted)
    }
}

async fn create(
    transaction: &mut AnyConnection,
    name: &ThingName,
    new: &NewThing,
    actor: &Actor,
    now: Timestamp,
) -> Result<((Thing, bool), Option<i64>), RegistryError> {
    let NewThing { thing_type_name, attribute_payload } = new;
    if let Some(there) = find_thing(transaction, name).await? {
        let same = there.thing_type_name == *thing_type_name && there.attributes == attribute_payload.attributes;
        return if same { Ok(((there, false), None)) } else { Err(RegistryError::ThingExists(name.clone())) };
    }
    if let Some(thing_type) = thing_type_name {
        need_type(transaction, thing_type).await?;
    }
    let thing = Thing {
        thing_name: name.clone(),
        thing_id: new_id()?,
        thing_type_name: thing_type_name.clone(),
        attributes: attribute_payload.attributes.clone(),
        version: 1,
        creation_date: Timestamp::from_second(now.as_second())?,
    };
    sqlx::query("INSERT INTO things (name, id, type, attributes, version, created_at) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(name.as_str())
        .bind(&thing.thing_id)
        .bind(thing_type_name.as_ref().map(ThingTypeName::as_str))
        .bind(serde_json::to_string(&thing.attributes)?)
        .bind(stored_version(thing.version))
        .bind(now.as_second())
        .execute(&mut *transaction)
        .await?;
    let moved = index::refresh(transaction, Known::Thing(&thing)).await?;
    audit::note(transaction, actor, "thing.create", name, detail_of(&thing)?, now).await?;
    // Whoever sees the dynamic groups that it came into sees it from now on.
    let generation = if moved { Some(GENERATION.raise(transaction).await?) } else { None };
    Ok(((thing, true), generation))
}

async fn update(
    transaction: &mut AnyConnection,
    name: &ThingName,
    change: ThingChange,
    actor: &Actor,
    now: Timestamp,
) -> Result<(Thing, Option<i64>), RegistryError> {
    let ThingChange { thing_type_name, remove_thing_type, attribute_payload, expected_version } = change;
    let old = need_thing(transaction, name).await?;
    if let Some(expected) = expected_version.filter(|expected| *expected != old.version) {
        let what = format!("the thing {name}");
        return Err(RegistryError::VersionConflict { what, is: old.version, expected });
    }
    if remove_thing_type && thing_type_name.is_some() {
        return Err(RegistryError::Impossible(
            "a thing cannot lose its type and be given one in one change; send either removeThingType or thingTypeName"
                .to_owned(),
        ));
    }
    let thing_type = if remove_thing_type { None } else { thing_type_name.or_else(|| old.thing_type_name.clone()) };
    if let Some(thing_type) = thing_type.as_ref().filter(|it| Some(*it) != old.thing_type_name.as_ref()) {
        need_type(transaction, thing_type).await?;
    }
    let attributes: Attributes = match attribute_payload {
        Some(payload) => old.attributes.changed(payload.attributes, payload.merge)?,
        None => old.attributes.clone(),
    };
    if thing_type == old.thing_type_name && attributes == old.attributes {
        return Ok((old, None));
    }
    let thing = Thing { thing_type_name: thing_type, attributes, version: old.version + 1, ..old };
    sqlx::query("UPDATE things SET type = $1, attributes = $2, version = $3 WHERE name = $4")
        .bind(thing.thing_type_name.as_ref().map(ThingTypeName::as_str))
        .bind(serde_json::to_string(&thing.attributes)?)
        .bind(stored_version(thing.version))
        .bind(name.as_str())
        .execute(&mut *transaction)
        .await?;
    index::refresh(transaction, Known::Thing(&thing)).await?;
    audit::note(transaction, actor, "thing.update", name, detail_of(&thing)?, now).await?;
    let generation = GENERATION.raise(transaction).await?;
    Ok((thing, Some(generation)))
}

async fn delete(
    transaction: &mut AnyConnection,
    name: &ThingName,
    actor: &Actor,
    now: Timestamp,
) -> Result<(Thing, i64), RegistryError> {
    let thing = need_thing(transaction, name).await?;
    let principal: Option<String> =
        sqlx::query_scalar("SELECT certificate FROM thing_principals WHERE thing = $1 LIMIT 1")
            .bind(name.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
    if let Some(certificate) = principal {
        return Err(RegistryError::InTheWay(format!(
            "certificates speak for the thing {name}, such as {certificate}; detach them first"
        )));
    }
    for sql in [
        "DELETE FROM thing_group_members WHERE thing = $1",
        "DELETE FROM thing_terms WHERE thing = $1",
        "DELETE FROM thing_connectivity WHERE thing = $1",
        "DELETE FROM things WHERE name = $1",
    ] {
        sqlx::query(sql).bind(name.as_str()).execute(&mut *transaction).await?;
    }
    shadows::forget(transaction, name).await?;
    audit::note(transaction, actor, "thing.delete", name, detail_of(&thing)?, now).await?;
    // Whoever saw it does not see another one of its name.
    Ok((thing, GENERATION.raise(transaction).await?))
}

/// What the audit log tells of a thing.
fn detail_of(thing: &Thing) -> Result<String, RegistryError> {
    let kind = thing.thing_type_name.as_ref().map_or("no type".to_owned(), |name| format!("type {name}"));
    Ok(format!("{kind}, attributes {}", serde_json::to_string(&thing.attributes)?))
}
