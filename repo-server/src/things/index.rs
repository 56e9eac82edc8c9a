//! The index: what each thing is found by, and the things of dynamic groups.

use super::connectivity::connectivity_of;
use super::error::RegistryError;
use super::order::ordered;
use super::rows::{need_thing, stored_version};
use super::search::{Scope, condition};
use super::{GENERATION, Registry, in_transaction};
use crate::shadows;
use crate::sql::{Sql, Value, insertions};
use fleet_protocol::fleet_query::{Facts, Field, Query, Section, Term};
use fleet_protocol::names::{GroupName, ThingName};
use fleet_protocol::shadow::{Shadow, ShadowId};
use fleet_protocol::things::Thing;
use sqlx::{AnyConnection, Row as _};
use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};

/// So many things are refreshed in one transaction.
const AT_ONCE: usize = 200;

/// Which thing is to be indexed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known<'a> {
    /// Just read or written.
    Thing(&'a Thing),
    Name(&'a ThingName),
}

impl Registry {
    /// Has search and the dynamic groups know a thing as it is now, after its shadow changed. A name that no thing has
    /// is passed over: a shadow may be there without its thing. What is asked for meanwhile is done together.
    pub(crate) async fn refresh(&self, thing: &ThingName) -> Result<(), RegistryError> {
        self.waiting().insert(thing.clone());
        let _turn = self.refreshing.lock().await;
        // Whoever had the turn before may have done it, too.
        while self.waiting().contains(thing) {
            let some = self.take_waiting();
            let generation = in_transaction!(self, |transaction| refresh_all(&mut transaction, &some).await)?;
            self.generation.announce(generation);
        }
        Ok(())
    }

    /// The same for whoever changed the shadow: the change stands, and what is missed here is mended later.
    pub(crate) async fn shadow_changed(&self, thing: &ThingName) {
        if let Err(error) = self.refresh(thing).await {
            tracing::warn!(%error, %thing, "the index of things does not know of a changed shadow yet");
        }
    }

    fn take_waiting(&self) -> BTreeSet<ThingName> {
        let mut waiting = self.waiting();
        let rest = waiting.iter().nth(AT_ONCE).cloned().map(|first| waiting.split_off(&first)).unwrap_or_default();
        std::mem::replace(&mut waiting, rest)
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeSet<ThingName>> {
        // A set is whole at any time.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Mends what was left behind by a process that ended between a shadow's change and its index.
    pub(super) async fn reconcile(&self) -> Result<(), RegistryError> {
        let behind: Vec<String> = sqlx::query_scalar(
            "SELECT t.name FROM things t \
             LEFT JOIN (SELECT thing, CAST(SUM(version) AS BIGINT) AS versions FROM shadows GROUP BY thing) s \
             ON s.thing = t.name WHERE COALESCE(s.versions, 0) <> t.indexed_shadows",
        )
        .fetch_all(&self.database)
        .await?;
        for name in behind {
            // What fails for one thing is not to stop the others.
            self.shadow_changed(&name.parse()?).await;
        }
        Ok(())
    }
}

async fn refresh_all(
    transaction: &mut AnyConnection,
    things: &BTreeSet<ThingName>,
) -> Result<Option<i64>, RegistryError> {
    let mut moved = false;
    for thing in things {
        match refresh(transaction, Known::Name(thing)).await {
            Ok(it_moved) => moved |= it_moved,
            Err(RegistryError::NoThing(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(if moved { Some(GENERATION.raise(transaction).await?) } else { None })
}

/// After a static group is gone: fills the dynamic groups anew that may have asked for it.
pub(super) async fn refill_after_group(transaction: &mut AnyConnection, scope: Scope) -> Result<(), RegistryError> {
    for (group, query) in dynamic_groups(transaction).await? {
        if query.looks_into(&|field| *field == Field::ThingGroupNames) {
            fill(transaction, &group, &query, scope).await?;
        }
    }
    Ok(())
}

/// Writes what has changed of a thing's terms and of its dynamic groups; whether it came into a group or left one.
pub(super) async fn refresh(transaction: &mut AnyConnection, known: Known<'_>) -> Result<bool, RegistryError> {
    let read;
    let thing = match known {
        Known::Thing(thing) => thing,
        Known::Name(name) => {
            read = need_thing(transaction, name).await?;
            &read
        }
    };
    let name = thing.thing_name.as_str();
    let (mut facts, shadow_versions) = facts_of(transaction, thing).await?;
    let rows = sqlx::query("SELECT field, term FROM thing_terms WHERE thing = $1").bind(name);
    let mut gone: BTreeSet<(String, String)> = BTreeSet::new();
    for row in &rows.fetch_all(&mut *transaction).await? {
        gone.insert((row.try_get(0)?, row.try_get(1)?));
    }
    let mut new = Vec::new();
    for (field, term) in facts.indexed() {
        let key = (field.to_string(), term.as_str().to_owned());
        if !gone.remove(&key) {
            new.push(row_of(&thing.thing_name, field, term));
        }
    }
    for (field, term) in gone {
        sqlx::query("DELETE FROM thing_terms WHERE thing = $1 AND field = $2 AND term = $3")
            .bind(name)
            .bind(field)
            .bind(term)
            .execute(&mut *transaction)
            .await?;
    }
    insert_terms(transaction, &new).await?;
    sqlx::query("UPDATE things SET indexed_shadows = $1 WHERE name = $2 AND indexed_shadows <> $3")
        .bind(shadow_versions)
        .bind(name)
        .bind(shadow_versions)
        .execute(&mut *transaction)
        .await?;
    if let Some(connectivity) = connectivity_of(transaction, &thing.thing_name).await? {
        facts.set_connectivity(&connectivity);
    }
    let groups = dynamic_groups(transaction).await?;
    place(transaction, &thing.thing_name, &facts, &groups).await
}

/// The rows that a new thing has in the index.
pub(super) fn terms_of<'a>(thing: &'a ThingName, facts: &'a Facts) -> impl Iterator<Item = [Value; 4]> + 'a {
    facts.indexed().map(|(field, term)| row_of(thing, field, term))
}

fn row_of(thing: &ThingName, field: &Field, term: &Term) -> [Value; 4] {
    [thing.as_str().into(), field.to_string().into(), term.as_str().into(), term.number().map(ordered).into()]
}

pub(super) async fn insert_terms(transaction: &mut AnyConnection, rows: &[[Value; 4]]) -> Result<(), RegistryError> {
    for sql in insertions("INSERT INTO thing_terms (thing, field, term, number)", rows) {
        sql.query().execute(&mut *transaction).await?;
    }
    Ok(())
}

/// What is known of a thing but whether it is connected, and which versions its shadows have.
async fn facts_of(transaction: &mut AnyConnection, thing: &Thing) -> Result<(Facts, i64), RegistryError> {
    let name = thing.thing_name.as_str();
    let mut facts = Facts::new(&thing.thing_name, &thing.thing_id, thing.thing_type_name.as_ref());
    facts.add_attributes(thing.attributes.as_map());
    // A dynamic group does not depend on other dynamic groups.
    let groups: Vec<String> = sqlx::query_scalar(
        "SELECT m.group_name FROM thing_group_members m JOIN thing_groups g ON g.name = m.group_name \
         WHERE m.thing = $1 AND g.query IS NULL",
    )
    .bind(name)
    .fetch_all(&mut *transaction)
    .await?;
    for group in groups {
        facts.add_group(&group.parse()?);
    }
    let mut versions = 0i64;
    for (ShadowId { name, .. }, Shadow { version, document }) in shadows::all_of(transaction, &thing.thing_name).await?
    {
        versions = versions.saturating_add(stored_version(version));
        if let Some(document) = document {
            let name = name.as_ref();
            facts.add_shadow(name, Section::Desired, &document.state.desired);
            facts.add_shadow(name, Section::Reported, &document.state.reported);
            facts.add_delta(name, &document.difference().0);
        }
    }
    Ok((facts, versions))
}

/// The dynamic groups and what they ask.
pub(super) async fn dynamic_groups(transaction: &mut AnyConnection) -> Result<Vec<(GroupName, Query)>, RegistryError> {
    let rows =
        sqlx::query("SELECT name, query FROM thing_groups WHERE query IS NOT NULL").fetch_all(transaction).await?;
    rows.iter().map(|row| Ok((row.try_get::<String, _>(0)?.parse()?, row.try_get::<String, _>(1)?.parse()?))).collect()
}

/// Puts a thing into the dynamic groups that it belongs to, and takes it out of the others; whether anything changed.
pub(super) async fn place(
    transaction: &mut AnyConnection,
    thing: &ThingName,
    facts: &Facts,
    groups: &[(GroupName, Query)],
) -> Result<bool, RegistryError> {
    if groups.is_empty() {
        return Ok(false);
    }
    let there: BTreeSet<String> = sqlx::query_scalar("SELECT group_name FROM thing_group_members WHERE thing = $1")
        .bind(thing.as_str())
        .fetch_all(&mut *transaction)
        .await?
        .into_iter()
        .collect();
    let mut changed = false;
    for (group, query) in groups {
        let sql = match (query.matches(facts), there.contains(group.as_str())) {
            (true, false) => "INSERT INTO thing_group_members (group_name, thing) VALUES ($1, $2)",
            (false, true) => "DELETE FROM thing_group_members WHERE group_name = $1 AND thing = $2",
            _ => continue,
        };
        sqlx::query(sql).bind(group.as_str()).bind(thing.as_str()).execute(&mut *transaction).await?;
        changed = true;
    }
    Ok(changed)
}

/// Decides anew which things a dynamic group holds.
pub(super) async fn fill(
    transaction: &mut AnyConnection,
    group: &GroupName,
    query: &Query,
    scope: Scope,
) -> Result<(), RegistryError> {
    sqlx::query("DELETE FROM thing_group_members WHERE group_name = $1")
        .bind(group.as_str())
        .execute(&mut *transaction)
        .await?;
    let mut sql = Sql::new("INSERT INTO thing_group_members (group_name, thing) SELECT ");
    sql.bind(group.as_str()).push(", t.name FROM things t WHERE ");
    condition(&mut sql, query, scope);
    sql.query().execute(transaction).await?;
    Ok(())
}
