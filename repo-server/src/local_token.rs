//! Tokens made on the server itself, by whoever may write its data: the first one, and one in place of a lost one.

use crate::access::{AccessError, BadToken, TokenRequest, Tokens};
use crate::audit::{Actor, Audit};
use crate::config::Settings;
use crate::data_dir::{DataDir, DataDirState};
use crate::database::{self, DatabaseError, DatabasePlace};
use fleet_protocol::access::{CreatedToken, NewToken, Role};
use jiff::Timestamp;
use sqlx::AnyPool;
use std::io;
use std::path::PathBuf;

/// A token that was not made.
#[derive(Debug, thiserror::Error)]
pub enum LocalTokenError {
    /// The data folder cannot be read.
    #[error("could not look into {path}: {source}; run it as the user who runs the server")]
    Look {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No server's data is there.
    #[error("{0} holds no server's data; give the folder that `debfleet-server init` made")]
    NoData(PathBuf),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// There can be no such token.
    #[error("{0}")]
    Refused(String),
    /// It could not be written.
    #[error("{0}")]
    Failed(String),
}

impl From<BadToken> for LocalTokenError {
    fn from(error: BadToken) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<AccessError> for LocalTokenError {
    fn from(error: AccessError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Makes a token for all suites and without an end. The server may run meanwhile: only the database is opened, and that
/// takes a second writer.
pub async fn create_token(
    settings: &Settings,
    role: Role,
    name: String,
    now: Timestamp,
) -> Result<CreatedToken, LocalTokenError> {
    let data = &settings.data;
    let dir = DataDir::new(data);
    let state = dir.state().map_err(|source| LocalTokenError::Look { path: data.clone(), source })?;
    if state != DataDirState::Initialised {
        return Err(LocalTokenError::NoData(data.clone()));
    }
    let request = TokenRequest::check(NewToken { name, role, suites: None, expires_at: None }, now)?;
    let database = database::open(&DatabasePlace::new(&dir, &settings.backends)).await?;
    let tokens = Tokens::new(database.clone(), Audit::new(database.clone(), Timestamp::now));
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
