//! Bearer tokens. The database holds only the SHA-256 of one: 256 random bits need no slow hash.

use super::decision::{Grant, Scope};
use super::error::AccessError;
use crate::audit::{Actor, Audit, Entry};
use debian_formats::checksums::{hex, sha256_hex};
use debian_formats::names::SuiteName;
use fleet_protocol::access::{CreatedToken, NewToken, Role, TokenInfo, TokenPage};
use fleet_protocol::audit::Outcome;
use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row as _};
use std::collections::BTreeSet;

/// The longest name, in characters.
const LONGEST_NAME: usize = 64;
/// The most suites that a token may be limited to.
const MOST_SUITES: usize = 64;
/// A token's last use is noted no more often than this: each note is a write.
const USE_NOTED_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// A token that was asked for and cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadToken {
    #[error("a token's name has 1 to {LONGEST_NAME} characters, none of them a control character")]
    Name,
    #[error("the token would be expired already: expires-at is {0}")]
    Expired(Timestamp),
    #[error("a token of the role {0} counts for all suites; leave the suites away, or make a publisher or viewer")]
    SuitesOf(Role),
    #[error("a token may be limited to 1 to {MOST_SUITES} suites; leave the suites away for all of them")]
    SuiteCount,
    #[error("{0}")]
    Suite(#[from] debian_formats::names::NameError),
}

/// What is checked of a [`NewToken`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TokenRequest {
    name: String,
    grant: Grant,
    expires_at: Option<Timestamp>,
}

impl TokenRequest {
    pub(crate) fn check(new: NewToken, now: Timestamp) -> Result<Self, BadToken> {
        let NewToken { name, role, suites, expires_at } = new;
        if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) || name.trim().is_empty() {
            return Err(BadToken::Name);
        }
        let name = name.trim().to_owned();
        if let Some(expired) = expires_at.filter(|at| *at <= now) {
            return Err(BadToken::Expired(expired));
        }
        let scope = match suites {
            None => Scope::All,
            Some(_) if role >= Role::Operator => return Err(BadToken::SuitesOf(role)),
            Some(suites) if suites.is_empty() || suites.len() > MOST_SUITES => return Err(BadToken::SuiteCount),
            Some(suites) => {
                Scope::Only(suites.iter().map(|suite| suite.parse()).collect::<Result<BTreeSet<SuiteName>, _>>()?)
            }
        };
        Ok(Self { name, grant: Grant { role, scope }, expires_at })
    }

    /// The one that every server begins with.
    pub(crate) fn first_admin() -> Self {
        let grant = Grant { role: Role::Admin, scope: Scope::All };
        Self { name: "init".to_owned(), grant, expires_at: None }
    }

    /// The suites that it names.
    pub(crate) fn suites(&self) -> impl Iterator<Item = &SuiteName> {
        match &self.grant.scope {
            Scope::All => None,
            Scope::Only(suites) => Some(suites),
        }
        .into_iter()
        .flatten()
    }
}

/// A token as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) grant: Grant,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

/// Why a secret does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejected {
    #[error(
        "this server does not know the token; ask an admin for one (`debfleet token create`); on the server itself \
         `debfleet-server token create` makes one"
    )]
    Unknown,
    #[error("this takes an API token, and {0} was sent; `debfleet token create` makes API tokens")]
    OtherKind(&'static str),
    #[error("the token {name:?} ({id}) expired at {at}; ask an admin for a new one (`debfleet token create`)")]
    Expired { id: String, name: String, at: Timestamp },
    #[error("the token {name:?} ({id}) was revoked at {at}; ask an admin for a new one (`debfleet token create`)")]
    Revoked { id: String, name: String, at: Timestamp },
}

impl Token {
    /// Whether it counts at this time.
    fn standing(&self, now: Timestamp) -> Result<(), Rejected> {
        let (id, name) = (self.id.clone(), self.name.clone());
        match (self.revoked_at, self.expires_at) {
            (Some(at), _) => Err(Rejected::Revoked { id, name, at }),
            (None, Some(at)) if at <= now => Err(Rejected::Expired { id, name, at }),
            _ => Ok(()),
        }
    }

    fn into_info(self) -> TokenInfo {
        let suites = match self.grant.scope {
            Scope::All => None,
            Scope::Only(suites) => Some(suites.into_iter().map(String::from).collect()),
        };
        TokenInfo {
            id: self.id,
            name: self.name,
            role: self.grant.role,
            suites,
            created_at: self.created_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
            last_used_at: self.last_used_at,
        }
    }
}

/// The tokens of this server.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    database: AnyPool,
    audit: Audit,
}

impl Tokens {
    pub(crate) fn new(database: AnyPool, audit: Audit) -> Self {
        Self { database, audit }
    }

    /// Makes a token. Nobody can read its secret again later.
    pub(crate) async fn create(
        &self,
        request: TokenRequest,
        actor: Actor,
        now: Timestamp,
    ) -> Result<CreatedToken, AccessError> {
        let TokenRequest { name, grant, expires_at } = request;
        let (id, secret) = (random_hex::<8>()?, format!("dft_{}", random_hex::<32>()?));
        let created_at = Timestamp::from_second(now.as_second())?;
        let (role, end) = (grant.role, expires_at.map_or("never".to_owned(), |at| at.to_string()));
        let entry = Entry {
            actor,
            action: "token.create",
            subject: id.clone(),
            detail: format!("{name}: {role} for {}, expires: {end}", grant.scope),
            outcome: Outcome::Done,
        };
        let statement = sqlx::query(
            "INSERT INTO tokens (id, secret_sha256, role, created_at, name, suites, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id.clone())
        .bind(sha256_hex(secret.as_bytes()))
        .bind(role.as_str())
        .bind(created_at.as_second())
        .bind(name.clone())
        .bind(text_of(&grant.scope))
        .bind(expires_at.map(Timestamp::as_second));
        self.audit.change(statement, &entry).await?;
        let expires_at = expires_at.map(|at| Timestamp::from_second(at.as_second())).transpose()?;
        let token = Token { id, name, grant, created_at, expires_at, revoked_at: None, last_used_at: None };
        Ok(CreatedToken { token: token.into_info(), secret })
    }

    /// The token of a secret, if it counts now.
    pub(crate) async fn of_secret(
        &self,
        secret_sha256: &str,
        now: Timestamp,
    ) -> Result<Result<Token, Rejected>, AccessError> {
        // Looking up the digest tells a guesser nothing by its timing.
        let row = sqlx::query(
            "SELECT id, name, role, suites, created_at, expires_at, revoked_at, last_used_at \
             FROM tokens WHERE secret_sha256 = $1",
        )
        .bind(secret_sha256)
        .fetch_optional(&self.database)
        .await?;
        let Some(token) = row.as_ref().map(token_of_row).transpose()? else { return Ok(Err(Rejected::Unknown)) };
        if let Err(rejected) = token.standing(now) {
            return Ok(Err(rejected));
        }
        if token.last_used_at.is_none_or(|last| now.duration_since(last) > USE_NOTED_EVERY) {
            self.note_use(&token, now).await;
        }
        Ok(Ok(token))
    }

    /// Whoever has a good token is served also when the disk is full.
    async fn note_use(&self, token: &Token, now: Timestamp) {
        let noted = sqlx::query("UPDATE tokens SET last_used_at = $1 WHERE id = $2")
            .bind(now.as_second())
            .bind(&token.id)
            .execute(&self.database)
            .await;
        if let Err(error) = noted {
            tracing::warn!(%error, token = token.id, "could not note that a token was used");
        }
    }

    /// The tokens whose ids come behind `after`, revoked and expired ones too.
    pub(crate) async fn page(&self, limit: u16, after: &str) -> Result<TokenPage, AccessError> {
        let rows = sqlx::query(
            "SELECT id, name, role, suites, created_at, expires_at, revoked_at, last_used_at \
             FROM tokens WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(after)
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.database)
        .await?;
        let more = rows.len() > usize::from(limit);
        let tokens = rows.iter().take(usize::from(limit)).map(|row| Ok(token_of_row(row)?.into_info()));
        let tokens = tokens.collect::<Result<Vec<_>, AccessError>>()?;
        let next = tokens.last().filter(|_| more).map(|token| token.id.clone());
        Ok(TokenPage { tokens, next })
    }

    /// Revokes a token and gives it, or nothing where there is none of this id. To do it again changes nothing.
    pub(crate) async fn revoke(
        &self,
        id: &str,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Option<TokenInfo>, AccessError> {
        let Some(token) = self.of_id(id).await? else { return Ok(None) };
        let entry = Entry {
            actor,
            action: "token.revoke",
            subject: token.id,
            detail: format!("{}: {} for {}", token.name, token.grant.role, token.grant.scope),
            outcome: Outcome::Done,
        };
        let statement = sqlx::query("UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL")
            .bind(now.as_second())
            .bind(id.to_owned());
        if self.audit.change(statement, &entry).await? {
            tracing::info!(id, name = token.name, by = entry.actor.name, "revoked a token");
        }
        Ok(self.of_id(id).await?.map(Token::into_info))
    }

    async fn of_id(&self, id: &str) -> Result<Option<Token>, AccessError> {
        let row = sqlx::query(
            "SELECT id, name, role, suites, created_at, expires_at, revoked_at, last_used_at FROM tokens WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&self.database)
        .await?;
        row.as_ref().map(token_of_row).transpose()
    }
}

fn text_of(scope: &Scope) -> Option<String> {
    match scope {
        Scope::All => None,
        Scope::Only(suites) => Some(suites.iter().map(SuiteName::as_str).collect::<Vec<_>>().join(" ")),
    }
}

fn scope_of(text: Option<&str>) -> Result<Scope, AccessError> {
    let Some(text) = text else { return Ok(Scope::All) };
    Ok(Scope::Only(text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?))
}

fn token_of_row(row: &AnyRow) -> Result<Token, AccessError> {
    let time = |column: usize| -> Result<Option<Timestamp>, AccessError> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_second).transpose()?)
    };
    Ok(Token {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        grant: Grant {
            role: row.try_get::<String, _>(2)?.parse()?,
            scope: scope_of(row.try_get::<Option<String>, _>(3)?.as_deref())?,
        },
        created_at: Timestamp::from_second(row.try_get(4)?)?,
        expires_at: time(5)?,
        revoked_at: time(6)?,
        last_used_at: time(7)?,
    })
}

fn random_hex<const BYTES: usize>() -> Result<String, AccessError> {
    let mut bytes = [0u8; BYTES];
    getrandom::fill(&mut bytes).map_err(AccessError::Random)?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn new(name: &str, role: Role, suites: Option<&[&str]>) -> NewToken {
        let suites = suites.map(|suites| suites.iter().map(|suite| (*suite).to_owned()).collect());
        NewToken { name: name.to_owned(), role, suites, expires_at: None }
    }

    #[test]
    fn a_token_counts_until_it_expires_or_is_revoked() {
        let grant = Grant { role: Role::Viewer, scope: Scope::All };
        let token = Token {
            id: "ab".into(),
            name: "ci".into(),
            grant,
            created_at: time(0),
            expires_at: Some(time(10)),
            revoked_at: None,
            last_used_at: None,
        };
        assert_eq!(token.standing(time(9)), Ok(()));
        assert!(token.standing(time(10)).unwrap_err().to_string().contains("expired at 2027-"));
        let revoked = Token { revoked_at: Some(time(5)), ..token };
        for now in [0, 9, 11] {
            assert!(matches!(revoked.standing(time(now)), Err(Rejected::Revoked { .. })), "{now}");
        }
    }

    #[test]
    fn what_no_token_can_be_is_refused() {
        let check = |token| TokenRequest::check(token, time(0)).map(|_| ()).map_err(|error| error.to_string());
        assert_eq!(check(new("ci", Role::Publisher, Some(&["stable", "beta"]))), Ok(()));
        assert_eq!(check(new(&"\u{e9}".repeat(64), Role::Admin, None)), Ok(()));
        let ended = NewToken { expires_at: Some(time(0)), ..new("ci", Role::Viewer, None) };
        let many: Vec<String> = (0..65).map(|n| format!("s{n}")).collect();
        let cases = [
            (new(" ", Role::Viewer, None), "1 to 64"),
            (new("a\nb", Role::Viewer, None), "control"),
            (new(&"x".repeat(65), Role::Viewer, None), "1 to 64"),
            (new("ci", Role::Admin, Some(&["stable"])), "all suites"),
            (new("ci", Role::Operator, Some(&["stable"])), "all suites"),
            (new("ci", Role::Publisher, Some(&[])), "leave the suites away"),
            (NewToken { suites: Some(many), ..new("ci", Role::Viewer, None) }, "1 to 64 suites"),
            (new("ci", Role::Publisher, Some(&["../x"])), "suite"),
            (ended, "expired already"),
        ];
        for (token, word) in cases {
            let error = check(token).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_scope_survives_the_database() {
        for scope in [Scope::All, Scope::Only(["a", "b-c"].iter().map(|s| s.parse().unwrap()).collect())] {
            assert_eq!(scope_of(text_of(&scope).as_deref()).unwrap(), scope);
        }
        assert_eq!(scope_of(Some("")).unwrap(), Scope::Only(BTreeSet::new()), "an empty limit is no licence");
    }
}
