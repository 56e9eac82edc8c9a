//! What the server under test keeps its data in. These tests are built twice, as `server` for SQLite and a folder, and as
//! `server_at_scale` for PostgreSQL and a bucket; each site has a database and a bucket of its own.

use crate::moto::object_server;
use crate::postgres::Postgres;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where a site's data is.
pub(crate) enum Backend {
    Embedded,
    AtScale(AtScale),
}

pub(crate) struct AtScale {
    pub(crate) database: String,
    pub(crate) bucket: String,
    pub(crate) endpoint: String,
}

pub(crate) const AT_SCALE: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"server_at_scale");

const ACCESS_KEY: &str = "testing";

impl Backend {
    pub(crate) fn new() -> Self {
        if AT_SCALE { Self::AtScale(AtScale::new()) } else { Self::Embedded }
    }

    /// Tells a server where its data is.
    pub(crate) fn tell(&self, command: &mut Command) {
        let Self::AtScale(at_scale) = self else { return };
        command
            .env("DEBFLEET_SERVER_DATABASE", &at_scale.database)
            .env("DEBFLEET_SERVER_STORAGE", format!("s3://{}/ours", at_scale.bucket))
            .env("DEBFLEET_SERVER_STORAGE_ENDPOINT", &at_scale.endpoint)
            .env("DEBFLEET_SERVER_STORAGE_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", ACCESS_KEY);
    }
}

impl AtScale {
    /// A new database and a new bucket, in servers that all tests of this process share.
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("site-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let (postgres, endpoint) = (postgres(), object_server().to_owned());
        execute(&postgres.url("postgres"), &[format!("CREATE DATABASE \"{name}\"")]);
        ureq::put(format!("{endpoint}/{name}")).send_empty().unwrap();
        Self { database: postgres.url(&name), bucket: name, endpoint }
    }

    pub(crate) fn store(&self) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_bucket_name(&self.bucket)
            .with_access_key_id(ACCESS_KEY)
            .with_secret_access_key(ACCESS_KEY)
            .build()
            .unwrap()
    }
}

/// Runs statements, one after the other.
pub(crate) fn execute(url: &str, statements: &[String]) {
    block_on(async {
        sqlx::any::install_default_drivers();
        let database = sqlx::AnyPool::connect(url).await.unwrap();
        for statement in statements {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&database).await.unwrap();
        }
        database.close().await;
    });
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The one that tests share.
fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(Postgres::start)
}
