//! What the server under test keeps its data in. These tests are built twice, as `server` for SQLite and a folder, and as
//! `server_at_scale` for PostgreSQL and a bucket; each site has a database and a bucket of its own.

use object_store::aws::{AmazonS3, AmazonS3Builder};
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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

/// A PostgreSQL cluster that lives as long as this value, or this process.
pub(crate) struct Postgres {
    folder: PathBuf,
    supervisor: Child,
}

/// The one that tests share.
fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(Postgres::start)
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("debfleet-postgres-").tempdir().unwrap().keep();
        // PostgreSQL refuses to run as root.
        let root = rustix::process::geteuid().is_root();
        if root {
            let account = Command::new("chown").arg("postgres:").arg(&folder).status().unwrap();
            assert!(account.success(), "there is no user postgres: is postgresql installed?");
        }
        std::fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        let become_postgres = if root { "setpriv --reuid=postgres --regid=postgres --clear-groups" } else { "" };
        // It ends, and what it wrote goes, when nobody holds the other end of its input any more: also when the tests
        // were killed. Its data need not survive a power cut.
        let script = format!(
            "cd \"$1\" && {become_postgres} \"$2/initdb\" --pgdata=data --username=debfleet --auth=trust --no-sync \
             --encoding=UTF8 --locale=C >making 2>&1 && \
             {become_postgres} \"$2/pg_ctl\" --pgdata=data --log=log --wait --silent --options=\"-c fsync=off \
             -c listen_addresses='' -c unix_socket_directories='$1' -c max_connections=400\" start >>making 2>&1 \
             && echo ready || {{ cat making log; exit 1; }}; read _; \
             {become_postgres} \"$2/pg_ctl\" --pgdata=data --mode=immediate stop >/dev/null 2>&1; cd / && rm -rf \"$1\""
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "sh"]).arg(&folder).arg(postgres_programs());
        let mut supervisor = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(supervisor.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "PostgreSQL did not start, see {}", folder.display());
        Self { folder, supervisor }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        let socket = self.folder.to_str().unwrap().replace('/', "%2F");
        format!("postgres://debfleet:not-shown@localhost/{database}?host={socket}")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// Debian keeps the programs of each version in a folder of their own.
fn postgres_programs() -> PathBuf {
    let versions = Path::new("/usr/lib/postgresql").read_dir().expect("PostgreSQL is not installed");
    let programs =
        versions.map(|version| version.unwrap().path().join("bin")).filter(|bin| bin.join("initdb").exists());
    programs.max().expect("PostgreSQL is not installed")
}

/// The address of an S3-compatible server that all tests of this process share.
fn object_server() -> &'static str {
    static SERVER: OnceLock<(String, Child)> = OnceLock::new();
    let (address, _) = SERVER.get_or_init(|| {
        let moto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/moto/bin/moto_server");
        assert!(moto.exists(), "{} is missing; `cargo xtask test` installs it", moto.display());
        // As with PostgreSQL: it ends with us.
        let script = "\"$1\" --host 127.0.0.1 --port 0 2>&1 & read _ <&3; kill $!";
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec 3<&0; {script}"), "sh"]).arg(&moto);
        let mut supervisor = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(supervisor.stdout.take().unwrap()).lines();
        let address =
            lines.by_ref().map(Result::unwrap).find_map(|line| Some(line.split_once("Running on ")?.1.to_owned()));
        let address = address.expect("moto did not start").trim().to_owned();
        // It writes a line for each request.
        std::thread::spawn(move || lines.for_each(drop));
        (address, supervisor)
    });
    address
}
