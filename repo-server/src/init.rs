//! `debfleet-server init`: makes a data folder.
//!
//! A mark stands in the folder from the first step to the last, so an init that was cut off is never taken for a
//! finished one; it can simply be run again.

use crate::access::AccessError;
use crate::audit::{Actor, Audit, Entry};
use crate::config::{Backends, Settings};
use crate::data_dir::{DataDir, DataDirState};
use crate::database::{self, DatabaseError, DatabasePlace};
pub use crate::fleet_ca::{AuthoritySource, KeySource};
use crate::fleet_ca::{CertificateError, FleetCa};
use crate::local::first_token;
use crate::repository::{OpenError, PublishError, Repository};
use crate::storage::{Storage, StorageError};
use crate::things::{Registry, RegistryError};
use debian_formats::names::NameError;
use debian_formats::openpgp::{Fingerprint, Keyring, OpenPgpError, SigningKey};
use durable_files::{DurableError, Lock};
use fleet_protocol::audit::Outcome;
use jiff::Timestamp;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The suite that every server begins with.
pub const FIRST_SUITE: &str = "stable";

/// What was made, to be told to whoever typed the command.
#[derive(Debug)]
pub struct Initialised {
    /// The secret of the first token; it is stored nowhere.
    pub admin_token: String,
    /// Of the repository key.
    pub repository_key: Fingerprint,
    /// The public half of the repository key, a binary keyring.
    pub repository_keyring: PathBuf,
    /// The certificate of the fleet CA.
    pub fleet_ca_certificate: PathBuf,
    /// The keys whose packages are taken in.
    pub package_keys: Vec<Fingerprint>,
}

/// An init that did not come to its end. The folder is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is a server's data already.
    #[error("{0} is already initialised; nothing was changed. Serve it with `debfleet-server --data {0}`")]
    Already(PathBuf),
    /// There are somebody else's files.
    #[error("{0} is not empty; give a new or an empty folder")]
    NotEmpty(PathBuf),
    /// A package key cannot be read.
    #[error("could not read the package key {path}: {source}")]
    ReadKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that holds no package key.
    #[error("package key {path}: {source}")]
    PackageKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: OpenPgpError,
    },
    /// The data folder cannot be read.
    #[error("could not look into {path}: {source}")]
    Look {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The repository key could not be made.
    #[error("repository key: {0}")]
    RepositoryKey(OpenPgpError),
    /// A file could not be written, or the folder is in use.
    #[error(transparent)]
    Write(#[from] DurableError),
    /// The fleet CA could not be made.
    #[error(transparent)]
    FleetCa(#[from] CertificateError),
    /// The database could not be made.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The storage cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bucket is somebody's.
    #[error(
        "{0} holds packages already; for one more server process on it, copy the data folder of the first, and for a \
         new repository give another bucket or prefix"
    )]
    StorageTaken(String),
    /// The admin token could not be made.
    #[error("admin token: {0}")]
    Token(String),
    /// The repository could not be opened.
    #[error(transparent)]
    Repository(#[from] OpenError),
    /// The first suite could not be published.
    #[error("suite {FIRST_SUITE}: {0}")]
    Suite(#[from] PublishError),
    /// The things' tables could not be laid out.
    #[error("thing groups: {0}")]
    Things(String),
    /// The first suite's name.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl From<AccessError> for InitError {
    fn from(error: AccessError) -> Self {
        Self::Token(error.to_string())
    }
}

impl From<RegistryError> for InitError {
    fn from(error: RegistryError) -> Self {
        Self::Things(error.to_string())
    }
}

/// Makes the data folder and what belongs to it elsewhere. The server takes in packages signed by `package_keys` (keyring
/// files). It makes an authority for the fleet unless one is brought along.
pub async fn init(
    settings: &Settings,
    package_keys: &[PathBuf],
    authority: Option<&AuthoritySource>,
    now: Timestamp,
) -> Result<Initialised, InitError> {
    let dir = DataDir::new(&settings.data);
    // What is given is checked first: nothing is made for a wrong key.
    let keyring = read_package_keys(package_keys)?;
    check_vacant(&dir)?;
    let new_folder = !dir.root().exists();
    durable_files::create_dir(dir.root(), 0o755)?;
    let lock = Lock::acquire(&dir.lock())?;
    // Looked at again now that nobody else can make it.
    check_vacant(&dir)?;
    durable_files::replace(&dir.unfinished_init(), b"debfleet-server init has not finished here.\n", 0o644)?;
    dir.remove_parts()?;
    let made = match make_parts(&dir, &settings.backends, &keyring, authority, now).await {
        Ok(made) => made,
        Err(error) => {
            undo(&dir, new_folder);
            return Err(error);
        }
    };
    durable_files::remove(&dir.unfinished_init())?;
    drop(lock);
    Ok(made)
}

fn read_package_keys(paths: &[PathBuf]) -> Result<Keyring, InitError> {
    let mut all = Vec::new();
    for path in paths {
        let wrong = |source| InitError::PackageKey { path: path.clone(), source };
        let bytes = std::fs::read(path).map_err(|source| InitError::ReadKey { path: path.clone(), source })?;
        all.extend(Keyring::from_bytes(&bytes).and_then(|keyring| keyring.to_bytes()).map_err(wrong)?);
    }
    let path = paths.first().cloned().unwrap_or_default();
    Keyring::from_bytes(&all).map_err(|source| InitError::PackageKey { path, source })
}

fn check_vacant(dir: &DataDir) -> Result<(), InitError> {
    let path = dir.root().to_owned();
    match dir.state().map_err(|source| InitError::Look { path: path.clone(), source })? {
        DataDirState::Vacant | DataDirState::Unfinished => Ok(()),
        DataDirState::Initialised => Err(InitError::Already(path)),
        DataDirState::Foreign => Err(InitError::NotEmpty(path)),
    }
}

async fn make_parts(
    dir: &DataDir,
    backends: &Backends,
    package_keys: &Keyring,
    authority: Option<&AuthoritySource>,
    now: Timestamp,
) -> Result<Initialised, InitError> {
    // What may not be there, or may be somebody's, comes before what cannot be taken back.
    let storage = Storage::new(dir, backends.bucket.as_ref())?;
    if let Some(bucket) = &backends.bucket
        && storage.holds_packages().await?
    {
        return Err(InitError::StorageTaken(bucket.to_string()));
    }
    durable_files::create_dir(&dir.keys(), 0o700)?;
    for folder in [dir.pool(), dir.indexes()] {
        durable_files::create_dir(&folder, 0o755)?;
    }
    durable_files::create_dir(&dir.incoming(), 0o700)?;

    let fail = InitError::RepositoryKey;
    let key = SigningKey::generate("debfleet repository key", now).map_err(fail)?;
    durable_files::replace(&dir.repository_key(), key.to_armor().map_err(fail)?.as_bytes(), 0o600)?;
    let public = key.public_keyring().to_bytes().map_err(fail)?;
    durable_files::replace(&dir.repository_keyring(), &public, 0o644)?;
    let package_ring = package_keys.to_bytes().map_err(fail)?;
    durable_files::replace(&dir.package_keyring(), &package_ring, 0o644)?;
    match authority {
        Some(source) => FleetCa::adopt(dir, source, now)?,
        None => FleetCa::create(dir, now)?,
    }

    let database = database::create(&DatabasePlace::new(dir, backends)).await?;
    let (actor, audit) = (Actor::local("debfleet-server init"), Audit::new(database.clone(), Timestamp::now));
    let admin_token = first_token(database.clone(), audit.clone(), actor.clone(), now).await?;
    let repository = Arc::new(Repository::open(dir, database.clone(), storage, Timestamp::now).await?);
    repository.create_suite(&FIRST_SUITE.parse()?).await?;
    let (subject, detail) = (FIRST_SUITE.to_owned(), "public may read it".to_owned());
    audit.record(Entry { actor, action: "suite.create", subject, detail, outcome: Outcome::Done }).await;
    Registry::open(database.clone(), Timestamp::now).await?;
    database.close().await;
    Ok(Initialised {
        admin_token,
        repository_key: key.fingerprint().map_err(fail)?,
        repository_keyring: dir.repository_keyring(),
        fleet_ca_certificate: dir.fleet_ca_certificate(),
        package_keys: package_keys.fingerprints().map_err(fail)?,
    })
}

/// After a failure: takes away what was made. What cannot be taken away stays marked as unfinished.
fn undo(dir: &DataDir, new_folder: bool) {
    let undone = dir.remove_parts().and_then(|()| durable_files::remove(&dir.unfinished_init()));
    if undone.is_ok() && new_folder {
        let _ = durable_files::remove(&dir.lock());
        // Fails when something else came into it, and may.
        let _ = std::fs::remove_dir(dir.root());
    }
}
