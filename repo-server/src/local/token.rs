//! Tokens made on the server itself: the first one, and one in place of a lost one.

use super::{LocalError, data_dir, tables};
use crate::access::{AccessError, TokenRequest, Tokens};
use crate::audit::{Actor, Audit};
use crate::config::Settings;
use fleet_protocol::access::{CreatedToken, NewToken, Role};
use jiff::Timestamp;
use sqlx::AnyPool;

/// Makes a token for all suites and without an end.
pub async fn create_token(
    settings: &Settings,
    role: Role,
    name: String,
    now: Timestamp,
) -> Result<CreatedToken, LocalError> {
    let dir = data_dir(settings)?;
    let request = TokenRequest::check(NewToken { name, role, suites: None, expires_at: None }, now)?;
    let (database, audit) = tables(&dir, settings).await?;
    let tokens = Tokens::new(database.clone(), audit);
    let created = tokens.create(request, Actor::local("debfleet-server token create"), now).await?;
    database.close().await;
    Ok(created)
}

/// The secret of a new server's admin.
pub(crate) async fn first_token(
    database: AnyPool,
    audit: Audit,
    actor: Actor,
    now: Timestamp,
) -> Result<String, AccessError> {
    let request = TokenRequest::first_admin();
    Ok(Tokens::new(database, audit).create(request, actor, now).await?.secret)
}
