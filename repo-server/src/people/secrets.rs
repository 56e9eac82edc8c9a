//! What proves that somebody signed in: sessions, and tokens for MQTT. The database holds only the SHA-256 of one: 256
//! random bits need no slow hash, and nobody guesses them.

use super::error::{PeopleError, SignInError};
use super::seen_things::need_user;
use super::users::{end_all, find};
use super::{GENERATION, People};
use crate::audit::{self, Actor};
use crate::database;
use debian_formats::checksums::{hex, sha256_hex};
use fleet_protocol::names::UserName;
use fleet_protocol::people::{CreatedSession, MQTT_TOKEN_PREFIX, MQTT_TOKEN_SECONDS, SESSION_PREFIX, User};
use jiff::{SignedDuration, Timestamp};
use sqlx::{AnyConnection, Connection as _, Row as _};
use std::collections::HashSet;
use std::net::IpAddr;

/// How long a session lasts.
const SESSION_TIME: SignedDuration = SignedDuration::from_hours(12);
/// Of each kind, that a user may have at a time: the oldest leaves.
const MOST_SECRETS: i64 = 100;

/// Somebody who showed a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedIn {
    /// The session's id.
    pub(crate) session: String,
    pub(crate) user: User,
    pub(crate) expires_at: Timestamp,
}

/// Somebody who showed a token for MQTT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) user: UserName,
    /// The token's id.
    pub(crate) token: String,
    pub(crate) expires_at: Timestamp,
}

/// A new secret, and what it is called.
pub(crate) struct NewSecret {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) expires_at: Timestamp,
}

/// What kind of secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Session,
    Mqtt,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Mqtt => "mqtt",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Session => SESSION_PREFIX,
            Self::Mqtt => MQTT_TOKEN_PREFIX,
        }
    }
}

impl People {
    /// A session for somebody who has shown their password.
    pub(super) async fn begin_session(&self, user: User, address: IpAddr) -> Result<CreatedSession, PeopleError> {
        let now = (self.clock)();
        let made = NewSecret::new(Kind::Session, now + SESSION_TIME)?;
        let actor = Actor {
            name: user.user_name.to_string(),
            token: Some(made.id.clone()),
            remote_address: address.to_string(),
        };
        let mut connection = self.database.acquire().await?;
        let outcome = begin_session(&mut connection, &user, &made, &actor, now).await;
        self.generation.announce(database::settle(connection, outcome).await?);
        tracing::info!(user = %user.user_name, %address, "somebody signed in");
        Ok(CreatedSession { token: made.secret, expires_at: made.expires_at, user })
    }

    /// Who shows this session.
    pub(crate) async fn session(&self, secret: &str) -> Result<SignedIn, SignInError> {
        if !secret.starts_with(SESSION_PREFIX) {
            let what = if secret.starts_with(MQTT_TOKEN_PREFIX) { "a token for MQTT" } else { "something else" };
            return Err(SignInError::OtherSecret(what));
        }
        let found = self.holder(Kind::Session, secret).await?.ok_or(SignInError::Ended)?;
        Ok(SignedIn { session: found.id, user: found.user, expires_at: found.expires_at })
    }

    /// Ends a session, with the tokens that were made in it.
    pub(crate) async fn sign_out(&self, signed_in: &SignedIn, actor: &Actor) -> Result<(), PeopleError> {
        let mut connection = self.database.acquire().await?;
        let outcome = sign_out(&mut connection, signed_in, actor, (self.clock)()).await;
        self.generation.announce(database::settle(connection, outcome).await?);
        Ok(())
    }

    /// Ends all that a user is signed in with, and says how much that was.
    pub(crate) async fn end_sessions(&self, user: &UserName, actor: &Actor) -> Result<u64, PeopleError> {
        let mut connection = self.database.acquire().await?;
        let outcome = end_sessions(&mut connection, user, actor, (self.clock)()).await;
        self.generation.settle(connection, outcome).await
    }

    /// A token for MQTT of a user who is signed in. It ends with the session.
    pub(crate) async fn token_in_session(
        &self,
        signed_in: &SignedIn,
        seconds: Option<u32>,
    ) -> Result<NewSecret, PeopleError> {
        let now = (self.clock)();
        let end = end_of_token(seconds, now)?.min(signed_in.expires_at);
        let made = NewSecret::new(Kind::Mqtt, end)?;
        let mut connection = self.database.acquire().await?;
        let outcome = token_in_session(&mut connection, signed_in, &made, now).await;
        self.generation.announce(database::settle(connection, outcome).await?);
        Ok(made)
    }

    /// A token for MQTT that somebody else makes for a user.
    pub(crate) async fn token_for(
        &self,
        user: &UserName,
        seconds: Option<u32>,
        by: &Actor,
    ) -> Result<NewSecret, PeopleError> {
        let now = (self.clock)();
        let made = NewSecret::new(Kind::Mqtt, end_of_token(seconds, now)?)?;
        let mut connection = self.database.acquire().await?;
        let outcome = token_for(&mut connection, user, &made, by, now).await;
        self.generation.announce(database::settle(connection, outcome).await?);
        Ok(made)
    }

    /// Who shows this token for MQTT.
    pub(crate) async fn person(&self, secret: &str) -> Result<Person, SignInError> {
        if !secret.starts_with(MQTT_TOKEN_PREFIX) {
            return Err(SignInError::NoMqttToken);
        }
        let found = self.holder(Kind::Mqtt, secret).await?.ok_or(SignInError::NoMqttToken)?;
        Ok(Person { user: found.user.user_name, token: found.id, expires_at: found.expires_at })
    }

    /// The ids of all tokens for MQTT that were not ended.
    pub(crate) async fn standing_tokens(&self) -> Result<HashSet<String>, PeopleError> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT s.id FROM user_secrets s JOIN users u ON u.name = s.user_name \
             WHERE s.kind = 'mqtt' AND u.enabled = 1",
        )
        .fetch_all(&self.database)
        .await?;
        Ok(ids.into_iter().collect())
    }

    async fn holder(&self, kind: Kind, secret: &str) -> Result<Option<Holder>, PeopleError> {
        let row =
            sqlx::query("SELECT id, user_name, expires_at FROM user_secrets WHERE secret_sha256 = $1 AND kind = $2")
                .bind(sha256_hex(secret.as_bytes()))
                .bind(kind.as_str())
                .fetch_optional(&self.database)
                .await?;
        let Some(row) = row else { return Ok(None) };
        let (id, name) = (row.try_get(0)?, row.try_get::<String, _>(1)?.parse()?);
        let expires_at = Timestamp::from_millisecond(row.try_get(2)?)?;
        let user = find(&mut *self.database.acquire().await?, &name).await?;
        let user = user.filter(|user| user.enabled && expires_at > (self.clock)());
        Ok(user.map(|user| Holder { id, user, expires_at }))
    }

    /// Removes what has ended.
    pub(super) async fn sweep(&self) -> Result<(), PeopleError> {
        sqlx::query("DELETE FROM user_secrets WHERE expires_at <= $1")
            .bind((self.clock)().as_millisecond())
            .execute(&self.database)
            .await?;
        Ok(())
    }
}

struct Holder {
    id: String,
    user: User,
    expires_at: Timestamp,
}

impl NewSecret {
    fn new(kind: Kind, end: Timestamp) -> Result<Self, PeopleError> {
        // As it is stored.
        let expires_at = Timestamp::from_millisecond(end.as_millisecond())?;
        Ok(Self { id: random_hex::<8>()?, secret: format!("{}{}", kind.prefix(), random_hex::<32>()?), expires_at })
    }
}

fn end_of_token(seconds: Option<u32>, now: Timestamp) -> Result<Timestamp, PeopleError> {
    let seconds = seconds.unwrap_or(MQTT_TOKEN_SECONDS);
    if !(1..=MQTT_TOKEN_SECONDS).contains(&seconds) {
        return Err(PeopleError::Impossible(format!(
            "a token for MQTT lasts 1 to {MQTT_TOKEN_SECONDS} seconds, and not {seconds}"
        )));
    }
    Ok(now + SignedDuration::from_secs(seconds.into()))
}

async fn begin_session(
    connection: &mut AnyConnection,
    user: &User,
    made: &NewSecret,
    actor: &Actor,
    now: Timestamp,
) -> Result<Option<i64>, PeopleError> {
    let mut transaction = connection.begin().await?;
    take_turn(&mut transaction).await?;
    let generation = insert(&mut transaction, Kind::Session, &user.user_name, None, made, now).await?;
    audit::note(&mut transaction, actor, "session.begin", &user.user_name, String::new(), now).await?;
    transaction.commit().await?;
    Ok(generation)
}

async fn sign_out(
    connection: &mut AnyConnection,
    signed_in: &SignedIn,
    actor: &Actor,
    now: Timestamp,
) -> Result<i64, PeopleError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    sqlx::query("DELETE FROM user_secrets WHERE id = $1").bind(&signed_in.session).execute(&mut *transaction).await?;
    audit::note(&mut transaction, actor, "session.end", &signed_in.user.user_name, String::new(), now).await?;
    transaction.commit().await?;
    Ok(generation)
}

async fn end_sessions(
    connection: &mut AnyConnection,
    user: &UserName,
    actor: &Actor,
    now: Timestamp,
) -> Result<(u64, i64), PeopleError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    need_user(&mut transaction, user).await?;
    let ended = end_all(&mut transaction, user).await?;
    if ended > 0 {
        audit::note(&mut transaction, actor, "user.end-sessions", user, format!("{ended} sessions and tokens"), now)
            .await?;
    }
    transaction.commit().await?;
    Ok((ended, generation))
}

async fn token_in_session(
    connection: &mut AnyConnection,
    signed_in: &SignedIn,
    made: &NewSecret,
    now: Timestamp,
) -> Result<Option<i64>, PeopleError> {
    let mut transaction = connection.begin().await?;
    take_turn(&mut transaction).await?;
    let (user, session) = (&signed_in.user.user_name, Some(&*signed_in.session));
    let goes_on = sqlx::query("SELECT 1 FROM user_secrets WHERE id = $1").bind(session);
    if goes_on.fetch_optional(&mut *transaction).await?.is_none() {
        return Err(PeopleError::InTheWay("the session has just ended; sign in again".to_owned()));
    }
    let generation = insert(&mut transaction, Kind::Mqtt, user, session, made, now).await?;
    transaction.commit().await?;
    Ok(generation)
}

async fn token_for(
    connection: &mut AnyConnection,
    user: &UserName,
    made: &NewSecret,
    by: &Actor,
    now: Timestamp,
) -> Result<Option<i64>, PeopleError> {
    let mut transaction = connection.begin().await?;
    take_turn(&mut transaction).await?;
    let found = find(&mut transaction, user).await?.ok_or_else(|| PeopleError::NoUser(user.clone()))?;
    if !found.enabled {
        return Err(PeopleError::InTheWay(format!(
            "the user {user} is disabled; `debfleet user update {user} --enable` allows them to sign in again"
        )));
    }
    let generation = insert(&mut transaction, Kind::Mqtt, user, None, made, now).await?;
    audit::note(&mut transaction, by, "user.token", user, format!("{} until {}", made.id, made.expires_at), now)
        .await?;
    transaction.commit().await?;
    Ok(generation)
}

/// Waits for other changes to end.
async fn take_turn(transaction: &mut AnyConnection) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE people_generation SET value = value").execute(transaction).await?;
    Ok(())
}

/// Gives a generation if another secret had to leave.
async fn insert(
    transaction: &mut AnyConnection,
    kind: Kind,
    user: &UserName,
    session: Option<&str>,
    made: &NewSecret,
    now: Timestamp,
) -> Result<Option<i64>, PeopleError> {
    sqlx::query("DELETE FROM user_secrets WHERE user_name = $1 AND kind = $2 AND expires_at <= $3")
        .bind(user.as_str())
        .bind(kind.as_str())
        .bind(now.as_millisecond())
        .execute(&mut *transaction)
        .await?;
    // With the newest that stay, there are as many as may be.
    let left = sqlx::query(
        "DELETE FROM user_secrets WHERE user_name = $1 AND kind = $2 AND id NOT IN ( \
             SELECT id FROM user_secrets WHERE user_name = $3 AND kind = $4 ORDER BY created_at DESC, id LIMIT $5)",
    )
    .bind(user.as_str())
    .bind(kind.as_str())
    .bind(user.as_str())
    .bind(kind.as_str())
    .bind(MOST_SECRETS - 1)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "INSERT INTO user_secrets (id, secret_sha256, kind, user_name, session, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&made.id)
    .bind(sha256_hex(made.secret.as_bytes()))
    .bind(kind.as_str())
    .bind(user.as_str())
    .bind(session)
    .bind(now.as_millisecond())
    .bind(made.expires_at.as_millisecond())
    .execute(&mut *transaction)
    .await?;
    Ok(if left.rows_affected() > 0 { Some(GENERATION.raise(transaction).await?) } else { None })
}

fn random_hex<const BYTES: usize>() -> Result<String, PeopleError> {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes).map_err(PeopleError::Random)?;
    Ok(hex(&bytes))
}
