//! What is done on the server's own data, by whoever may write it. The server may run meanwhile: the database takes a
//! second writer, and other files are exchanged whole.

mod certificate;
mod claim;
mod repository_key;
mod token;

pub use certificate::{RevokedCertificate, revoke_certificate, revoked_certificates};
pub use claim::{LocalClaim, create_claim};
pub use repository_key::{KeyUse, ListedKey, list_keys, retire_key, rotate_key};
pub use token::create_token;
pub(crate) use token::first_token;

use crate::access::{AccessError, BadToken};
use crate::audit::Audit;
use crate::certificates::CertificatesError;
use crate::config::Settings;
use crate::data_dir::{DataDir, DataDirState};
use crate::database::{self, DatabaseError, DatabasePlace};
use debian_formats::openpgp::{Fingerprint, OpenPgpError};
use durable_files::DurableError;
use jiff::Timestamp;
use sqlx::AnyPool;
use std::io;
use std::path::PathBuf;

/// Something that was not done.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
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
    /// There can be no such token or certificate.
    #[error("{0}")]
    Refused(String),
    /// The database failed.
    #[error("{0}")]
    Failed(String),
    /// A file could not be read.
    #[error("could not read {path}: {source}; run it as the user who runs the server")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key file is damaged.
    #[error("{path}: {source}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: OpenPgpError,
    },
    /// A file could not be written, or somebody else is doing so.
    #[error(transparent)]
    Write(#[from] DurableError),
    /// A rotation is under way.
    #[error(
        "{} sign already; a rotation is under way. End it with `debfleet-server key retire`, when every device has the new \
         key",
        join(.0)
    )]
    Rotating(Vec<Fingerprint>),
    /// A key that does not sign.
    #[error("no key {asked} signs; those that do: {}", join(.keys))]
    UnknownKey {
        /// As typed.
        asked: String,
        /// Those that sign.
        keys: Vec<Fingerprint>,
    },
    /// Without it there is no signature.
    #[error("{0} is the only key that signs, so it stays; `debfleet-server key rotate` makes another one first")]
    LastKey(Fingerprint),
}

fn join(keys: &[Fingerprint]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

impl From<BadToken> for LocalError {
    fn from(error: BadToken) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<CertificatesError> for LocalError {
    fn from(error: CertificatesError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<AccessError> for LocalError {
    fn from(error: AccessError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The data folder, if it is one.
fn data_dir(settings: &Settings) -> Result<DataDir, LocalError> {
    let dir = DataDir::new(&settings.data);
    let state = dir.state().map_err(|source| LocalError::Look { path: settings.data.clone(), source })?;
    if state == DataDirState::Initialised { Ok(dir) } else { Err(LocalError::NoData(settings.data.clone())) }
}

/// Its tables, and the log of what is done.
async fn tables(dir: &DataDir, settings: &Settings) -> Result<(AnyPool, Audit), LocalError> {
    let database = database::open(&DatabasePlace::new(dir, &settings.backends)).await?;
    Ok((database.clone(), Audit::new(database, Timestamp::now)))
}
