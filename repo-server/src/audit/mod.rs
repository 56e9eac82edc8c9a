//! The audit log: every change, with who, when, what, from where. Entries are only ever added.

use debian_formats::checksums::hex;
use fleet_protocol::audit::{AuditEntry, AuditPage, Outcome, UnknownOutcome};
use jiff::Timestamp;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Row as _};

/// The longest subject or detail that is kept, in characters; publishers have a say in them.
const LONGEST_TEXT: usize = 500;
/// Behind every id: those are hex.
const AFTER_ALL_IDS: &str = "g";

/// A log that could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    /// The database failed.
    #[error("the database did not take in or give what the audit log is about: {0}")]
    Database(#[from] sqlx::Error),
    /// No random numbers for an entry's id.
    #[error("no random numbers for an entry of the audit log: {0}")]
    Random(getrandom::Error),
    /// A row that this program cannot have written.
    #[error("audit log in the database: {0}")]
    Outcome(#[from] UnknownOutcome),
    /// A row that this program cannot have written.
    #[error("audit log in the database: {0}")]
    Time(#[from] jiff::Error),
}

/// Who makes a change, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) name: String,
    /// The id of the token that was shown.
    pub(crate) token: Option<String>,
    /// An IP address, or `local`.
    pub(crate) remote_address: String,
}

impl Actor {
    /// The server, where nobody asks it to.
    pub(crate) fn server() -> Self {
        Self { name: "debfleet-server".to_owned(), token: None, remote_address: "local".to_owned() }
    }

    /// Whoever may run this command on the server's own data.
    pub(crate) fn local(command: &str) -> Self {
        let user = rustix::process::getuid().as_raw();
        Self { name: format!("{command}, uid {user}"), token: None, remote_address: "local".to_owned() }
    }
}

/// A change, to be noted.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) actor: Actor,
    /// Such as `package.publish`: what was acted on, and how.
    pub(crate) action: &'static str,
    /// What was acted on, such as a suite's name or a token's id.
    pub(crate) subject: String,
    /// More about it, for people.
    pub(crate) detail: String,
    pub(crate) outcome: Outcome,
}

/// The log of this server.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    database: AnyPool,
    clock: fn() -> Timestamp,
}

impl Audit {
    pub(crate) fn new(database: AnyPool, clock: fn() -> Timestamp) -> Self {
        Self { database, clock }
    }

    /// Notes a change that was made elsewhere. The change stands whether or not it can be noted, so a failure is told
    /// to the log of the process, with the whole entry.
    pub(crate) async fn record(&self, entry: Entry) {
        let noted = match self.database.acquire().await {
            Ok(mut connection) => append(&mut connection, &entry, (self.clock)()).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = noted {
            tracing::error!(%error, ?entry, "a change could not be noted in the audit log");
        }
    }

    /// Makes a change of one statement and notes it, both or neither. Gives whether a row was changed; where none was,
    /// nothing is noted.
    pub(crate) async fn change(
        &self,
        statement: Query<'_, Any, AnyArguments>,
        entry: &Entry,
    ) -> Result<bool, AuditError> {
        let mut connection = self.database.acquire().await?;
        let outcome = change_in_transaction(&mut connection, statement, entry, (self.clock)()).await;
        if outcome.is_err() {
            // On a full disk SQLite may end a transaction by itself, and the pool would not know: such a connection
            // is not used again. How it closes does not matter.
            let _ = connection.close().await;
        }
        outcome
    }

    /// The newest entries, or the newest before the one with the id `before`.
    pub(crate) async fn page(&self, limit: u16, before: Option<&str>) -> Result<AuditPage, AuditError> {
        let rows = sqlx::query(
            "SELECT id, at, actor, token, action, subject, detail, remote_address, outcome FROM audit_log \
             WHERE id < $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(before.unwrap_or(AFTER_ALL_IDS))
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.database)
        .await?;
        let mut entries = rows.iter().map(entry_of_row).collect::<Result<Vec<_>, _>>()?;
        let more = entries.len() > usize::from(limit);
        entries.truncate(usize::from(limit));
        let next = entries.last().filter(|_| more).map(|entry| entry.id.clone());
        Ok(AuditPage { entries, next })
    }
}

async fn change_in_transaction(
    connection: &mut AnyConnection,
    statement: Query<'_, Any, AnyArguments>,
    entry: &Entry,
    now: Timestamp,
) -> Result<bool, AuditError> {
    let mut transaction = connection.begin().await?;
    if statement.execute(&mut *transaction).await?.rows_affected() == 0 {
        transaction.rollback().await?;
        return Ok(false);
    }
    append(&mut transaction, entry, now).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Adds an entry within whatever transaction the connection is in, so that a change and its entry are one.
pub(crate) async fn append(connection: &mut AnyConnection, entry: &Entry, now: Timestamp) -> Result<(), AuditError> {
    let Entry { actor, action, subject, detail, outcome } = entry;
    sqlx::query(
        "INSERT INTO audit_log (id, at, actor, token, action, subject, detail, remote_address, outcome) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(new_id(now)?)
    .bind(now.as_second())
    .bind(&actor.name)
    .bind(actor.token.clone())
    .bind(*action)
    .bind(bounded(subject))
    .bind(bounded(detail))
    .bind(&actor.remote_address)
    .bind(outcome.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes a change that was made, as part of it.
pub(crate) async fn note(
    transaction: &mut AnyConnection,
    actor: &Actor,
    action: &'static str,
    subject: impl ToString,
    detail: String,
    now: Timestamp,
) -> Result<(), AuditError> {
    let entry = Entry { actor: actor.clone(), action, subject: subject.to_string(), detail, outcome: Outcome::Done };
    append(transaction, &entry, now).await
}

/// The time, and random digits for what happens at the same time.
fn new_id(now: Timestamp) -> Result<String, AuditError> {
    let mut random = [0u8; 4];
    getrandom::fill(&mut random).map_err(AuditError::Random)?;
    let microseconds = u64::try_from(now.as_microsecond()).unwrap_or_default();
    Ok(format!("{microseconds:016x}{}", hex(&random)))
}

/// On one line, and not too long.
fn bounded(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_TEXT).collect()
}

fn entry_of_row(row: &AnyRow) -> Result<AuditEntry, AuditError> {
    Ok(AuditEntry {
        id: row.try_get(0)?,
        at: Timestamp::from_second(row.try_get(1)?)?,
        actor: row.try_get(2)?,
        token: row.try_get(3)?,
        action: row.try_get(4)?,
        subject: row.try_get(5)?,
        detail: row.try_get(6)?,
        remote_address: row.try_get(7)?,
        outcome: row.try_get::<String, _>(8)?.parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_as_time_is() {
        let id = |seconds: i64| new_id(Timestamp::from_second(seconds).unwrap()).unwrap();
        assert!(id(9) < id(10) && id(1_800_000_000) < id(1_800_000_001));
        assert!(id(i64::from(u32::MAX) * 20).as_str() < AFTER_ALL_IDS);
        assert_eq!(id(0).len(), id(1_800_000_000).len());
    }

    #[test]
    fn a_detail_is_one_bounded_line() {
        assert_eq!(bounded("a\nb\u{1b}"), "a b ");
        assert_eq!(bounded(&"\u{e9}".repeat(600)).chars().count(), LONGEST_TEXT);
    }
}
