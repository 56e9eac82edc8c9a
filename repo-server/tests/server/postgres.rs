//! A real PostgreSQL for tests.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A PostgreSQL cluster that lives as long as this value, or this process.
pub(crate) struct Postgres {
    folder: PathBuf,
    supervisor: Child,
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
