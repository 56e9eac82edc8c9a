//! A real `debfleet-server` on a port of its own.

use crate::at_scale::AtScale;
use crate::broker::{Broker, Mosquitto};
use crate::package::PackageKey;
use crate::program::{Ended, binary, run};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A server that ends with the test.
pub struct Server {
    folder: TempDir,
    token: String,
    running: Option<Child>,
    /// `http` or `https`.
    scheme: &'static str,
    url: String,
    address: String,
    /// Where it takes MQTT over TLS, if it does.
    mqtts: Option<String>,
    /// What does so in its place.
    mosquitto: Option<Mosquitto>,
    /// Environment variables of the process.
    settings: Vec<(&'static str, String)>,
    /// How far its clock is ahead, in seconds.
    clock: Option<i64>,
}

/// What each process on the same database and bucket has a copy of.
const SHARED: [&str; 4] = ["keys", "repository.gpg", "package-keys.gpg", "fleet-ca.pem"];

impl Server {
    /// Initialises a data folder that knows this package key, and serves plain HTTP on loopback.
    #[must_use]
    pub fn start(key: &PackageKey) -> Self {
        Self::start_with(key, "http", vec![])
    }

    /// The same over HTTPS, with a certificate from the fleet's own authority.
    #[must_use]
    pub fn start_https(key: &PackageKey) -> Self {
        Self::start_with(key, "https", vec![])
    }

    /// HTTPS, and MQTT over TLS by this broker.
    #[must_use]
    pub fn start_fleet(key: &PackageKey, broker: Broker) -> Self {
        let mut server = Self::initialised(key, "https", vec![]);
        match broker {
            Broker::Embedded => server.mqtts = Some("127.0.0.1:0".to_owned()),
            Broker::Mosquitto => server.mosquitto = Some(Mosquitto::new(&server.folder.path().join("mosquitto"))),
        }
        server.resume();
        if let Some(mosquitto) = &mut server.mosquitto {
            mosquitto.start();
        }
        server
    }

    /// The same, with a clock of its own ([`Self::begin_at`]): it was initialised long before any time that matters.
    #[must_use]
    pub fn start_with_clock(key: &PackageKey) -> Self {
        let long_ago = Some(-100 * 24 * 3600);
        let mut server = Self::initialised_by_clock(key, "http", vec![], long_ago);
        run(Command::new("cp").arg("-a").arg(server.data()).arg(server.beginning())).success();
        server.begin_at(0);
        server
    }

    /// Makes everything as it was when such a server was initialised, and starts it so many seconds from now.
    pub fn begin_at(&mut self, seconds: i64) {
        self.kill();
        std::fs::remove_dir_all(self.data()).expect("its data goes");
        run(Command::new("cp").arg("-a").arg(self.beginning()).arg(self.data())).success();
        self.clock = Some(seconds);
        self.resume();
    }

    /// So many processes on one database and one bucket.
    #[must_use]
    pub fn start_at_scale(key: &PackageKey, at_scale: &AtScale, count: usize) -> Vec<Self> {
        let mut servers = vec![Self::start_with(key, "http", at_scale.settings())];
        while servers.len() < count {
            let beside = servers.first().map(Self::beside).expect("there is a first one");
            servers.push(beside);
        }
        servers
    }

    /// One more process on the same database and bucket.
    fn beside(&self) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("a data folder");
        for part in SHARED {
            run(Command::new("cp").arg("-a").arg(self.data().join(part)).arg(&data)).success();
        }
        let mut server = Self {
            folder,
            token: self.token.clone(),
            running: None,
            scheme: self.scheme,
            url: String::new(),
            address: "127.0.0.1:0".to_owned(),
            mqtts: self.mqtts.as_ref().map(|_| "127.0.0.1:0".to_owned()),
            mosquitto: None,
            settings: self.settings.clone(),
            clock: self.clock,
        };
        server.resume();
        server
    }

    fn start_with(key: &PackageKey, scheme: &'static str, settings: Vec<(&'static str, String)>) -> Self {
        let mut server = Self::initialised(key, scheme, settings);
        server.resume();
        server
    }

    fn beginning(&self) -> PathBuf {
        self.folder.path().join("beginning")
    }

    fn initialised(key: &PackageKey, scheme: &'static str, settings: Vec<(&'static str, String)>) -> Self {
        Self::initialised_by_clock(key, scheme, settings, None)
    }

    fn initialised_by_clock(
        key: &PackageKey,
        scheme: &'static str,
        settings: Vec<(&'static str, String)>,
        clock: Option<i64>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        let mut init = program(clock);
        init.envs(settings.clone()).arg("init").arg("--data").arg(&data).arg("--package-key").arg(key.keyring());
        let printed = run(&mut init).success();
        let token = printed.lines().find_map(|line| line.trim().strip_prefix("admin token: "));
        let token = token.expect("init prints the admin token").to_owned();
        let (url, address) = (String::new(), "127.0.0.1:0".to_owned());
        Self { folder, token, running: None, scheme, url, address, mqtts: None, mosquitto: None, settings, clock }
    }

    /// Starts it again on the same data and port.
    pub fn resume(&mut self) {
        let mut command = program(self.clock);
        command.envs(self.settings.clone()).arg("--data").arg(self.data());
        command.args([&format!("--{}", self.scheme), &self.address]);
        if let Some(address) = &self.mqtts {
            command.args(["--mqtts", address]);
        }
        if let Some(mosquitto) = &self.mosquitto {
            command.args(mosquitto.arguments());
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("debfleet-server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its stdout is ours")).lines();
        let mut listening = || {
            let url = lines.find_map(|line| {
                let line = line.expect("debfleet-server prints text");
                line.trim().strip_prefix("listening on ").map(str::to_owned)
            });
            url.expect("debfleet-server says where it listens")
        };
        self.url = listening();
        if let Some(address) = &mut self.mqtts {
            *address = listening().trim_start_matches("mqtts://").to_owned();
        }
        self.address = self.url.trim_start_matches(self.scheme).trim_start_matches("://").to_owned();
        self.running = Some(child);
        // Whatever else it prints is read away, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Its base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where its broker takes MQTT over TLS: host and port.
    #[must_use]
    pub fn mqtts(&self) -> String {
        let other = self.mosquitto.as_ref().map(Mosquitto::address);
        self.mqtts.clone().or(other).expect("it was started for a fleet")
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The fleet's authority, which signed the server's certificate.
    #[must_use]
    pub fn fleet_ca(&self) -> PathBuf {
        self.data().join("fleet-ca.pem")
    }

    /// The secret key that signs its releases, for tests that play a thief.
    #[must_use]
    pub fn repository_key(&self) -> PathBuf {
        let files = walkdir::WalkDir::new(self.data()).into_iter().flatten().map(walkdir::DirEntry::into_path);
        let secret = files.filter(|path| path.is_file()).find(|path| {
            let content = std::fs::read(path).unwrap_or_default();
            content.starts_with(b"-----BEGIN PGP PRIVATE KEY BLOCK")
        });
        secret.expect("the server keeps its repository key in its data folder")
    }

    /// `debfleet` as a CI job of this server would call it, not yet started: nothing of the real job's environment
    /// reaches it.
    #[must_use]
    pub fn debfleet(&self, arguments: &[&str]) -> Command {
        let mut command = binary("debfleet");
        command
            .args(arguments)
            .stdin(Stdio::null())
            .env("DEBFLEET_SERVER", &self.url)
            .env("DEBFLEET_TOKEN", &self.token);
        if self.scheme == "https" {
            command.env("DEBFLEET_CA", self.fleet_ca());
        }
        let foreign = ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_REF_TYPE", "GITHUB_REF_NAME", "CI_COMMIT_TAG"];
        for name in foreign.into_iter().chain(["SOURCE_DATE_EPOCH", "DEBFLEET_KEY", "DEBFLEET_KEY_FILE"]) {
            command.env_remove(name);
        }
        command
    }

    /// The token of its administrator.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// `debfleet publish`, however it ends.
    #[must_use]
    pub fn try_publish(&self, package: &Path) -> Ended {
        run(binary("debfleet")
            .arg("publish")
            .arg(package)
            .args(["--server", &self.url, "--suite", "stable"])
            .env("DEBFLEET_CA", self.fleet_ca())
            .env("DEBFLEET_TOKEN", &self.token))
    }

    /// `debfleet publish`, which must work.
    #[track_caller]
    pub fn publish(&self, package: &Path) {
        self.try_publish(package).success();
    }

    /// A file of the repository.
    #[track_caller]
    #[must_use]
    pub fn get(&self, path: &str) -> Vec<u8> {
        get(&format!("{}{path}", self.url))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The program, by a clock that is so many seconds ahead.
fn program(clock: Option<i64>) -> Command {
    // A process that is killed leaves files of faketime's behind, over which the next one of its number stumbles: here
    // they go with the process.
    const BY_CLOCK: &str = "mount -t tmpfs none /dev/shm && library=$(dpkg-query -L libfaketime | grep 'MT[.]so') && \
                            exec env LD_PRELOAD=\"$library\" FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME=\"$0\" \"$@\"";
    let server = binary("debfleet-server");
    let Some(seconds) = clock else { return server };
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", BY_CLOCK, &format!("{seconds:+}")]).arg(server.get_program());
    command
}

/// Fetches a URL with curl.
#[track_caller]
#[must_use]
pub fn get(url: &str) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    run(Command::new("curl").args(["-sSf", "-o"]).arg(file.path()).arg(url)).success();
    std::fs::read(file.path()).expect("curl wrote the file")
}
