//! Ownership tokens: the proof that whoever registers is whoever asked for the certificate. The database holds only the
//! SHA-256 of one: 256 random bits need no slow hash.

use super::ProvisioningError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use debian_formats::checksums::sha256_hex;
use fleet_protocol::names::CertificateId;
use jiff::{SignedDuration, Timestamp};
use sqlx::{AnyConnection, AnyPool, Row as _};

/// As AWS IoT has it.
pub(super) const LIFETIME: SignedDuration = SignedDuration::from_hours(1);
/// A longer text is none, in bytes.
const LONGEST: usize = 512;

/// Makes a token for this certificate, that counts for the connection's certificate `claim`.
pub(super) async fn make(
    connection: &mut AnyConnection,
    certificate: &CertificateId,
    claim: &CertificateId,
    now: Timestamp,
) -> Result<String, ProvisioningError> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(ProvisioningError::Random)?;
    let token = URL_SAFE_NO_PAD.encode(bytes);
    let end = now.saturating_add(LIFETIME).unwrap_or(now);
    sqlx::query("INSERT INTO ownership_tokens (hash, certificate, expires_at, claim) VALUES ($1, $2, $3, $4)")
        .bind(sha256_hex(token.as_bytes()))
        .bind(certificate.to_string())
        .bind(end.as_second())
        .bind(claim.to_string())
        .execute(connection)
        .await?;
    Ok(token)
}

/// The certificate of a token that counts for this connection's certificate. Why one does not count is the log's to know.
pub(super) async fn look_up(
    database: &AnyPool,
    token: &str,
    claim: &CertificateId,
    now: Timestamp,
) -> Result<CertificateId, ProvisioningError> {
    if token.len() > LONGEST {
        return Err(ProvisioningError::Token);
    }
    // Looking up the digest tells a guesser nothing by its timing.
    let row = sqlx::query("SELECT certificate, claim, expires_at, used_at FROM ownership_tokens WHERE hash = $1")
        .bind(sha256_hex(token.as_bytes()))
        .fetch_optional(database)
        .await?;
    let Some(row) = row else {
        tracing::warn!(%claim, "an ownership token that was never given");
        return Err(ProvisioningError::Token);
    };
    let given_to: String = row.try_get(1)?;
    let (end, used_at): (i64, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
    let why = if given_to != claim.as_str() {
        "that was given to another connection"
    } else if used_at.is_some() {
        "that was used before"
    } else if end <= now.as_second() {
        "that is over"
    } else {
        return Ok(row.try_get::<String, _>(0)?.parse()?);
    };
    tracing::warn!(%claim, why, "refused an ownership token");
    Err(ProvisioningError::Token)
}

/// Uses a token up, and with it all others of its certificate: of two that are sent at the same time one counts.
pub(super) async fn use_up(
    database: &AnyPool,
    token: &str,
    certificate: &CertificateId,
    now: Timestamp,
) -> Result<(), ProvisioningError> {
    let mut transaction = database.begin().await?;
    let used = sqlx::query("UPDATE ownership_tokens SET used_at = $1 WHERE hash = $2 AND used_at IS NULL")
        .bind(now.as_second())
        .bind(sha256_hex(token.as_bytes()))
        .execute(&mut *transaction)
        .await?;
    if used.rows_affected() == 0 {
        return Err(ProvisioningError::Token);
    }
    sqlx::query("UPDATE ownership_tokens SET used_at = $1 WHERE certificate = $2 AND used_at IS NULL")
        .bind(now.as_second())
        .bind(certificate.to_string())
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}
