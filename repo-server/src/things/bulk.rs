//! Registering many things at once, in one transaction.

use super::error::RegistryError;
use super::index::{Known, dynamic_groups, insert_terms, refresh, terms_of};
use super::members;
use super::rows::{THING_COLUMNS, need_type, stored_version, thing_of_row};
use super::{GENERATION, Registry, in_transaction, new_id};
use crate::audit::{self, Actor};
use crate::sql::{Sql, Value, insertions};
use fleet_protocol::fleet_query::Facts;
use fleet_protocol::names::{GroupName, ThingName, ThingTypeName};
use fleet_protocol::things::{Attributes, MOST_GROUPS_OF_THING, Registered, Registration, RegistrationFailure, Thing};
use jiff::Timestamp;
use sqlx::AnyConnection;
use std::collections::{BTreeMap, BTreeSet};

impl Registry {
    /// Registers things. Each that cannot be registered is told with the reason, and the others are registered. It is safe
    /// to do twice.
    pub(crate) async fn register(&self, asked: &[Registration], actor: &Actor) -> Result<Registered, RegistryError> {
        let now = self.now();
        let (registered, generation) =
            in_transaction!(self, |transaction| register(&mut transaction, asked, actor, now).await)?;
        self.generation.announce(generation);
        Ok(registered)
    }
}

async fn register(
    transaction: &mut AnyConnection,
    asked: &[Registration],
    actor: &Actor,
    now: Timestamp,
) -> Result<(Registered, Option<i64>), RegistryError> {
    let mut checker = Checker::new(transaction, asked).await?;
    let (mut outcome, mut new, mut moved) = (Registered::default(), Vec::new(), false);
    for (index, one) in asked.iter().enumerate() {
        let fail = |error: RegistryError| RegistrationFailure {
            index,
            thing_name: one.thing_name.clone(),
            reason: error.to_string(),
        };
        match checker.check(transaction, one).await? {
            Ok(Verdict::New) => new.push(one),
            Ok(Verdict::There) => match rejoin(transaction, one, actor, now).await {
                Ok(joined) => {
                    moved |= joined;
                    outcome.unchanged += 1;
                }
                Err(error @ RegistryError::InTheWay(_)) => outcome.failures.push(fail(error)),
                Err(error) => return Err(error),
            },
            Err(error) => outcome.failures.push(fail(error)),
        }
    }
    outcome.created = new.len();
    if let (Some(first), Some(last)) = (new.first(), new.last()) {
        insert(transaction, &new, now).await?;
        let (first, last) = (&first.thing_name, &last.thing_name);
        let subject = if new.len() == 1 { first.to_string() } else { format!("{first} to {last}") };
        audit::note(transaction, actor, "thing.register", subject, format!("{} things", new.len()), now).await?;
    }
    // New things are in groups, too.
    let generation = if moved || outcome.created > 0 { Some(GENERATION.raise(transaction).await?) } else { None };
    Ok((outcome, generation))
}

enum Verdict {
    New,
    There,
}

/// What registrations are held against.
struct Checker {
    /// Things of these names that are there.
    there: BTreeMap<ThingName, (Option<ThingTypeName>, Attributes)>,
    /// What came before in the same request.
    named: BTreeSet<ThingName>,
    types: BTreeMap<ThingTypeName, Option<String>>,
    groups: BTreeMap<GroupName, Option<String>>,
}

impl Checker {
    async fn new(transaction: &mut AnyConnection, asked: &[Registration]) -> Result<Self, RegistryError> {
        let mut there = BTreeMap::new();
        for some in asked.chunks(500) {
            let mut sql = Sql::new(&format!("SELECT {THING_COLUMNS} FROM things t WHERE t.name IN "));
            sql.list(some.iter().map(|one| one.thing_name.as_str()));
            for row in sql.query().fetch_all(&mut *transaction).await? {
                let Thing { thing_name, thing_type_name, attributes, .. } = thing_of_row(&row)?;
                there.insert(thing_name, (thing_type_name, attributes));
            }
        }
        Ok(Self { there, named: BTreeSet::new(), types: BTreeMap::new(), groups: BTreeMap::new() })
    }

    /// The inner error is the registration's own.
    async fn check(
        &mut self,
        transaction: &mut AnyConnection,
        one: &Registration,
    ) -> Result<Result<Verdict, RegistryError>, RegistryError> {
        let Registration { thing_name, thing_type_name, attributes, thing_group_names } = one;
        if !self.named.insert(thing_name.clone()) {
            return Ok(Err(RegistryError::InTheWay(format!("the thing {thing_name} is named twice"))));
        }
        if thing_group_names.len() > MOST_GROUPS_OF_THING {
            return Ok(Err(RegistryError::Impossible(format!(
                "it names {} groups; a thing may be in {MOST_GROUPS_OF_THING}",
                thing_group_names.len()
            ))));
        }
        for group in thing_group_names {
            if !self.groups.contains_key(group) {
                let found = kept(members::need_static_group(transaction, group).await)?;
                self.groups.insert(group.clone(), found);
            }
            if let Some(Some(reason)) = self.groups.get(group) {
                return Ok(Err(RegistryError::InTheWay(reason.clone())));
            }
        }
        if let Some((there_type, there_attributes)) = self.there.get(thing_name) {
            let same = there_type == thing_type_name && there_attributes == attributes;
            return Ok(if same { Ok(Verdict::There) } else { Err(RegistryError::ThingExists(thing_name.clone())) });
        }
        if let Some(thing_type) = thing_type_name {
            if !self.types.contains_key(thing_type) {
                let found = kept(need_type(transaction, thing_type).await)?;
                self.types.insert(thing_type.clone(), found);
            }
            if let Some(Some(reason)) = self.types.get(thing_type) {
                return Ok(Err(RegistryError::InTheWay(reason.clone())));
            }
        }
        Ok(Ok(Verdict::New))
    }
}

/// Why a group or type cannot be used, to be told of everything that names it; other failures end the request.
fn kept(outcome: Result<(), RegistryError>) -> Result<Option<String>, RegistryError> {
    match outcome {
        Ok(()) => Ok(None),
        Err(error @ (RegistryError::NoGroup(_) | RegistryError::NoType(_) | RegistryError::InTheWay(_))) => {
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

/// Puts a thing that is there into the groups that it lacks; whether it lacked any.
async fn rejoin(
    transaction: &mut AnyConnection,
    one: &Registration,
    actor: &Actor,
    now: Timestamp,
) -> Result<bool, RegistryError> {
    let mut joined = false;
    for group in &one.thing_group_names {
        if members::insert(transaction, group, &one.thing_name).await? {
            joined = true;
            audit::note(transaction, actor, "group.add", group, one.thing_name.to_string(), now).await?;
        }
    }
    if joined {
        refresh(transaction, Known::Name(&one.thing_name)).await?;
    }
    Ok(joined)
}

async fn insert(transaction: &mut AnyConnection, new: &[&Registration], now: Timestamp) -> Result<(), RegistryError> {
    let dynamic = dynamic_groups(transaction).await?;
    let (mut things, mut joins, mut terms) = (Vec::new(), Vec::new(), Vec::new());
    for Registration { thing_name, thing_type_name, attributes, thing_group_names } in new.iter().copied() {
        let id = new_id()?;
        let mut facts = Facts::new(thing_name, &id, thing_type_name.as_ref());
        facts.add_attributes(attributes.as_map());
        let groups: BTreeSet<&GroupName> = thing_group_names.iter().collect();
        groups.iter().for_each(|group| facts.add_group(group));
        let found = dynamic.iter().filter(|(_, query)| query.matches(&facts)).map(|(group, _)| group);
        let all = groups.iter().copied().chain(found);
        joins.extend(all.map(|group| [group.as_str().into(), thing_name.as_str().into()]));
        terms.extend(terms_of(thing_name, &facts));
        things.push([
            thing_name.as_str().into(),
            id.into(),
            thing_type_name.as_ref().map(ThingTypeName::as_str).into(),
            serde_json::to_string(attributes)?.into(),
            stored_version(1).into(),
            Value::from(now.as_second()),
        ]);
    }
    for sql in insertions("INSERT INTO things (name, id, type, attributes, version, created_at)", &things) {
        sql.query().execute(&mut *transaction).await?;
    }
    for sql in insertions::<2>("INSERT INTO thing_group_members (group_name, thing)", &joins) {
        sql.query().execute(&mut *transaction).await?;
    }
    insert_terms(transaction, &terms).await
}
