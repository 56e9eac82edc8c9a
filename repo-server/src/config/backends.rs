//! Where tables and packages lie, if not in the data folder.

use super::{ConfigError, RawSettings};
use crate::storage::{BucketSettings, Credentials};
use sqlx::postgres::PgConnectOptions;
use std::fmt;

/// Where tables and packages lie. The default is SQLite and a folder, both in the data folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backends {
    /// In place of SQLite.
    pub database: Option<PostgresSettings>,
    /// In place of the data folder.
    pub bucket: Option<BucketSettings>,
    /// Whether clients are sent to the bucket for packages.
    pub redirect: bool,
}

/// A PostgreSQL database. Shown, it is named without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    url: String,
    name: String,
}

impl PostgresSettings {
    /// The whole URL, password and all.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl fmt::Display for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

pub(super) fn check(raw: &RawSettings) -> Result<Backends, ConfigError> {
    Ok(Backends {
        database: raw.database.as_deref().map(postgres).transpose()?,
        bucket: bucket(raw)?,
        redirect: raw.storage_redirect.unwrap_or_default(),
    })
}

fn postgres(url: &str) -> Result<PostgresSettings, ConfigError> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(ConfigError::Database("it begins otherwise".to_owned()));
    }
    let options: PgConnectOptions = url.parse().map_err(|error| ConfigError::Database(format!("{error}")))?;
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    let name = match options.get_socket() {
        Some(socket) => format!("{database} of PostgreSQL in {}", socket.display()),
        None => format!("{database} of PostgreSQL on {}:{}", options.get_host(), options.get_port()),
    };
    Ok(PostgresSettings { url: url.to_owned(), name })
}

fn bucket(raw: &RawSettings) -> Result<Option<BucketSettings>, ConfigError> {
    let Some(storage) = &raw.storage else {
        let useless = [
            ("storage-endpoint", raw.storage_endpoint.is_some()),
            ("storage-region", raw.storage_region.is_some()),
            ("storage-access-key-id", raw.storage_access_key_id.is_some()),
            ("storage-redirect", raw.storage_redirect == Some(true)),
        ];
        return match useless.into_iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(ConfigError::WithoutStorage(name)),
            None => Ok(None),
        };
    };
    let wrong = || ConfigError::Storage(storage.clone());
    let place = storage.strip_prefix("s3://").ok_or_else(wrong)?;
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let is_bucket =
        (3..=63).contains(&bucket.len()) && bucket.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if !is_bucket {
        return Err(wrong());
    }
    let prefix = match prefix.trim_end_matches('/') {
        "" => None,
        prefix => Some(prefix.parse().map_err(|_| wrong())?),
    };
    let is_url = |url: &String| url.starts_with("http://") || url.starts_with("https://");
    if let Some(endpoint) = raw.storage_endpoint.as_ref().filter(|endpoint| !is_url(endpoint)) {
        return Err(ConfigError::Endpoint(endpoint.clone()));
    }
    let credentials = match (&raw.storage_access_key_id, &raw.storage_secret_access_key) {
        (Some(id), Some(secret)) => Some(Credentials { id: id.clone(), secret: secret.clone() }),
        (None, None) => None,
        _ => return Err(ConfigError::HalfCredentials),
    };
    Ok(Some(BucketSettings {
        bucket: bucket.to_owned(),
        prefix,
        endpoint: raw.storage_endpoint.clone(),
        region: raw.storage_region.clone(),
        credentials,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(toml: &str) -> Result<Backends, ConfigError> {
        check(&toml::from_str(toml).unwrap())
    }

    #[test]
    fn nothing_is_shown_of_a_password() {
        let backends = checked(
            "database = 'postgres://me:hush@db.example.org/fleet'\nstorage = 's3://packages/of/ours/'\n\
             storage-access-key-id = 'AK'\nstorage-secret-access-key = 'hush'",
        );
        let backends = backends.unwrap();
        let shown = format!("{backends:?} {}", backends.database.as_ref().unwrap());
        assert!(!shown.contains("hush") && shown.contains("fleet of PostgreSQL on db.example.org:5432"), "{shown}");
        assert_eq!(backends.bucket.unwrap().to_string(), "s3://packages/of/ours");
    }

    #[test]
    fn wrong_backends_are_named() {
        let error = |toml: &str| checked(toml).unwrap_err().to_string();
        assert!(error("database = 'mysql://me:hush@h/d'").contains("postgres://"));
        assert!(!error("database = 'mysql://me:hush@h/d'").contains("hush"));
        assert!(!error("database = 'postgres://me:hush@h:port/d'").contains("hush"));
        for bad in ["/srv/pool", "s3://", "s3://a", "s3://bucket/../x", "s3://bucket?x"] {
            assert!(error(&format!("storage = '{bad}'")).contains(bad), "{bad}");
        }
        assert!(error("storage = 's3://bucket'\nstorage-endpoint = 'localhost:9000'").contains("https://"));
        assert!(error("storage = 's3://bucket'\nstorage-access-key-id = 'AK'").contains("storage-secret-access-key"));
        assert!(error("storage-redirect = true").contains("storage-redirect"));
        assert_eq!(checked("storage-redirect = false").unwrap(), Backends::default());
    }
}
