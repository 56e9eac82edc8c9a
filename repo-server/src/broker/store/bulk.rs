//! Messages, their copies and their acknowledgements, many to a statement: one message may go to a whole fleet.

use super::Copy;
use super::columns::{json, payload, properties};
use crate::broker::ids::ClientId;
use crate::broker::message::Message;
use sqlx::AnyConnection;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// Rows of a statement. The database prepares a statement for each size only once.
const SIZES: [usize; 3] = [64, 8, 1];

/// What goes into the database together. An acknowledgement comes after its message.
#[derive(Default)]
pub(super) struct Bulk<'a> {
    messages: Vec<&'a Message>,
    copies: Vec<(i64, &'a Copy)>,
    acknowledged: Vec<(&'a ClientId, i64)>,
}

/// Statements of the same kind, one of each size.
type Statements = LazyLock<[String; SIZES.len()]>;

// A session that comes later may need a message that others have already.
static INSERT_MESSAGES: Statements = LazyLock::new(|| {
    rows(
        "INSERT INTO mqtt_messages (id, topic, payload, properties, expires_at) VALUES ",
        5,
        " ON CONFLICT (id) DO NOTHING",
    )
});

static INSERT_COPIES: Statements = LazyLock::new(|| {
    let conflict = " ON CONFLICT (client_id, message) DO NOTHING";
    rows("INSERT INTO mqtt_pending (client_id, message, retain, identifiers) VALUES ", 4, conflict)
});

static DELETE_COPIES: Statements = LazyLock::new(|| {
    SIZES.map(|size| {
        let one = |at: usize| format!("client_id = ${} AND message = ${}", at * 2 + 1, at * 2 + 2);
        let all: Vec<String> = (0..size).map(one).collect();
        format!("DELETE FROM mqtt_pending WHERE {}", all.join(" OR "))
    })
});

fn rows(head: &str, columns: usize, tail: &str) -> [String; SIZES.len()] {
    SIZES.map(|size| {
        let mut statement = head.to_owned();
        for row in 0..size {
            for column in 0..columns {
                let before = match (row, column) {
                    (0, 0) => "(",
                    (_, 0) => "), (",
                    _ => ", ",
                };
                // A string takes whatever is written to it.
                let _ = write!(statement, "{before}${}", row * columns + column + 1);
            }
        }
        statement + ")" + tail
    })
}

/// Splits rows into pieces for which there are statements.
fn pieces<'r, T>(mut rows: &'r [T], statements: &'static [String; SIZES.len()]) -> Vec<(&'static str, &'r [T])> {
    let mut pieces = Vec::new();
    for (size, statement) in SIZES.into_iter().zip(statements) {
        while rows.len() >= size {
            let (piece, rest) = rows.split_at(size);
            pieces.push((statement.as_str(), piece));
            rows = rest;
        }
    }
    pieces
}

impl<'a> Bulk<'a> {
    pub(super) fn add(&mut self, message: &'a Message, copies: &'a [Copy]) {
        self.messages.push(message);
        self.copies.extend(copies.iter().map(|copy| (message.id, copy)));
    }

    pub(super) fn remove(&mut self, client: &'a ClientId, message: i64) {
        self.acknowledged.push((client, message));
    }

    pub(super) async fn write(self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        for (statement, piece) in pieces(&self.messages, &INSERT_MESSAGES) {
            let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
            for message in piece {
                query = query
                    .bind(message.id)
                    .bind(message.topic().to_owned())
                    .bind(payload(&message.publish))
                    .bind(properties(&message.publish)?)
                    .bind(message.expires_at);
            }
            query.execute(&mut *connection).await?;
        }
        for (statement, piece) in pieces(&self.copies, &INSERT_COPIES) {
            let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
            for (message, Copy { client, retain, identifiers }) in piece {
                query = query.bind(client.to_string()).bind(*message).bind(i64::from(*retain)).bind(json(identifiers)?);
            }
            query.execute(&mut *connection).await?;
        }
        for (statement, piece) in pieces(&self.acknowledged, &DELETE_COPIES) {
            let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
            for (client, message) in piece {
                query = query.bind(client.to_string()).bind(*message);
            }
            query.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_statement_and_every_value_its_number() {
        let all: Vec<usize> = (0..64 * 2 + 8 + 3).collect();
        let cut = pieces(&all, &INSERT_COPIES);
        assert_eq!(cut.iter().map(|(_, piece)| piece.len()).collect::<Vec<_>>(), [64, 64, 8, 1, 1, 1]);
        assert_eq!(cut.concat_rows(), all);
        assert_eq!(
            INSERT_COPIES[2],
            "INSERT INTO mqtt_pending (client_id, message, retain, identifiers) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (client_id, message) DO NOTHING"
        );
        assert!(INSERT_MESSAGES[1].contains("$35), ($36"), "{}", INSERT_MESSAGES[1]);
        assert!(DELETE_COPIES[0].ends_with("OR client_id = $127 AND message = $128"));
    }

    trait ConcatRows {
        fn concat_rows(&self) -> Vec<usize>;
    }

    impl ConcatRows for Vec<(&str, &[usize])> {
        fn concat_rows(&self) -> Vec<usize> {
            self.iter().flat_map(|(_, piece)| piece.iter().copied()).collect()
        }
    }
}
