//! Thing groups: static ones that stand in one another, and dynamic ones that a query fills.

use super::error::RegistryError;
use super::index;
use super::rows::{GROUP_COLUMNS, above, find_group, group_of_row, need_group, stored_version};
use super::search::{GroupsSeen, Scope};
use super::{GENERATION, Registry, in_transaction, new_id};
use crate::audit::{self, Actor};
use fleet_protocol::fleet_query::Query;
use fleet_protocol::names::GroupName;
use fleet_protocol::things::{
    AttributePayload, NewThingGroup, ThingGroup, ThingGroupChange, ThingGroupMetadata, ThingGroupPage,
    ThingGroupProperties, UNVERIFIED_GROUP, VERIFIED_GROUP,
};
use jiff::Timestamp;
use sqlx::AnyConnection;

/// So deep groups may stand in one another.
const DEEPEST: usize = 7;
/// So many groups may stand in one.
const MOST_CHILDREN: i64 = 100;
/// So many dynamic groups there may be: every change of a thing is held against each of them.
const MOST_DYNAMIC: i64 = 100;

/// The groups that the server itself moves things between.
const OWN_GROUPS: [&str; 2] = [UNVERIFIED_GROUP, VERIFIED_GROUP];

impl Registry {
    /// Makes a group, and says whether it is new. One that is there already just so stays.
    pub(crate) async fn create_group(
        &self,
        group: &GroupName,
        new: NewThingGroup,
        actor: &Actor,
    ) -> Result<(ThingGroup, bool), RegistryError> {
        let (now, scope) = (self.now(), self.scope(GroupsSeen::Static));
        let (made, generation) =
            in_transaction!(self, |transaction| create(&mut transaction, group, new, actor, now, scope).await)?;
        self.generation.announce(generation);
        Ok((made, generation.is_some()))
    }

    /// The group of this name.
    pub(crate) async fn group(&self, group: &GroupName) -> Result<Option<ThingGroup>, RegistryError> {
        find_group(&mut *self.database.acquire().await?, group).await
    }

    /// The groups behind `after`, by name.
    pub(crate) async fn list_groups(&self, limit: u16, after: &str) -> Result<ThingGroupPage, RegistryError> {
        let mut connection = self.database.acquire().await?;
        let sql = format!("SELECT {GROUP_COLUMNS} FROM thing_groups g WHERE g.name > $1 ORDER BY g.name LIMIT $2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .bind(i64::from(limit) + 1)
            .fetch_all(&mut *connection)
            .await?;
        let more = rows.len() > usize::from(limit);
        let mut groups = rows.iter().take(limit.into()).map(group_of_row).collect::<Result<Vec<_>, _>>()?;
        for group in &mut groups {
            group.thing_group_metadata.root_to_parent_thing_groups = above(&mut connection, group).await?;
        }
        let next = groups.last().filter(|_| more).map(|last| last.thing_group_name.to_string());
        Ok(ThingGroupPage { thing_groups: groups, next })
    }

    /// Changes what is said of a group, or a dynamic group's query.
    pub(crate) async fn update_group(
        &self,
        group: &GroupName,
        change: ThingGroupChange,
        actor: &Actor,
    ) -> Result<ThingGroup, RegistryError> {
        let (now, scope) = (self.now(), self.scope(GroupsSeen::Static));
        let (changed, generation) =
            in_transaction!(self, |transaction| update(&mut transaction, group, change, actor, now, scope).await)?;
        self.generation.announce(generation);
        Ok(changed)
    }

    /// Forgets a group that has no groups below it. Its things stay.
    pub(crate) async fn delete_group(&self, group: &GroupName, actor: &Actor) -> Result<ThingGroup, RegistryError> {
        let (now, scope) = (self.now(), self.scope(GroupsSeen::Static));
        let (deleted, generation) =
            in_transaction!(self, |transaction| delete(&mut transaction, group, actor, now, scope).await)?;
        self.generation.announce(generation);
        Ok(deleted)
    }

    /// Makes the groups that every server has, where they are not there yet.
    pub(super) async fn make_own_groups(&self) -> Result<(), RegistryError> {
        let now = self.now();
        for (group, description) in OWN_GROUPS.into_iter().zip([
            "Provisioned, and not connected yet with their own certificate",
            "Provisioned, and connected with their own certificate",
        ]) {
            sqlx::query(
                "INSERT INTO thing_groups (name, id, parent, description, attributes, query, version, created_at) \
                 VALUES ($1, $2, NULL, $3, '{}', NULL, 1, $4) ON CONFLICT (name) DO NOTHING",
            )
            .bind(group)
            .bind(new_id()?)
            .bind(description)
            .bind(now.as_second())
            .execute(&self.database)
            .await?;
        }
        Ok(())
    }
}

async fn create(
    transaction: &mut AnyConnection,
    name: &GroupName,
    new: NewThingGroup,
    actor: &Actor,
    now: Timestamp,
    scope: Scope,
) -> Result<(ThingGroup, Option<i64>), RegistryError> {
    let NewThingGroup { parent_group_name: parent, thing_group_properties: properties, query_string } = new;
    let query: Option<Query> = query_string.as_deref().map(str::parse).transpose()?;
    if query.is_some() && parent.is_some() {
        return Err(RegistryError::Impossible("a dynamic group has no parent; leave one of both away".to_owned()));
    }
    let properties = plain(properties);
    if let Some(there) = find_group(transaction, name).await? {
        let same = there.thing_group_properties == properties
            && there.thing_group_metadata.parent_group_name == parent
            && there.query_string == query_string;
        return if same { Ok((there, None)) } else { Err(RegistryError::GroupExists(name.clone())) };
    }
    let mut above = Vec::new();
    if let Some(parent) = &parent {
        above = check_parent(transaction, parent).await?;
    }
    if query.is_some() {
        check_dynamic_count(transaction).await?;
    }
    let group = ThingGroup {
        thing_group_name: name.clone(),
        thing_group_id: new_id()?,
        version: 1,
        thing_group_properties: properties,
        thing_group_metadata: ThingGroupMetadata {
            parent_group_name: parent,
            root_to_parent_thing_groups: above,
            creation_date: Timestamp::from_second(now.as_second())?,
        },
        query_string,
    };
    sqlx::query(
        "INSERT INTO thing_groups (name, id, parent, description, attributes, query, version, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(name.as_str())
    .bind(&group.thing_group_id)
    .bind(group.thing_group_metadata.parent_group_name.as_ref().map(GroupName::as_str))
    .bind(description(&group))
    .bind(attributes(&group)?)
    .bind(group.query_string.as_deref())
    .bind(stored_version(group.version))
    .bind(now.as_second())
    .execute(&mut *transaction)
    .await?;
    if let Some(query) = &query {
        index::fill(transaction, name, query, scope).await?;
    }
    audit::note(transaction, actor, "group.create", name, detail_of(&group), now).await?;
    Ok((group, Some(GENERATION.raise(transaction).await?)))
}

/// The groups above a new group below this one, the uppermost first.
async fn check_parent(transaction: &mut AnyConnection, parent: &GroupName) -> Result<Vec<GroupName>, RegistryError> {
    let found = need_group(transaction, parent).await?;
    if found.query_string.is_some() {
        return Err(RegistryError::InTheWay(format!("{parent} is a dynamic group, which has no groups below it")));
    }
    let mut above = found.thing_group_metadata.root_to_parent_thing_groups;
    above.push(parent.clone());
    if above.len() >= DEEPEST {
        return Err(RegistryError::InTheWay(format!(
            "the group would stand in {} others, one in another; {} is as many as may be",
            above.len(),
            DEEPEST - 1
        )));
    }
    let children: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM thing_groups WHERE parent = $1")
        .bind(parent.as_str())
        .fetch_one(transaction)
        .await?;
    if children >= MOST_CHILDREN {
        return Err(RegistryError::InTheWay(format!(
            "there are {MOST_CHILDREN} groups in {parent} already, which is as many as may be"
        )));
    }
    Ok(above)
}

async fn check_dynamic_count(transaction: &mut AnyConnection) -> Result<(), RegistryError> {
    let dynamic: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM thing_groups WHERE query IS NOT NULL").fetch_one(transaction).await?;
    match dynamic < MOST_DYNAMIC {
        true => Ok(()),
        false => Err(RegistryError::InTheWay(format!(
            "there are {MOST_DYNAMIC} dynamic groups already, which is as many as may be; delete one first"
        ))),
    }
}

async fn update(
    transaction: &mut AnyConnection,
    name: &GroupName,
    change: ThingGroupChange,
    actor: &Actor,
    now: Timestamp,
    scope: Scope,
) -> Result<(ThingGroup, Option<i64>), RegistryError> {
    let ThingGroupChange { thing_group_properties: properties, query_string, expected_version } = change;
    let old = need_group(transaction, name).await?;
    if let Some(expected) = expected_version.filter(|expected| *expected != old.version) {
        let what = format!("the thing group {name}");
        return Err(RegistryError::VersionConflict { what, is: old.version, expected });
    }
    let query: Option<Query> = query_string.as_deref().map(str::parse).transpose()?;
    if query.is_some() && old.query_string.is_none() {
        return Err(RegistryError::InTheWay(format!(
            "{name} is a static group, which has no query; make a dynamic group of another name"
        )));
    }
    let mut group = old.clone();
    if let Some(description) = properties.thing_group_description {
        group.thing_group_properties.thing_group_description = Some(description);
    }
    if let Some(AttributePayload { attributes, merge }) = properties.attribute_payload {
        let there = old.thing_group_properties.attribute_payload.clone().unwrap_or_default().attributes;
        let attributes = there.changed(attributes, merge)?;
        group.thing_group_properties.attribute_payload = Some(AttributePayload { attributes, merge: false });
    }
    group.thing_group_properties = plain(group.thing_group_properties);
    if query_string.is_some() {
        group.query_string = query_string;
    }
    if group == old {
        return Ok((group, None));
    }
    group.version += 1;
    sqlx::query("UPDATE thing_groups SET description = $1, attributes = $2, query = $3, version = $4 WHERE name = $5")
        .bind(description(&group))
        .bind(attributes(&group)?)
        .bind(group.query_string.as_deref())
        .bind(stored_version(group.version))
        .bind(name.as_str())
        .execute(&mut *transaction)
        .await?;
    if let Some(query) = query.filter(|_| group.query_string != old.query_string) {
        index::fill(transaction, name, &query, scope).await?;
    }
    audit::note(transaction, actor, "group.update", name, detail_of(&group), now).await?;
    Ok((group, Some(GENERATION.raise(transaction).await?)))
}

async fn delete(
    transaction: &mut AnyConnection,
    name: &GroupName,
    actor: &Actor,
    now: Timestamp,
    scope: Scope,
) -> Result<(ThingGroup, i64), RegistryError> {
    let group = need_group(transaction, name).await?;
    if OWN_GROUPS.contains(&name.as_str()) {
        return Err(RegistryError::InTheWay(format!("{name} is a group of the server's own, which stays")));
    }
    let in_the_way = [
        ("SELECT name FROM thing_groups WHERE parent = $1 LIMIT 1", "groups stand in", "delete them"),
        (
            "SELECT policy FROM policy_attachments WHERE target_kind = 'group' AND target = $1 LIMIT 1",
            "policies are attached to",
            "detach them",
        ),
    ];
    for (sql, what, advice) in in_the_way {
        let found: Option<String> =
            sqlx::query_scalar(sql).bind(name.as_str()).fetch_optional(&mut *transaction).await?;
        if let Some(found) = found {
            return Err(RegistryError::InTheWay(format!("{what} {name}, such as {found}; {advice} first")));
        }
    }
    let left = sqlx::query("DELETE FROM thing_group_members WHERE group_name = $1")
        .bind(name.as_str())
        .execute(&mut *transaction)
        .await?;
    sqlx::query("DELETE FROM thing_groups WHERE name = $1").bind(name.as_str()).execute(&mut *transaction).await?;
    if group.query_string.is_none() {
        index::refill_after_group(transaction, scope).await?;
    }
    let detail = format!("{}; {} things were in it", detail_of(&group), left.rows_affected());
    audit::note(transaction, actor, "group.delete", name, detail, now).await?;
    let generation = GENERATION.raise(transaction).await?;
    Ok((group, generation))
}

/// As it is stored and shown: what is empty is absent, and nothing is merged.
fn plain(properties: ThingGroupProperties) -> ThingGroupProperties {
    let ThingGroupProperties { thing_group_description, attribute_payload } = properties;
    ThingGroupProperties {
        thing_group_description: thing_group_description.filter(|text| !text.as_str().is_empty()),
        attribute_payload: attribute_payload
            .filter(|payload| !payload.attributes.as_map().is_empty())
            .map(|AttributePayload { attributes, .. }| AttributePayload { attributes, merge: false }),
    }
}

fn description(group: &ThingGroup) -> &str {
    group.thing_group_properties.thing_group_description.as_ref().map_or("", |text| text.as_str())
}

fn attributes(group: &ThingGroup) -> Result<String, RegistryError> {
    let payload = group.thing_group_properties.attribute_payload.as_ref();
    Ok(payload.map_or(Ok("{}".to_owned()), |payload| serde_json::to_string(&payload.attributes))?)
}

/// What the audit log tells of a group.
fn detail_of(group: &ThingGroup) -> String {
    match (&group.query_string, &group.thing_group_metadata.parent_group_name) {
        (Some(query), _) => format!("dynamic: {query}"),
        (None, Some(parent)) => format!("static, in {parent}"),
        (None, None) => "static".to_owned(),
    }
}
