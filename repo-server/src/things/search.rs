//! Finding things: a query as a condition on the tables, which decides as `Query::matches` does.

use super::error::RegistryError;
use super::order::ordered;
use super::rows::{THING_COLUMNS, thing_of_row};
use super::{Registry, connectivity};
use crate::database;
use crate::sql::Sql;
use fleet_protocol::fleet_query::{Bound, Field, Pattern, Piece, Query, Range, Test};
use fleet_protocol::names::GroupName;
use fleet_protocol::things::{SearchPage, Thing, ThingDocument};
use sqlx::Row as _;
use std::collections::BTreeMap;

/// Which groups `thingGroupNames` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupsSeen {
    All,
    /// A dynamic group does not depend on other dynamic groups.
    Static,
}

/// How a query is put to the tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    pub(super) seen: GroupsSeen,
    /// The database's name for the order of texts by their bytes.
    bytewise: &'static str,
}

impl Registry {
    pub(super) fn scope(&self, seen: GroupsSeen) -> Scope {
        let bytewise = if database::is_shared(&self.database) { "\"C\"" } else { "BINARY" };
        Scope { seen, bytewise }
    }

    /// The things that the query finds, behind `after`, by name.
    pub(crate) async fn search(&self, query: &Query, limit: u16, after: &str) -> Result<SearchPage, RegistryError> {
        let mut sql = Sql::new(&format!("SELECT {THING_COLUMNS} FROM things t WHERE t.name > "));
        sql.bind(after).push(" AND ");
        condition(&mut sql, query, self.scope(GroupsSeen::All));
        sql.push(" ORDER BY t.name LIMIT ").bind(i64::from(limit) + 1);
        let rows = sql.query().fetch_all(&self.database).await?;
        let more = rows.len() > usize::from(limit);
        let things = rows.iter().take(limit.into()).map(thing_of_row).collect::<Result<Vec<_>, _>>()?;
        let next = things.last().filter(|_| more).map(|last| last.thing_name.to_string());
        let mut groups = self.groups_of_all(&things).await?;
        let mut connected = connectivity::of_all(&self.database, &things).await?;
        let document = |thing: Thing| ThingDocument {
            thing_group_names: groups.remove(thing.thing_name.as_str()).unwrap_or_default(),
            connectivity: connected.remove(thing.thing_name.as_str()),
            thing,
        };
        Ok(SearchPage { things: things.into_iter().map(document).collect(), next })
    }

    async fn groups_of_all(&self, things: &[Thing]) -> Result<BTreeMap<String, Vec<GroupName>>, RegistryError> {
        let mut groups: BTreeMap<String, Vec<GroupName>> = BTreeMap::new();
        if things.is_empty() {
            return Ok(groups);
        }
        let mut sql = Sql::new("SELECT thing, group_name FROM thing_group_members WHERE thing IN ");
        sql.list(things.iter().map(|thing| thing.thing_name.as_str())).push(" ORDER BY group_name");
        for row in sql.query().fetch_all(&self.database).await? {
            groups.entry(row.try_get(0)?).or_default().push(row.try_get::<String, _>(1)?.parse()?);
        }
        Ok(groups)
    }
}

/// What is looked at in a row.
#[derive(Clone, Copy)]
struct Column {
    /// The term.
    text: &'static str,
    /// Its number, if it can have one.
    number: Option<Number>,
}

#[derive(Clone, Copy)]
enum Number {
    /// As the index has it, beside terms of which some are JSON numbers.
    Indexed(&'static str),
    /// A whole number, which is all that there is.
    Whole(&'static str),
}

const NAME: Column = Column { text: "lower(t.name)", number: None };
const ID: Column = Column { text: "t.id", number: None };
const TYPE: Column = Column { text: "lower(t.type)", number: None };
const GROUP: Column = Column { text: "lower(m.group_name)", number: None };
const CONNECTED: Column = Column { text: "(CASE c.connected WHEN 1 THEN 'true' ELSE 'false' END)", number: None };
const CHANGED_AT: Column = Column { text: "", number: Some(Number::Whole("c.at")) };
const REASON: Column = Column { text: "lower(c.disconnect_reason)", number: None };
const TERM: Column = Column { text: "x.term", number: Some(Number::Indexed("x.number")) };

/// Adds the condition on `things t` that a query is.
pub(super) fn condition(sql: &mut Sql, query: &Query, scope: Scope) {
    match query {
        Query::All => {
            sql.push("1 = 1");
        }
        Query::Not(query) => {
            sql.push("NOT (");
            condition(sql, query, scope);
            sql.push(")");
        }
        Query::And(some) => joined(sql, " AND ", some, |sql, query| condition(sql, query, scope)),
        Query::Or(some) => joined(sql, " OR ", some, |sql, query| condition(sql, query, scope)),
        Query::Term { field: Some(field), test } => of_field(sql, field, test, scope),
        Query::Term { field: None, test } => {
            const FIELDS: [Field; 7] = [
                Field::ThingName,
                Field::ThingId,
                Field::ThingTypeName,
                Field::ThingGroupNames,
                Field::Connected,
                Field::ConnectivityTimestamp,
                Field::DisconnectReason,
            ];
            sql.push("(");
            for field in &FIELDS {
                of_field(sql, field, test, scope);
                sql.push(" OR ");
            }
            sql.push("t.name IN (SELECT x.thing FROM thing_terms x WHERE ");
            holds(sql, TERM, test, scope);
            sql.push("))");
        }
    }
}

fn joined<T>(sql: &mut Sql, between: &str, all: &[T], each: impl Fn(&mut Sql, &T)) {
    sql.push("(");
    for (position, one) in all.iter().enumerate() {
        sql.push(if position == 0 { "" } else { between });
        each(sql, one);
    }
    sql.push(")");
}

fn of_field(sql: &mut Sql, field: &Field, test: &Test, scope: Scope) {
    let connectivity = "t.name IN (SELECT c.thing FROM thing_connectivity c WHERE ";
    let (before, column) = match field {
        Field::ThingName => ("(", NAME),
        Field::ThingId => ("(", ID),
        Field::ThingTypeName => ("(t.type IS NOT NULL AND ", TYPE),
        Field::ThingGroupNames => match scope.seen {
            GroupsSeen::All => ("t.name IN (SELECT m.thing FROM thing_group_members m WHERE ", GROUP),
            GroupsSeen::Static => (
                "t.name IN (SELECT m.thing FROM thing_group_members m JOIN thing_groups g ON g.name = m.group_name \
                 WHERE g.query IS NULL AND ",
                GROUP,
            ),
        },
        Field::Connected => (connectivity, CONNECTED),
        Field::ConnectivityTimestamp => (connectivity, CHANGED_AT),
        Field::DisconnectReason => {
            ("t.name IN (SELECT c.thing FROM thing_connectivity c WHERE c.disconnect_reason IS NOT NULL AND ", REASON)
        }
        Field::Attribute(_) | Field::Shadow { .. } | Field::HasDelta(_) => {
            sql.push("t.name IN (SELECT x.thing FROM thing_terms x WHERE x.field = ").bind(field.to_string());
            (" AND ", TERM)
        }
    };
    sql.push(before);
    holds(sql, column, test, scope);
    sql.push(")");
}

/// What JSON numbers look like in the index.
const NUMBERS: &str = "\u{1}%";

/// The condition that a column's value passes the test.
fn holds(sql: &mut Sql, column: Column, test: &Test, scope: Scope) {
    match (test, column.number) {
        (Test::Exists, _) => {
            sql.push("1 = 1");
        }
        (Test::Numbers(range), Some(Number::Indexed(number))) => ends(sql, number, range, |sql, at| {
            sql.bind(ordered(*at));
        }),
        (Test::Numbers(range), Some(Number::Whole(number))) => whole_ends(sql, number, range),
        (Test::Like(pattern), Some(Number::Whole(number))) if pattern.number().is_some() => {
            let bound = || pattern.number().map(|at| Bound { at, inclusive: true });
            whole_ends(sql, number, &Range { low: bound(), high: bound() });
        }
        (_, Some(Number::Whole(_))) | (Test::Numbers(_), None) => {
            sql.push("1 = 0");
        }
        (Test::Like(pattern), number) => like(sql, column.text, number.is_some(), pattern),
        (Test::Phrase(words), _) => phrase(sql, column.text, words),
        (Test::Texts(range), number) => {
            if number.is_some() {
                sql.push(column.text).push(" NOT LIKE ").bind(NUMBERS).push(" AND ");
            }
            let collated = format!("{} COLLATE {}", column.text, scope.bytewise);
            ends(sql, &collated, range, |sql, at| {
                sql.bind(at.as_str());
            });
        }
    }
}

fn like(sql: &mut Sql, text: &str, may_be_number: bool, pattern: &Pattern) {
    if let Some(exact) = pattern.exact() {
        let number = pattern.number_term().filter(|_| may_be_number);
        sql.push(text).push(" IN ").list(std::iter::once(exact.to_owned()).chain(number));
        return;
    }
    if may_be_number && !matches!(pattern.pieces().first(), Some(Piece::Text(_))) {
        // Wildcards stand for text.
        sql.push(text).push(" NOT LIKE ").bind(NUMBERS).push(" AND ");
    }
    let pattern: String = pattern
        .pieces()
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => escaped(text),
            Piece::Any => "%".to_owned(),
            Piece::One => "_".to_owned(),
        })
        .collect();
    sql.push(text).push(" LIKE ").bind(pattern).push(ESCAPE);
}

const ESCAPE: &str = " ESCAPE '\\'";

fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| ['%', '_', '\\'].contains(&c).then_some('\\').into_iter().chain([c])).collect()
}

/// Words one behind the other, at the beginning, at the end, within, or as the whole.
fn phrase(sql: &mut Sql, text: &str, words: &str) {
    sql.push("(").push(text).push(" = ").bind(words);
    let words = escaped(words);
    for form in [format!("{words} %"), format!("% {words}"), format!("% {words} %")] {
        sql.push(" OR ").push(text).push(" LIKE ").bind(form).push(ESCAPE);
    }
    sql.push(")");
}

fn ends<T>(sql: &mut Sql, column: &str, Range { low, high }: &Range<T>, bind: impl Fn(&mut Sql, &T)) {
    // A number that is none is in no range.
    sql.push(column).push(" IS NOT NULL");
    for (end, operators) in [(low, [">", ">="]), (high, ["<", "<="])] {
        if let Some(Bound { at, inclusive }) = end {
            sql.push(" AND ").push(column).push(" ").push(operators[usize::from(*inclusive)]).push(" ");
            bind(sql, at);
        }
    }
}

/// The same of whole numbers, whose ends may lie between two.
fn whole_ends(sql: &mut Sql, column: &str, Range { low, high }: &Range<f64>) {
    let end = |end: &Option<Bound<f64>>, round: fn(f64) -> f64| {
        let Bound { at, inclusive } = end.as_ref()?;
        // Beyond the largest numbers `as` gives those.
        Some(Bound { at: round(*at) as i64, inclusive: *inclusive || at.fract() != 0.0 })
    };
    let range = Range { low: end(low, f64::ceil), high: end(high, f64::floor) };
    ends(sql, column, &range, |sql, at| {
        sql.bind(*at);
    });
}
