//! A database of every schema that was ever released is brought to today's, and serves what it held.
//!
//! For each of them `schemas/` has the rows that the server of that time wrote; the tables are made by the migrations up to
//! then. A new released schema gets a file of its own here, and none is ever changed.

use crate::backends::{Backend, block_on};
use crate::package::hi;
use crate::running::Site;
use sqlx::migrate::Migrator;
use std::path::Path;

/// The token in the rows.
const SECRET: &str = "dft_b3c3c059fbe9370174e610ba1e67366791c81c9ed3b08cb889cf0ef7ce296744";
const PACKAGE: &[u8] = include_bytes!("schemas/hi_0.1.0-1_all.deb");
const FILENAME: &str = "pool/main/h/hi/hi_0.1.0-1_all.deb";

/// A site whose tables are those of an old schema. Its keys are today's, whose form is the same.
fn site_of(schema: &str, rows: &str) -> Site {
    let mut site = Site::new();
    let migrations = site.data.with_file_name("migrations");
    durable_files::create_dir(&migrations, 0o755).unwrap();
    for entry in Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").read_dir().unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_str().unwrap()[..4] <= *schema {
            std::fs::copy(entry.path(), migrations.join(entry.file_name())).unwrap();
        }
    }
    let url = match &site.backend {
        Backend::Embedded => {
            for file in ["debfleet.db", "debfleet.db-wal", "debfleet.db-shm"] {
                durable_files::remove(&site.data.join(file)).unwrap();
            }
            format!("sqlite://{}?mode=rwc", site.data.join("debfleet.db").display())
        }
        Backend::AtScale(at_scale) => {
            site.tamper(&["DROP SCHEMA public CASCADE", "CREATE SCHEMA public"]);
            at_scale.database.clone()
        }
    };
    block_on(async {
        sqlx::any::install_default_drivers();
        let database = sqlx::AnyPool::connect(&url).await.unwrap();
        Migrator::new(migrations).await.unwrap().run(&database).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(rows.to_owned())).execute(&database).await.unwrap();
        database.close().await;
    });
    site.overwrite(FILENAME, PACKAGE);
    site.overwrite("pool/main/h/hi/hi_0.2.0-1_all.deb", b"cut off");
    site.token = SECRET.to_owned();
    site
}

#[test]
fn a_database_of_schema_0001_is_served() {
    let site = site_of("0001", include_str!("schemas/0001.sql"));
    let server = site.start();
    assert_eq!(server.check_suite(), ["hi 0.1.0-1".to_owned()].into());
    assert_eq!(server.body(&format!("/debian/{FILENAME}")), PACKAGE);
    site.wait_for_stored("pool", 1);
    server.publish(&hi("0.3.0").signed_by(&site.package_key)).published();
    assert_eq!(server.check_suite().len(), 2);
    assert!(server.stop());
    assert_eq!(site.start().check_suite().len(), 2);
}
