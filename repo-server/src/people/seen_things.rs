//! Which things a person sees: those given to them one by one, and those of the groups given to them and of all groups
//! below these.

use super::error::PeopleError;
use super::users::find;
use super::{GENERATION, People};
use crate::audit::{self, Actor};
use fleet_protocol::names::{GroupName, ThingName, UserName};
use fleet_protocol::people::{MOST_GROUPS_OF_USER, MOST_THINGS_OF_USER};
use fleet_protocol::policy::ThingFacts;
use fleet_protocol::things::GroupMembers;
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, Connection as _, Row as _};
use std::sync::Arc;

/// Something that a user is given.
#[derive(Debug, Clone, Copy)]
enum Given<'a> {
    Thing(&'a ThingName),
    Group(&'a GroupName),
}

/// The statements about a kind of what is given: both tables are alike.
struct Statements {
    is_there: &'static str,
    insert: &'static str,
    delete: &'static str,
    count: &'static str,
    most: usize,
}

impl Given<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Thing(thing) => thing.as_str(),
            Self::Group(group) => group.as_str(),
        }
    }

    fn statements(&self) -> Statements {
        match self {
            Self::Thing(_) => Statements {
                is_there: "SELECT name FROM things WHERE name = $1",
                insert: "INSERT INTO user_things (user_name, thing) VALUES ($1, $2) ON CONFLICT (user_name, thing) DO NOTHING",
                delete: "DELETE FROM user_things WHERE user_name = $1 AND thing = $2",
                count: "SELECT COUNT(*) FROM user_things WHERE user_name = $1",
                most: MOST_THINGS_OF_USER,
            },
            Self::Group(_) => Statements {
                is_there: "SELECT name FROM thing_groups WHERE name = $1",
                insert: "INSERT INTO user_groups (user_name, group_name) VALUES ($1, $2) ON CONFLICT (user_name, group_name) DO NOTHING",
                delete: "DELETE FROM user_groups WHERE user_name = $1 AND group_name = $2",
                count: "SELECT COUNT(*) FROM user_groups WHERE user_name = $1",
                most: MOST_GROUPS_OF_USER,
            },
        }
    }

    /// As the audit log tells it.
    fn detail(&self) -> String {
        match self {
            Self::Thing(thing) => format!("the thing {thing}"),
            Self::Group(group) => format!("the group {group}"),
        }
    }

    fn missing(&self) -> PeopleError {
        match self {
            Self::Thing(thing) => PeopleError::NoThing((*thing).clone()),
            Self::Group(group) => PeopleError::NoGroup((*group).clone()),
        }
    }
}

impl People {
    /// Gives a user a thing; whether they did not have it before.
    pub(crate) async fn give_thing(&self, user: &UserName, thing: &ThingName, by: &Actor) -> Result<bool, PeopleError> {
        self.give(user, Given::Thing(thing), by).await
    }

    /// Takes a thing from a user that was given to them by itself; whether it was.
    pub(crate) async fn take_thing(&self, user: &UserName, thing: &ThingName, by: &Actor) -> Result<bool, PeopleError> {
        self.take(user, Given::Thing(thing), by).await
    }

    /// Gives a user the things of a group; whether it was not given before.
    pub(crate) async fn give_group(&self, user: &UserName, group: &GroupName, by: &Actor) -> Result<bool, PeopleError> {
        self.give(user, Given::Group(group), by).await
    }

    /// Takes the things of a group from a user; whether it was given.
    pub(crate) async fn take_group(&self, user: &UserName, group: &GroupName, by: &Actor) -> Result<bool, PeopleError> {
        self.take(user, Given::Group(group), by).await
    }

    /// The things that a user sees behind `after`, by name.
    pub(crate) async fn things_of(
        &self,
        user: &UserName,
        limit: u16,
        after: &str,
    ) -> Result<GroupMembers, PeopleError> {
        let mut connection = self.database.acquire().await?;
        need_user(&mut connection, user).await?;
        let names: Vec<String> = sqlx::query_scalar(
            "WITH RECURSIVE below (name) AS ( \
                 SELECT group_name FROM user_groups WHERE user_name = $1 \
                 UNION SELECT g.name FROM thing_groups g JOIN below ON g.parent = below.name) \
             SELECT seen.thing FROM ( \
                 SELECT m.thing FROM thing_group_members m JOIN below ON below.name = m.group_name \
                 UNION SELECT u.thing FROM user_things u WHERE u.user_name = $2) AS seen \
             WHERE seen.thing > $3 ORDER BY seen.thing LIMIT $4",
        )
        .bind(user.as_str())
        .bind(user.as_str())
        .bind(after)
        .bind(i64::from(limit) + 1)
        .fetch_all(&mut *connection)
        .await?;
        let more = names.len() > usize::from(limit);
        let things = names.iter().take(limit.into()).map(|name| name.parse());
        let things = things.collect::<Result<Vec<ThingName>, _>>()?;
        let next = things.last().filter(|_| more).map(ToString::to_string);
        Ok(GroupMembers { things, next })
    }

    async fn give(&self, user: &UserName, given: Given<'_>, by: &Actor) -> Result<bool, PeopleError> {
        let mut connection = self.database.acquire().await?;
        let outcome = give(&mut connection, user, given, by, (self.clock)()).await;
        self.generation.settle(connection, outcome).await
    }

    async fn take(&self, user: &UserName, given: Given<'_>, by: &Actor) -> Result<bool, PeopleError> {
        let mut connection = self.database.acquire().await?;
        let outcome = take(&mut connection, user, given, by, (self.clock)()).await;
        self.generation.settle(connection, outcome).await
    }
}

pub(super) async fn need_user(connection: &mut AnyConnection, user: &UserName) -> Result<(), PeopleError> {
    find(connection, user).await?.map(|_| ()).ok_or_else(|| PeopleError::NoUser(user.clone()))
}

async fn give(
    connection: &mut AnyConnection,
    user: &UserName,
    given: Given<'_>,
    by: &Actor,
    now: Timestamp,
) -> Result<(bool, i64), PeopleError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    need_user(&mut transaction, user).await?;
    let statements = given.statements();
    let there = sqlx::query(statements.is_there).bind(given.name()).fetch_optional(&mut *transaction).await?;
    if there.is_none() {
        return Err(given.missing());
    }
    let added =
        sqlx::query(statements.insert).bind(user.as_str()).bind(given.name()).execute(&mut *transaction).await?;
    if added.rows_affected() == 0 {
        // A number that was announced is not given again.
        transaction.commit().await?;
        return Ok((false, generation));
    }
    let count: i64 = sqlx::query_scalar(statements.count).bind(user.as_str()).fetch_one(&mut *transaction).await?;
    if usize::try_from(count).is_ok_and(|count| count > statements.most) {
        return Err(PeopleError::InTheWay(format!(
            "the user {user} was given {} things or groups already, which is as many as may be; give them a group that \
             holds more",
            statements.most
        )));
    }
    audit::note(&mut transaction, by, "user.give", user, given.detail(), now).await?;
    transaction.commit().await?;
    Ok((true, generation))
}

async fn take(
    connection: &mut AnyConnection,
    user: &UserName,
    given: Given<'_>,
    by: &Actor,
    now: Timestamp,
) -> Result<(bool, i64), PeopleError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    need_user(&mut transaction, user).await?;
    let removed = sqlx::query(given.statements().delete)
        .bind(user.as_str())
        .bind(given.name())
        .execute(&mut *transaction)
        .await?;
    if removed.rows_affected() == 0 {
        // A number that was announced is not given again.
        transaction.commit().await?;
        return Ok((false, generation));
    }
    audit::note(&mut transaction, by, "user.take", user, given.detail(), now).await?;
    transaction.commit().await?;
    Ok((true, generation))
}

/// Topics have so many levels at the most, so that many names are asked for at once.
pub(super) const NAMES: usize = 8;

/// A thing, and all groups that it belongs to, also by those above them.
#[derive(Debug)]
pub(super) struct PlacedThing {
    pub(super) facts: Arc<ThingFacts>,
    pub(super) groups: Vec<GroupName>,
}

/// The things of these names that there are, up to [`NAMES`].
pub(super) async fn placed(database: &AnyPool, names: &[ThingName]) -> Result<Vec<PlacedThing>, PeopleError> {
    // No thing has an empty name.
    let bound = || (0..NAMES).map(|at| names.get(at).map_or("", ThingName::as_str));
    let sql = "SELECT name, type, attributes FROM things WHERE name IN ($1, $2, $3, $4, $5, $6, $7, $8)";
    let rows = bound().fold(sqlx::query(sql), |query, name| query.bind(name)).fetch_all(database).await?;
    let mut things = rows.iter().map(placed_thing_of_row).collect::<Result<Vec<_>, _>>()?;
    if things.is_empty() {
        return Ok(things);
    }
    let sql = "WITH RECURSIVE up (thing, name) AS ( \
             SELECT m.thing, m.group_name FROM thing_group_members m \
             WHERE m.thing IN ($1, $2, $3, $4, $5, $6, $7, $8) \
             UNION \
             SELECT up.thing, g.parent FROM up JOIN thing_groups g ON g.name = up.name WHERE g.parent IS NOT NULL) \
         SELECT thing, name FROM up";
    let rows = bound().fold(sqlx::query(sql), |query, name| query.bind(name)).fetch_all(database).await?;
    for row in &rows {
        let (thing, group): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if let Some(placed) = things.iter_mut().find(|placed| placed.facts.name.as_str() == thing) {
            placed.groups.push(group.parse()?);
        }
    }
    Ok(things)
}

fn placed_thing_of_row(row: &AnyRow) -> Result<PlacedThing, PeopleError> {
    let name: ThingName = row.try_get::<String, _>(0)?.parse()?;
    let type_name: Option<String> = row.try_get(1)?;
    let attributes = serde_json::from_str(&row.try_get::<String, _>(2)?)
        .map_err(|reason| PeopleError::Attributes { thing: name.clone(), reason })?;
    let type_name = type_name.map(|name| name.parse()).transpose()?;
    Ok(PlacedThing { facts: Arc::new(ThingFacts { name, type_name, attributes }), groups: Vec::new() })
}
