//! `debfleet-server backup` and `restore`. A backup is a folder laid out as the data folder is, so it says for itself
//! whether it is complete: a mark stands in it from the first step to the last.
//!
//! The server may run meanwhile. Its tables are copied first, as they are at one instant, and then the packages that the
//! copy names; what is published later is in neither.

use crate::config::Settings;
use crate::data_dir::{DataDir, DataDirState};
use crate::database::{self, DatabaseError};
use crate::storage::{Key, StorageError};
use debian_formats::checksums::Sha256Hasher;
use durable_files::{DurableError, Lock, Replacement};
use sqlx::{Connection as _, Row as _};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Files are copied in pieces of this size.
const CHUNK: usize = 1 << 20;

/// What was copied.
#[derive(Debug)]
pub struct Copied {
    /// How many packages.
    pub packages: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// The bucket that has the packages, which were then left there.
    pub bucket: Option<String>,
}

/// A backup that was not made, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The tables are somewhere else.
    #[error(
        "the tables are in {0}; back them up with PostgreSQL's own pg_dump, and copy the folder {1} without pool, indexes \
         and incoming"
    )]
    Postgres(String, PathBuf),
    /// The tables would have to go somewhere else.
    #[error(
        "the backup holds a database of SQLite, which cannot be put into {0}; leave out --database, and the setting, to \
         restore it into the data folder"
    )]
    IntoPostgres(String),
    /// No server's data is there.
    #[error("{0} holds no server's data; give the folder that `debfleet-server init` made")]
    NoData(PathBuf),
    /// No complete backup is there.
    #[error("{0} holds no complete backup; give a folder that `debfleet-server backup` filled to the end")]
    NoBackup(PathBuf),
    /// There is something already.
    #[error("{0} is not empty; give a new or an empty folder")]
    NotEmpty(PathBuf),
    /// A file could not be read.
    #[error("could not read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A package is gone.
    #[error("{0} is missing, although the tables name it; put it back from another backup")]
    Missing(PathBuf),
    /// A package is not what it was.
    #[error("{0} is damaged: it is not the package that was published; take another backup")]
    Damaged(PathBuf),
    /// The tables are not what they were.
    #[error("the database {0} is damaged ({1}); take another backup")]
    DamagedDatabase(PathBuf, String),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] DurableError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A name in the database that no package can have.
    #[error(transparent)]
    Name(#[from] StorageError),
}

/// A package as the tables name it.
struct Package {
    key: Key,
    sha256: String,
    size: u64,
    /// Whether a suite holds it.
    is_held: bool,
}

/// Copies everything that the server knows to `to`, whose packages are hard links where that can be.
pub async fn back_up(settings: &Settings, to: &Path) -> Result<Copied, BackupError> {
    let from = DataDir::new(&settings.data);
    if state_of(&from)? != DataDirState::Initialised {
        return Err(BackupError::NoData(settings.data.clone()));
    }
    if let Some(database) = &settings.backends.database {
        return Err(BackupError::Postgres(database.to_string(), settings.data.clone()));
    }
    let to = DataDir::new(to);
    if !matches!(state_of(&to)?, DataDirState::Vacant | DataDirState::Unfinished) {
        return Err(BackupError::NotEmpty(to.root().to_owned()));
    }
    // The keys are in it.
    durable_files::create_dir(to.root(), 0o700)?;
    let _lock = begin(&to, "backup")?;
    let copy = Replacement::new(&to.database())?;
    database::copy(&from.database(), copy.path()).await?;
    copy.commit(0o600)?;
    copy_keys(&from, &to)?;
    let mut packages = packages_of(&to).await?;
    let bucket = settings.backends.bucket.as_ref().map(ToString::to_string);
    if bucket.is_none() {
        let mut removed = BTreeSet::new();
        let mut folders = BTreeSet::new();
        for package in &packages {
            let target = to.root().join(package.key.as_str());
            let folder = target.parent().unwrap_or(to.root()).to_owned();
            if folders.insert(folder.clone()) {
                durable_files::create_dir(&folder, 0o755)?;
            }
            match link(&from.root().join(package.key.as_str()), &target) {
                // The server may have removed it since the tables were copied, and only such a one.
                Err(BackupError::Missing(_)) if !package.is_held => drop(removed.insert(package.sha256.clone())),
                linked => linked?,
            }
        }
        forget(&to, &removed).await?;
        packages.retain(|package| !removed.contains(&package.sha256));
        folders.iter().try_for_each(|folder| durable_files::sync_dir(folder))?;
        link_indexes(&from.indexes(), &to.indexes())?;
    }
    durable_files::remove(&to.unfinished_init())?;
    Ok(Copied { packages: packages.len(), bytes: packages.iter().map(|package| package.size).sum(), bucket })
}

/// Makes a data folder of a backup. Every package is compared with its SHA-256 on the way.
pub async fn restore(from: &Path, settings: &Settings) -> Result<Copied, BackupError> {
    let (from, to) = (DataDir::new(from), DataDir::new(&settings.data));
    if state_of(&from)? != DataDirState::Initialised || !from.database().exists() {
        return Err(BackupError::NoBackup(from.root().to_owned()));
    }
    if let Some(database) = &settings.backends.database {
        return Err(BackupError::IntoPostgres(database.to_string()));
    }
    if !matches!(state_of(&to)?, DataDirState::Vacant | DataDirState::Unfinished) {
        return Err(BackupError::NotEmpty(to.root().to_owned()));
    }
    durable_files::create_dir(to.root(), 0o755)?;
    let _lock = begin(&to, "restore")?;
    durable_files::create_dir(&to.pool(), 0o755)?;
    durable_files::create_dir(&to.indexes(), 0o755)?;
    durable_files::create_dir(&to.incoming(), 0o700)?;
    copy_file(&from.database(), &to.database(), 0o600)?;
    let packages = packages_of(&to).await?;
    copy_keys(&from, &to)?;
    let bucket = settings.backends.bucket.as_ref().map(ToString::to_string);
    if bucket.is_none() {
        for package in &packages {
            let (source, target) = (from.root().join(package.key.as_str()), to.root().join(package.key.as_str()));
            durable_files::create_dir(target.parent().unwrap_or(to.root()), 0o755)?;
            if copy_file(&source, &target, 0o644)? != (package.size, package.sha256.clone()) {
                return Err(BackupError::Damaged(source));
            }
        }
        for name in file_names(&from.indexes().join("sha256"))? {
            // The server compares them with their names.
            durable_files::create_dir(&to.indexes().join("sha256"), 0o755)?;
            copy_file(&from.indexes().join("sha256").join(&name), &to.indexes().join("sha256").join(&name), 0o644)?;
        }
    }
    sign_anew(&to).await?;
    durable_files::remove(&to.unfinished_init())?;
    Ok(Copied { packages: packages.len(), bytes: packages.iter().map(|package| package.size).sum(), bucket })
}

fn state_of(dir: &DataDir) -> Result<DataDirState, BackupError> {
    dir.state().map_err(|source| BackupError::Read { path: dir.root().to_owned(), source })
}

/// Marks a folder as unfinished and takes away what an attempt before left in it. One that is still at it is left alone.
fn begin(dir: &DataDir, command: &str) -> Result<Lock, BackupError> {
    let lock = Lock::acquire(&dir.lock())?;
    // Looked at again now that nobody else can fill it.
    if state_of(dir)? == DataDirState::Initialised {
        return Err(BackupError::NotEmpty(dir.root().to_owned()));
    }
    let mark = format!("debfleet-server {command} has not finished here.\n");
    durable_files::replace(&dir.unfinished_init(), mark.as_bytes(), 0o644)?;
    dir.remove_parts()?;
    Ok(lock)
}

/// What the tables name, if they are whole.
async fn packages_of(dir: &DataDir) -> Result<Vec<Package>, BackupError> {
    let path = dir.database();
    let fail = |source| DatabaseError::Open { place: path.display().to_string(), source };
    let mut database = database::connect(&path).await?;
    let check = sqlx::query("PRAGMA integrity_check").fetch_one(&mut database).await.map_err(fail)?;
    let check: String = check.try_get(0).map_err(fail)?;
    if check != "ok" {
        return Err(BackupError::DamagedDatabase(path.clone(), check));
    }
    let rows = sqlx::query(
        "SELECT filename, sha256, size, (SELECT COUNT(*) FROM suite_packages s WHERE s.sha256 = packages.sha256) \
         FROM packages ORDER BY filename",
    );
    let rows = rows.fetch_all(&mut database).await.map_err(fail)?;
    database.close().await.map_err(fail)?;
    let package = |row: &sqlx::any::AnyRow| {
        let filename: String = row.try_get(0).map_err(fail)?;
        let size: i64 = row.try_get(2).map_err(fail)?;
        let size = u64::try_from(size).unwrap_or_default();
        let holders: i64 = row.try_get(3).map_err(fail)?;
        Ok(Package { key: filename.parse()?, sha256: row.try_get(1).map_err(fail)?, size, is_held: holders > 0 })
    };
    rows.iter().map(package).collect()
}

/// Takes packages out of the tables of a backup that no suite holds.
async fn forget(dir: &DataDir, packages: &BTreeSet<String>) -> Result<(), BackupError> {
    let path = dir.database();
    let fail = |source| DatabaseError::Open { place: path.display().to_string(), source };
    let mut database = database::connect(&path).await?;
    for sha256 in packages {
        for statement in ["DELETE FROM package_contents WHERE sha256 = $1", "DELETE FROM packages WHERE sha256 = $1"] {
            sqlx::query(statement).bind(sha256).execute(&mut database).await.map_err(fail)?;
        }
    }
    Ok(database.close().await.map_err(fail)?)
}

/// Readers may have seen a Release since the backup was made, and take none with an earlier Date for new. With this the
/// server signs a Release of today as soon as it starts.
async fn sign_anew(dir: &DataDir) -> Result<(), BackupError> {
    let path = dir.database();
    let fail = |source| DatabaseError::Open { place: path.display().to_string(), source };
    let mut database = database::connect(&path).await?;
    sqlx::query("UPDATE generations SET valid_until = date").execute(&mut database).await.map_err(fail)?;
    Ok(database.close().await.map_err(fail)?)
}

fn copy_keys(from: &DataDir, to: &DataDir) -> Result<(), BackupError> {
    durable_files::create_dir(&to.keys(), 0o700)?;
    for name in file_names(&from.keys())? {
        copy_file(&from.keys().join(&name), &to.keys().join(&name), 0o600)?;
    }
    let public = [DataDir::repository_keyring, DataDir::package_keyring, DataDir::fleet_ca_certificate];
    for path in public {
        copy_file(&path(from), &path(to), 0o644)?;
    }
    Ok(())
}

/// The blocks that are there. One that the server removes meanwhile is no longer needed, and the server makes again what
/// it lacks.
fn link_indexes(from: &Path, to: &Path) -> Result<(), BackupError> {
    let (from, to) = (from.join("sha256"), to.join("sha256"));
    durable_files::create_dir(&to, 0o755)?;
    for name in file_names(&from)? {
        match link(&from.join(&name), &to.join(&name)) {
            Err(BackupError::Missing(_)) => {}
            linked => linked?,
        }
    }
    Ok(durable_files::sync_dir(&to)?)
}

/// The names of the files in a folder; none if it is not there.
fn file_names(folder: &Path) -> Result<Vec<std::ffi::OsString>, BackupError> {
    let fail = |source| BackupError::Read { path: folder.to_owned(), source };
    let entries = match folder.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        if entry.file_type().map_err(fail)?.is_file() {
            names.push(entry.file_name());
        }
    }
    Ok(names)
}

/// Gives a file that never changes a second name, or copies it to another file system.
fn link(from: &Path, to: &Path) -> Result<(), BackupError> {
    match std::fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(BackupError::Missing(from.to_owned())),
        Err(_) => copy_file(from, to, 0o644).map(drop),
    }
}

/// Copies a file durably and gives its size and SHA-256.
fn copy_file(from: &Path, to: &Path, mode: u32) -> Result<(u64, String), BackupError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => BackupError::Missing(from.to_owned()),
        _ => BackupError::Read { path: from.to_owned(), source },
    };
    let mut source = File::open(from).map_err(unreadable)?;
    let mut target = Replacement::new(to)?;
    let (mut hasher, mut size, mut piece) = (Sha256Hasher::default(), 0, vec![0; CHUNK]);
    loop {
        let read = source.read(&mut piece).map_err(unreadable)?;
        if read == 0 {
            target.commit(mode)?;
            return Ok((size, hasher.finish()));
        }
        hasher.update(&piece[..read]);
        size += read as u64;
        let unwritable = |cause| DurableError::Io { action: "write", path: to.to_owned(), cause };
        target.write_all(&piece[..read]).map_err(unwritable)?;
    }
}
