//! Bearer tokens. The database holds only the SHA-256 of one: 256 random bits need no slow hash.

use super::{Role, UnknownRole};
use debian_formats::checksums::{hex, sha256_hex};
use jiff::Timestamp;
use sqlx::{AnyPool, Row as _};

/// A token that could not be made or looked up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    #[error("no random numbers for a token: {0}")]
    Random(getrandom::Error),
    #[error("tokens in the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("tokens in the database: {0}")]
    Role(#[from] UnknownRole),
}

/// The tokens of this server.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    database: AnyPool,
}

impl Tokens {
    pub(crate) fn new(database: AnyPool) -> Self {
        Self { database }
    }

    /// Makes a token and gives its secret, which nobody can read again later.
    pub(crate) async fn create(&self, role: Role, now: Timestamp) -> Result<String, AccessError> {
        let (id, secret) = (random_hex::<8>()?, format!("dft_{}", random_hex::<32>()?));
        sqlx::query("INSERT INTO tokens (id, secret_sha256, role, created_at) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(sha256_hex(secret.as_bytes()))
            .bind(role.to_string())
            .bind(now.as_second())
            .execute(&self.database)
            .await?;
        Ok(secret)
    }

    /// The role that a secret gives, if it is one of ours. Looking up the digest tells a guesser nothing by its
    /// timing.
    pub(crate) async fn role_of(&self, secret: &str) -> Result<Option<Role>, AccessError> {
        let row = sqlx::query("SELECT role FROM tokens WHERE secret_sha256 = $1")
            .bind(sha256_hex(secret.as_bytes()))
            .fetch_optional(&self.database)
            .await?;
        row.map(|row| Ok(row.try_get::<String, _>(0)?.parse()?)).transpose()
    }
}

fn random_hex<const BYTES: usize>() -> Result<String, AccessError> {
    let mut bytes = [0u8; BYTES];
    getrandom::fill(&mut bytes).map_err(AccessError::Random)?;
    Ok(hex(&bytes))
}
