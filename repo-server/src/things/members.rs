//! Which things are in which groups.

use super::error::RegistryError;
use super::index::{self, Known};
use super::rows::{need_group, need_thing};
use super::{GENERATION, Registry, in_transaction};
use crate::audit::{self, Actor};
use fleet_protocol::names::{GroupName, ThingName};
use fleet_protocol::things::{GroupMembers, MOST_GROUPS_OF_THING};
use jiff::Timestamp;
use sqlx::AnyConnection;

/// The names of a group and of all below it.
const WITH_CHILDREN: &str = "WITH RECURSIVE below (name) AS ( \
         SELECT name FROM thing_groups WHERE name = $1 \
         UNION SELECT g.name FROM thing_groups g JOIN below ON g.parent = below.name) ";

impl Registry {
    /// Puts a thing into a static group; whether it was not in it before.
    pub(crate) async fn add_to_group(
        &self,
        group: &GroupName,
        thing: &ThingName,
        actor: &Actor,
    ) -> Result<bool, RegistryError> {
        let now = self.now();
        let change = Change { group, thing, actor, now };
        let generation = in_transaction!(self, |transaction| add(&mut transaction, change).await)?;
        self.generation.announce(generation);
        Ok(generation.is_some())
    }

    /// Takes a thing out of a static group; whether it was in it.
    pub(crate) async fn remove_from_group(
        &self,
        group: &GroupName,
        thing: &ThingName,
        actor: &Actor,
    ) -> Result<bool, RegistryError> {
        let now = self.now();
        let change = Change { group, thing, actor, now };
        let generation = in_transaction!(self, |transaction| remove(&mut transaction, change).await)?;
        self.generation.announce(generation);
        Ok(generation.is_some())
    }

    /// The groups that a thing is in itself, static and dynamic ones.
    pub(crate) async fn direct_groups_of(&self, thing: &ThingName) -> Result<Vec<GroupName>, RegistryError> {
        let mut connection = self.database.acquire().await?;
        need_thing(&mut connection, thing).await?;
        let names: Vec<String> =
            sqlx::query_scalar("SELECT group_name FROM thing_group_members WHERE thing = $1 ORDER BY group_name")
                .bind(thing.as_str())
                .fetch_all(&mut *connection)
                .await?;
        names.into_iter().map(|name| Ok(name.parse()?)).collect()
    }

    /// The things of a group behind `after`, by name; with `recursive` also those of the groups below it.
    pub(crate) async fn members(
        &self,
        group: &GroupName,
        recursive: bool,
        limit: u16,
        after: &str,
    ) -> Result<GroupMembers, RegistryError> {
        let mut connection = self.database.acquire().await?;
        need_group(&mut connection, group).await?;
        let sql = match recursive {
            true => format!(
                "{WITH_CHILDREN} SELECT DISTINCT thing FROM thing_group_members \
                 WHERE group_name IN (SELECT name FROM below) AND thing > $2 ORDER BY thing LIMIT $3"
            ),
            false => {
                "SELECT thing FROM thing_group_members WHERE group_name = $1 AND thing > $2 ORDER BY thing LIMIT $3"
                    .to_owned()
            }
        };
        let names: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(group.as_str())
            .bind(after)
            .bind(i64::from(limit) + 1)
            .fetch_all(&mut *connection)
            .await?;
        let more = names.len() > usize::from(limit);
        let things = names.into_iter().take(limit.into()).map(|name| Ok(name.parse()?));
        let things = things.collect::<Result<Vec<ThingName>, RegistryError>>()?;
        let next = things.last().filter(|_| more).map(ToString::to_string);
        Ok(GroupMembers { things, next })
    }
}

#[derive(Clone, Copy)]
struct Change<'a> {
    group: &'a GroupName,
    thing: &'a ThingName,
    actor: &'a Actor,
    now: Timestamp,
}

async fn add(transaction: &mut AnyConnection, change: Change<'_>) -> Result<Option<i64>, RegistryError> {
    let Change { group, thing, actor, now } = change;
    need_static_group(transaction, group).await?;
    let found = need_thing(transaction, thing).await?;
    if !insert(transaction, group, thing).await? {
        return Ok(None);
    }
    index::refresh(transaction, Known::Thing(&found)).await?;
    audit::note(transaction, actor, "group.add", group, thing.to_string(), now).await?;
    Ok(Some(GENERATION.raise(transaction).await?))
}

/// Whether the thing was not in it before.
pub(super) async fn insert(
    transaction: &mut AnyConnection,
    group: &GroupName,
    thing: &ThingName,
) -> Result<bool, RegistryError> {
    let groups: Vec<String> = sqlx::query_scalar(
        "SELECT m.group_name FROM thing_group_members m JOIN thing_groups g ON g.name = m.group_name \
         WHERE m.thing = $1 AND g.query IS NULL",
    )
    .bind(thing.as_str())
    .fetch_all(&mut *transaction)
    .await?;
    if groups.iter().any(|there| there == group.as_str()) {
        return Ok(false);
    }
    if groups.len() >= MOST_GROUPS_OF_THING {
        return Err(RegistryError::InTheWay(format!(
            "the thing {thing} is in {MOST_GROUPS_OF_THING} static groups already, which is as many as may be; take it \
             out of one first"
        )));
    }
    sqlx::query("INSERT INTO thing_group_members (group_name, thing) VALUES ($1, $2)")
        .bind(group.as_str())
        .bind(thing.as_str())
        .execute(transaction)
        .await?;
    Ok(true)
}

async fn remove(transaction: &mut AnyConnection, change: Change<'_>) -> Result<Option<i64>, RegistryError> {
    let Change { group, thing, actor, now } = change;
    need_static_group(transaction, group).await?;
    let found = need_thing(transaction, thing).await?;
    let removed = sqlx::query("DELETE FROM thing_group_members WHERE group_name = $1 AND thing = $2")
        .bind(group.as_str())
        .bind(thing.as_str())
        .execute(&mut *transaction)
        .await?;
    if removed.rows_affected() == 0 {
        return Ok(None);
    }
    index::refresh(transaction, Known::Thing(&found)).await?;
    audit::note(transaction, actor, "group.remove", group, thing.to_string(), now).await?;
    Ok(Some(GENERATION.raise(transaction).await?))
}

/// Fails unless things are put into the group by hand.
pub(super) async fn need_static_group(transaction: &mut AnyConnection, group: &GroupName) -> Result<(), RegistryError> {
    match need_group(transaction, group).await?.query_string {
        None => Ok(()),
        Some(query) => Err(RegistryError::InTheWay(format!(
            "{group} is a dynamic group, which holds what its query finds ({query}) and nothing else"
        ))),
    }
}
