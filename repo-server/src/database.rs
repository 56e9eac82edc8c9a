//! The database: opened durable, brought to the newest schema.

use durable_files::DurableError;
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, AnyPool, Connection as _};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// SQLite has one writer at a time anyway; the others read.
const CONNECTIONS: u32 = 4;

/// A database that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file could not be made.
    #[error(transparent)]
    Create(#[from] DurableError),
    /// It could not be opened.
    #[error("could not open the database {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// Its schema could not be brought up to date.
    #[error("could not bring the database {path} to this version's schema: {source}{}", advice(source))]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: MigrateError,
    },
}

fn advice(error: &MigrateError) -> &'static str {
    match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
            "; it was written by a newer debfleet-server, use that one"
        }
        _ => "",
    }
}

/// Makes a database that only its owner may read.
pub(crate) async fn create(path: &Path) -> Result<AnyPool, DatabaseError> {
    durable_files::replace(path, b"", 0o600)?;
    open(path).await
}

/// Opens the database. What was committed survives a power cut: every commit reaches the disk before it returns.
pub(crate) async fn open(path: &Path) -> Result<AnyPool, DatabaseError> {
    sqlx::any::install_default_drivers();
    let fail = |source| DatabaseError::Open { path: path.to_owned(), source };
    let url = url_of(path);
    // A pool would try again and again where one connection says at once what is wrong.
    let mut first = AnyConnection::connect(&url).await.map_err(fail)?;
    set_up(&mut first).await.map_err(fail)?;
    first.close().await.map_err(fail)?;
    let pool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .after_connect(|connection, _| Box::pin(set_up(connection)))
        .connect(&url)
        .await
        .map_err(fail)?;
    MIGRATIONS.run(&pool).await.map_err(|source| DatabaseError::Migrate { path: path.to_owned(), source })?;
    Ok(pool)
}

async fn set_up(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    for pragma in ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON"] {
        sqlx::query(pragma).execute(&mut *connection).await?;
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
        let path = folder.path().join("a b?c#d%41");
        let pool = create(&path).await.unwrap();
        sqlx::query("SELECT COUNT(*) FROM suites").execute(&pool).await.unwrap();
        pool.close().await;
        assert!(path.exists());
        let garbage = folder.path().join("garbage");
        durable_files::replace(&garbage, b"this is no database at all", 0o600).unwrap();
        assert!(open(&garbage).await.unwrap_err().to_string().contains("not a database"));
        assert!(open(&folder.path().join("absent")).await.unwrap_err().to_string().contains("absent"));
    }
}
