//! The database: opened durable, brought to the newest schema.

use crate::config::{Backends, PostgresSettings};
use crate::data_dir::DataDir;
use durable_files::DurableError;
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _};
use std::fmt::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// SQLite has one writer at a time anyway; the others read.
const SQLITE_CONNECTIONS: u32 = 4;
/// Of each server process.
const POSTGRES_CONNECTIONS: u32 = 8;
/// A request that gets no connection in this time fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// What each connection to SQLite is told: that a commit is on the disk when it returns, for one.
const SQLITE_SETTINGS: &[&str] =
    &["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON"];
/// The same for PostgreSQL, whatever its own configuration says.
const POSTGRES_SETTINGS: &[&str] = &["SET synchronous_commit = on"];

/// The codes for a full disk: of SQLite, and of PostgreSQL (SQLSTATE disk_full).
const DISK_FULL: [&str; 2] = ["13", "53100"];

/// Whether a statement failed because the disk was full.
pub(crate) fn is_full(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => durable_files::is_full(error),
        sqlx::Error::Database(error) => error.code().is_some_and(|code| DISK_FULL.contains(&&*code)),
        _ => false,
    }
}

/// Where the tables lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DatabasePlace {
    /// A file of SQLite, which no other server process uses.
    File(PathBuf),
    /// PostgreSQL, which several may use.
    Postgres(PostgresSettings),
}

impl DatabasePlace {
    /// As the settings say, or else in the data folder.
    pub(crate) fn new(dir: &DataDir, backends: &Backends) -> Self {
        match &backends.database {
            Some(settings) => Self::Postgres(settings.clone()),
            None => Self::File(dir.database()),
        }
    }
}

impl fmt::Display for DatabasePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgres(settings) => settings.fmt(f),
        }
    }
}

/// A database that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file could not be made.
    #[error(transparent)]
    Create(#[from] DurableError),
    /// The file is not there.
    #[error(
        "the database {0} is not there; if this server was initialised with PostgreSQL, say which with --database or \
         the setting `database`"
    )]
    Missing(PathBuf),
    /// It could not be opened.
    #[error("could not open the database {place}: {source}")]
    Open {
        /// Which.
        place: String,
        /// Why.
        source: sqlx::Error,
    },
    /// Its schema could not be brought up to date.
    #[error("could not bring the database {place} to this version's schema: {source}{}", advice(source))]
    Migrate {
        /// Which.
        place: String,
        /// Why.
        source: MigrateError,
    },
    /// It could not be copied.
    #[error("could not copy the database {path} to {copy}: {source}")]
    Copy {
        /// The file.
        path: PathBuf,
        /// Where to.
        copy: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// There are a server's tables already.
    #[error(
        "the database {0} holds a repository already; for one more server process on it, copy the data folder of the \
         first, and for a new repository give an empty database"
    )]
    Taken(String),
}

fn advice(error: &MigrateError) -> &'static str {
    match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
            "; it was written by a newer debfleet-server, use that one"
        }
        _ => "",
    }
}

/// Makes the tables of a new server. A file is made so that only its owner may read it.
pub(crate) async fn create(place: &DatabasePlace) -> Result<AnyPool, DatabaseError> {
    if let DatabasePlace::File(path) = place {
        durable_files::replace(path, b"", 0o600)?;
    }
    let pool = open(place).await?;
    let suite = sqlx::query("SELECT name FROM suites LIMIT 1").fetch_optional(&pool).await;
    match suite.map_err(|source| DatabaseError::Open { place: place.to_string(), source })? {
        Some(_) => Err(DatabaseError::Taken(place.to_string())),
        None => Ok(pool),
    }
}

/// Opens the database and brings it to this version's schema; where several processes do so at once, one after the
/// other. What was committed survives a power cut: every commit reaches the disk before it returns.
pub(crate) async fn open(place: &DatabasePlace) -> Result<AnyPool, DatabaseError> {
    sqlx::any::install_default_drivers();
    let fail = |source| DatabaseError::Open { place: place.to_string(), source };
    let (url, settings, connections) = match place {
        DatabasePlace::File(path) if !path.exists() => return Err(DatabaseError::Missing(path.clone())),
        DatabasePlace::File(path) => (url_of(path), SQLITE_SETTINGS, SQLITE_CONNECTIONS),
        DatabasePlace::Postgres(server) => (server.url().to_owned(), POSTGRES_SETTINGS, POSTGRES_CONNECTIONS),
    };
    // A pool would try again and again where one connection says at once what is wrong.
    let mut first = AnyConnection::connect(&url).await.map_err(fail)?;
    set_up(&mut first, settings).await.map_err(fail)?;
    first.close().await.map_err(fail)?;
    let pool = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .after_connect(|connection, _| Box::pin(set_up(connection, settings)))
        .connect(&url)
        .await
        .map_err(fail)?;
    MIGRATIONS.run(&pool).await.map_err(|source| DatabaseError::Migrate { place: place.to_string(), source })?;
    Ok(pool)
}

/// One connection to a database of SQLite, whatever its schema.
pub(crate) async fn connect(path: &Path) -> Result<AnyConnection, DatabaseError> {
    sqlx::any::install_default_drivers();
    if !path.exists() {
        return Err(DatabaseError::Missing(path.to_owned()));
    }
    let fail = |source| DatabaseError::Open { place: path.display().to_string(), source };
    AnyConnection::connect(&url_of(path)).await.map_err(fail)
}

/// Copies a database of SQLite as it is at one instant, also while others write to it. The copy must be absent or empty.
pub(crate) async fn copy(path: &Path, copy: &Path) -> Result<(), DatabaseError> {
    let fail = |source| DatabaseError::Copy { path: path.to_owned(), copy: copy.to_owned(), source };
    let mut connection = connect(path).await?;
    let name = copy.to_string_lossy().into_owned();
    sqlx::query("VACUUM INTO $1").bind(name).execute(&mut connection).await.map_err(fail)?;
    connection.close().await.map_err(fail)
}

/// Whether other server processes may use it at the same time.
pub(crate) fn is_shared(database: &AnyPool) -> bool {
    database.connect_options().database_url.scheme() != "sqlite"
}

/// On a full disk SQLite may end a transaction by itself, and the pool would not know: after a failure a connection is
/// not used again. How it closes does not matter.
pub(crate) async fn settle<T, E>(connection: PoolConnection<Any>, outcome: Result<T, E>) -> Result<T, E> {
    if outcome.is_err() {
        let _ = connection.close().await;
    }
    outcome
}

async fn set_up(connection: &mut AnyConnection, settings: &'static [&'static str]) -> Result<(), sqlx::Error> {
    for setting in settings {
        sqlx::query(*setting).execute(&mut *connection).await?;
    }
    Ok(())
}

/// A path may hold characters that mean something in a URL.
fn url_of(path: &Path) -> String {
    let mut url = "sqlite://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            url.push(char::from(*byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url + "?mode=rw"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_odd_path_is_opened_and_a_wrong_or_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| DatabasePlace::File(folder.path().join(name));
        let odd = place("a b?c#d%41");
        let pool = create(&odd).await.unwrap();
        sqlx::query("INSERT INTO suites (name, generation, created_at) VALUES ('a', 0, 0)")
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
        assert!(folder.path().join("a b?c#d%41").exists());
        let garbage = folder.path().join("garbage");
        durable_files::replace(&garbage, b"this is no database at all", 0o600).unwrap();
        assert!(open(&place("garbage")).await.unwrap_err().to_string().contains("not a database"));
        let missing = open(&place("absent")).await.unwrap_err().to_string();
        assert!(missing.contains("absent") && missing.contains("--database"), "{missing}");
    }
}
