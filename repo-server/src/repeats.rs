//! Answers that are kept for a day, so that a request that comes again with the same key is not carried out again.

use crate::database;
use jiff::{SignedDuration, Timestamp};
use sqlx::{AnyPool, Row as _};

/// How long an answer is kept.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Of each token.
const MOST_ANSWERS: i64 = 1000;
/// A longer answer is not kept, in bytes.
pub(crate) const LONGEST_ANSWER: u64 = 64 << 10;

/// A request with a key, of the holder of a token.
#[derive(Debug, Clone)]
pub(crate) struct Keyed {
    pub(crate) token: String,
    pub(crate) key: String,
    /// SHA-256 of what it asks for, its body apart.
    pub(crate) request: String,
}

/// A request's body, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyPrint {
    pub(crate) sha256: String,
    pub(crate) length: u64,
}

/// What became of a request.
#[derive(Debug, Clone)]
pub(crate) struct KeptAnswer {
    pub(crate) body: BodyPrint,
    pub(crate) status: u16,
    pub(crate) answer: String,
}

/// What is known of a key.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Nothing; now it is known that the request is carried out.
    New,
    /// Its request is being carried out.
    Running,
    /// It came with another request.
    Other,
    /// Its request was carried out; whether this is the same one, its body tells.
    Done(KeptAnswer),
}

/// The answers of this server.
#[derive(Debug)]
pub(crate) struct Repeats {
    database: AnyPool,
    /// This process, among those on the database.
    owner: String,
    clock: fn() -> Timestamp,
}

impl Repeats {
    /// Forgets what this process was carrying out when it was killed: it may come again.
    pub(crate) async fn open(database: AnyPool, owner: String, clock: fn() -> Timestamp) -> Result<Self, sqlx::Error> {
        let cut_off = if database::is_shared(&database) {
            sqlx::query("DELETE FROM kept_answers WHERE status = 0 AND owner = $1").bind(owner.clone())
        } else {
            sqlx::query("DELETE FROM kept_answers WHERE status = 0")
        };
        cut_off.execute(&database).await?;
        Ok(Self { database, owner, clock })
    }

    /// Notes that a request is carried out, unless its key is known.
    pub(crate) async fn begin(&self, keyed: &Keyed) -> Result<Begun, sqlx::Error> {
        let Keyed { token, key, request } = keyed;
        let now = (self.clock)();
        let oldest = now.saturating_sub(KEPT_FOR).unwrap_or(now);
        sqlx::query("DELETE FROM kept_answers WHERE begun_at <= $1")
            .bind(oldest.as_second())
            .execute(&self.database)
            .await?;
        let noted = sqlx::query(
            "INSERT INTO kept_answers (token, idempotency_key, owner, begun_at, request) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (token, idempotency_key) DO NOTHING",
        )
        .bind(token)
        .bind(key)
        .bind(&self.owner)
        .bind(now.as_second())
        .bind(request)
        .execute(&self.database)
        .await?;
        if noted.rows_affected() == 1 {
            self.make_room(token).await?;
            return Ok(Begun::New);
        }
        let row = sqlx::query(
            "SELECT request, body_sha256, body_length, status, answer FROM kept_answers \
             WHERE token = $1 AND idempotency_key = $2",
        )
        .bind(token)
        .bind(key)
        .fetch_optional(&self.database)
        .await?;
        // One that ended without an answer to keep, just now, may come again as one that has not ended yet.
        let Some(row) = row else { return Ok(Begun::Running) };
        let status = u16::try_from(row.try_get::<i64, _>(3)?).unwrap_or_default();
        if status == 0 {
            return Ok(Begun::Running);
        }
        if row.try_get::<String, _>(0)? != *request {
            return Ok(Begun::Other);
        }
        let length = u64::try_from(row.try_get::<i64, _>(2)?).unwrap_or_default();
        let body = BodyPrint { sha256: row.try_get(1)?, length };
        Ok(Begun::Done(KeptAnswer { body, status, answer: row.try_get(4)? }))
    }

    /// The oldest answers of a token go when there are too many.
    async fn make_room(&self, token: &str) -> Result<(), sqlx::Error> {
        sqlx::query(
            "DELETE FROM kept_answers WHERE token = $1 AND status <> 0 AND begun_at < \
             (SELECT begun_at FROM kept_answers WHERE token = $2 ORDER BY begun_at DESC LIMIT 1 OFFSET $3)",
        )
        .bind(token)
        .bind(token)
        .bind(MOST_ANSWERS - 1)
        .execute(&self.database)
        .await?;
        Ok(())
    }

    /// Keeps the answer to a request that was begun.
    pub(crate) async fn keep(&self, keyed: &Keyed, kept: &KeptAnswer) -> Result<(), sqlx::Error> {
        sqlx::query(
            "UPDATE kept_answers SET body_sha256 = $1, body_length = $2, status = $3, answer = $4 \
             WHERE token = $5 AND idempotency_key = $6",
        )
        .bind(&kept.body.sha256)
        .bind(i64::try_from(kept.body.length).unwrap_or(i64::MAX))
        .bind(i64::from(kept.status))
        .bind(&kept.answer)
        .bind(&keyed.token)
        .bind(&keyed.key)
        .execute(&self.database)
        .await?;
        Ok(())
    }

    /// Forgets a request that was begun and changed nothing, or has no answer that can be kept.
    pub(crate) async fn forget(&self, keyed: &Keyed) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM kept_answers WHERE token = $1 AND idempotency_key = $2 AND status = 0")
            .bind(&keyed.token)
            .bind(&keyed.key)
            .execute(&self.database)
            .await?;
        Ok(())
    }
}
