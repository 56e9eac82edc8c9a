//! Shadows in the database. A change is one statement that counts only if the shadow still has the version that was read;
//! whoever lost a race reads again.

use super::error::ShadowError;
use super::turns::Turns;
use crate::audit::{Actor, Audit, Entry};
use fleet_protocol::audit::Outcome;
use fleet_protocol::names::{ShadowName, ThingName};
use fleet_protocol::shadow::{
    Accepted, Deleted, NamedShadows, Refusal, Shadow, ShadowId, TokenRequest, Update, UpdateRequest, delete, get,
    update,
};
use jiff::Timestamp;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, Row as _};

/// How often a change is tried that other processes overtook.
const ATTEMPTS: usize = 32;
/// Named shadows that a thing may have, those counted that were deleted lately.
const MOST_NAMED: u16 = 100;
/// For so long a deleted shadow keeps its version, in seconds: two days, as AWS has it.
const VERSION_KEPT: i64 = 48 * 60 * 60;

/// The shadows of this server's things.
#[derive(Debug)]
pub(crate) struct Shadows {
    database: AnyPool,
    audit: Audit,
    clock: fn() -> Timestamp,
    turns: Turns,
}

impl Shadows {
    pub(crate) fn new(database: AnyPool, audit: Audit, clock: fn() -> Timestamp) -> Self {
        Self { database, audit, clock, turns: Turns::default() }
    }

    /// Seconds since the epoch.
    pub(super) fn now(&self) -> i64 {
        (self.clock)().as_second()
    }

    /// What a shadow holds.
    pub(crate) async fn get(&self, shadow: &ShadowId, request: &TokenRequest) -> Result<Accepted, ShadowError> {
        let (is, _) = self.read(shadow).await?;
        Ok(get(shadow, &is, request, self.now())?)
    }

    /// Changes a shadow, or makes it; if a person does it, that is noted.
    pub(crate) async fn update(
        &self,
        shadow: &ShadowId,
        request: &UpdateRequest,
        by: Option<&Actor>,
    ) -> Result<Update, ShadowError> {
        let _turn = self.turns.take(shadow).await;
        for _ in 0..ATTEMPTS {
            let (before, is_kept) = self.read(shadow).await?;
            let now = self.now();
            let update = update(shadow, &before, request, now)?;
            let written = if is_kept {
                write(shadow, &before, &update.after, now)?
            } else {
                self.make_room(shadow, now).await?;
                insert(shadow, &update.after, now)?
            };
            let entry = by.map(|actor| {
                entry(actor, "shadow.update", shadow, &update.after, &format!(": {}", update.accepted.state))
            });
            if self.note_and_write(written, entry).await? {
                return Ok(update);
            }
        }
        Err(Refusal::Busy.into())
    }

    /// Removes a shadow; if a person does it, that is noted.
    pub(crate) async fn delete(
        &self,
        shadow: &ShadowId,
        request: &TokenRequest,
        by: Option<&Actor>,
    ) -> Result<Deleted, ShadowError> {
        let _turn = self.turns.take(shadow).await;
        for _ in 0..ATTEMPTS {
            let (before, _) = self.read(shadow).await?;
            let now = self.now();
            let (after, deleted) = delete(shadow, &before, request.clone(), now)?;
            let written = write(shadow, &before, &after, now)?;
            let entry = by.map(|actor| entry(actor, "shadow.delete", shadow, &after, ""));
            if self.note_and_write(written, entry).await? {
                return Ok(deleted);
            }
        }
        Err(Refusal::Busy.into())
    }

    /// The names of a thing's named shadows that come behind `after`.
    pub(crate) async fn names(&self, thing: &ThingName, limit: u16, after: &str) -> Result<NamedShadows, ShadowError> {
        self.require_thing(thing).await?;
        let rows = sqlx::query(
            "SELECT name FROM shadows WHERE thing = $1 AND name > $2 AND document IS NOT NULL ORDER BY name LIMIT $3",
        )
        .bind(thing.as_str())
        .bind(after)
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.database)
        .await?;
        let names = rows.iter().take(usize::from(limit)).map(|row| Ok(row.try_get::<String, _>(0)?.parse()?));
        let results = names.collect::<Result<Vec<ShadowName>, ShadowError>>()?;
        let more = rows.len() > results.len();
        let next_token = results.last().filter(|_| more).map(ShadowName::to_string);
        Ok(NamedShadows { results, next_token, timestamp: self.now() })
    }

    /// A shadow, and whether there is a row of it.
    async fn read(&self, shadow: &ShadowId) -> Result<(Shadow, bool), ShadowError> {
        let row = sqlx::query(
            "SELECT shadows.version, shadows.document FROM things \
             LEFT JOIN shadows ON shadows.thing = things.name AND shadows.name = $2 WHERE things.name = $1",
        )
        .bind(shadow.thing.as_str())
        .bind(name_of(shadow))
        .fetch_optional(&self.database)
        .await?
        .ok_or(Refusal::NoThing)?;
        let Some(version) = row.try_get::<Option<i64>, _>(0)? else { return Ok((Shadow::default(), false)) };
        let document = row.try_get::<Option<String>, _>(1)?.map(|text| serde_json::from_str(&text)).transpose();
        let document = document.map_err(|source| ShadowError::Stored { shadow: shadow.clone(), source })?;
        Ok((Shadow { version: version.try_into()?, document }, true))
    }

    async fn require_thing(&self, thing: &ThingName) -> Result<(), ShadowError> {
        let found = sqlx::query("SELECT name FROM things WHERE name = $1")
            .bind(thing.as_str())
            .fetch_optional(&self.database)
            .await?;
        found.map(|_| ()).ok_or_else(|| Refusal::NoThing.into())
    }

    /// Before a new named shadow: a device must not fill the database with names.
    async fn make_room(&self, shadow: &ShadowId, now: i64) -> Result<(), ShadowError> {
        if shadow.name.is_none() {
            return Ok(());
        }
        let count = async || {
            sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM shadows WHERE thing = $1 AND name <> ''")
                .bind(shadow.thing.as_str())
                .fetch_one(&self.database)
                .await
        };
        if count().await? < i64::from(MOST_NAMED) {
            return Ok(());
        }
        sqlx::query("DELETE FROM shadows WHERE thing = $1 AND document IS NULL AND updated_at < $2")
            .bind(shadow.thing.as_str())
            .bind(now - VERSION_KEPT)
            .execute(&self.database)
            .await?;
        if count().await? < i64::from(MOST_NAMED) { Ok(()) } else { Err(Refusal::TooManyShadows(MOST_NAMED).into()) }
    }

    /// Whether the shadow still was as it had been read.
    async fn note_and_write(
        &self,
        statement: Query<'_, Any, AnyArguments>,
        entry: Option<Entry>,
    ) -> Result<bool, ShadowError> {
        match entry {
            Some(entry) => Ok(self.audit.change(statement, &entry).await?),
            None => Ok(statement.execute(&self.database).await?.rows_affected() > 0),
        }
    }
}

/// All shadows of a thing, deleted ones that keep their version too, within whatever transaction the connection is in.
pub(crate) async fn all_of(
    connection: &mut AnyConnection,
    thing: &ThingName,
) -> Result<Vec<(ShadowId, Shadow)>, ShadowError> {
    let rows = sqlx::query("SELECT name, version, document FROM shadows WHERE thing = $1 ORDER BY name")
        .bind(thing.as_str())
        .fetch_all(connection)
        .await?;
    let shadow_of = |row: &AnyRow| {
        let name: String = row.try_get(0)?;
        let name = if name.is_empty() { None } else { Some(name.parse()?) };
        let shadow = ShadowId { thing: thing.clone(), name };
        let document = row.try_get::<Option<String>, _>(2)?.map(|text| serde_json::from_str(&text)).transpose();
        let document = document.map_err(|source| ShadowError::Stored { shadow: shadow.clone(), source })?;
        Ok((shadow, Shadow { version: row.try_get::<i64, _>(1)?.try_into()?, document }))
    };
    rows.iter().map(shadow_of).collect()
}

/// Forgets all shadows of a thing that is deleted, within whatever transaction the connection is in.
pub(crate) async fn forget(connection: &mut AnyConnection, thing: &ThingName) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM shadows WHERE thing = $1").bind(thing.as_str()).execute(connection).await?;
    Ok(())
}

/// The classic shadow has the empty name.
fn name_of(shadow: &ShadowId) -> &str {
    shadow.name.as_ref().map_or("", ShadowName::as_str)
}

fn entry(actor: &Actor, action: &'static str, shadow: &ShadowId, after: &Shadow, what: &str) -> Entry {
    let detail = format!("version {}{what}", after.version);
    Entry { actor: actor.clone(), action, subject: shadow.label(), detail, outcome: Outcome::Done }
}

fn text_of(shadow: &ShadowId, after: &Shadow) -> Result<Option<String>, ShadowError> {
    let text = after.document.as_ref().map(serde_json::to_string).transpose();
    text.map_err(|source| ShadowError::Stored { shadow: shadow.clone(), source })
}

/// Counts only if the shadow is as it was. A deletion leaves the version, so what there is counts, too.
fn write<'a>(
    shadow: &'a ShadowId,
    before: &Shadow,
    after: &Shadow,
    now: i64,
) -> Result<Query<'a, Any, AnyArguments>, ShadowError> {
    let statement = if before.document.is_some() {
        "UPDATE shadows SET version = $1, document = $2, updated_at = $3 \
         WHERE thing = $4 AND name = $5 AND version = $6 AND document IS NOT NULL"
    } else {
        "UPDATE shadows SET version = $1, document = $2, updated_at = $3 \
         WHERE thing = $4 AND name = $5 AND version = $6 AND document IS NULL"
    };
    let query = sqlx::query(statement)
        .bind(i64::try_from(after.version)?)
        .bind(text_of(shadow, after)?)
        .bind(now)
        .bind(shadow.thing.as_str())
        .bind(name_of(shadow))
        .bind(i64::try_from(before.version)?);
    Ok(query)
}

/// Counts only if there is no such shadow yet, and if there is such a thing still.
fn insert<'a>(shadow: &'a ShadowId, after: &Shadow, now: i64) -> Result<Query<'a, Any, AnyArguments>, ShadowError> {
    let query = sqlx::query(
        "INSERT INTO shadows (thing, name, version, document, updated_at) \
         SELECT name, $2, $3, $4, $5 FROM things WHERE name = $1 ON CONFLICT (thing, name) DO NOTHING",
    )
    .bind(shadow.thing.as_str())
    .bind(name_of(shadow))
    .bind(i64::try_from(after.version)?)
    .bind(text_of(shadow, after)?)
    .bind(now);
    Ok(query)
}
