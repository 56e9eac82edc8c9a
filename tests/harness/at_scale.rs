//! What several server processes share: a real PostgreSQL, and an S3-compatible store.

#[path = "../../repo-server/tests/server/moto.rs"]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod moto;
#[path = "../../repo-server/tests/server/postgres.rs"]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod postgres;

use crate::program::run;
use std::process::Command;

const BUCKET: &str = "packages";
const ACCESS_KEY: &str = "testing";

/// A database and a bucket, which are gone when it is dropped.
pub struct AtScale {
    postgres: postgres::Postgres,
}

impl AtScale {
    /// Starts both.
    #[must_use]
    pub fn start() -> Self {
        let bucket = format!("{}/{BUCKET}", moto::object_server());
        run(Command::new("curl").args(["-sSf", "-X", "PUT", &bucket])).success();
        Self { postgres: postgres::Postgres::start() }
    }

    /// The settings of a server that uses them, as environment variables.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DEBFLEET_SERVER_DATABASE", self.postgres.url("postgres")),
            ("DEBFLEET_SERVER_STORAGE", format!("s3://{BUCKET}/ours")),
            ("DEBFLEET_SERVER_STORAGE_ENDPOINT", moto::object_server().to_owned()),
            ("DEBFLEET_SERVER_STORAGE_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", ACCESS_KEY.to_owned()),
        ]
    }
}
