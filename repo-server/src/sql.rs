//! Statements that are put together.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe};
use std::fmt::Write as _;

/// Rows of a statement: SQLite takes 32766 values in one, and longer ones are no faster.
pub(crate) const AT_ONCE: usize = 400;

/// A statement's text and its values. Nothing of a value is ever part of the text.
#[derive(Debug, Default)]
pub(crate) struct Sql {
    text: String,
    values: Vec<Value>,
}

/// A value of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    NoText,
    Number(i64),
    NoNumber,
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Self::NoText, Self::from)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::NoNumber, Self::Number)
    }
}

impl Sql {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), values: Vec::new() }
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// A value's place in the text.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let _ = write!(self.text, "${}", self.values.len());
        self
    }

    /// The places of several values, in brackets.
    pub(crate) fn list<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        self.push("(");
        for (position, value) in values.into_iter().enumerate() {
            self.push(if position == 0 { "" } else { ", " }).bind(value);
        }
        self.push(")")
    }

    pub(crate) fn query(&self) -> Query<'_, Any, AnyArguments> {
        let mut query = sqlx::query(AssertSqlSafe(self.text.as_str()));
        for value in &self.values {
            query = match value {
                Value::Text(text) => query.bind(text.as_str()),
                Value::NoText => query.bind(None::<String>),
                Value::Number(number) => query.bind(*number),
                Value::NoNumber => query.bind(None::<i64>),
            };
        }
        query
    }
}

/// Statements that add all of these rows, [`AT_ONCE`] with each; `insert` ends before the word VALUES.
pub(crate) fn insertions<const COLUMNS: usize>(insert: &str, rows: &[[Value; COLUMNS]]) -> Vec<Sql> {
    let some = rows.chunks(AT_ONCE);
    some.map(|rows| {
        let mut sql = Sql::new(insert);
        sql.push(" VALUES ");
        for (position, row) in rows.iter().enumerate() {
            sql.push(if position == 0 { "" } else { ", " }).list(row.iter().cloned());
        }
        sql
    })
    .collect()
}
