//! A running server, and what a client sees of it.

use crate::backends::{Backend, block_on, execute};
use crate::package::new_key;
use debian_formats::checksums::sha256_hex;
use debian_formats::control::Stanza;
use debian_formats::openpgp::{Keyring, SigningKey};
use debian_formats::packages::PackageEntry;
use debian_formats::release::VerifiedRelease;
use fleet_protocol::publishing::{DEB_MEDIA_TYPE, Problem, Published, upload_path};
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const SERVER: &str = env!("CARGO_BIN_EXE_debfleet-server");

/// An initialised data folder and what belongs to it.
pub(crate) struct Site {
    _folder: TempDir,
    pub(crate) data: PathBuf,
    pub(crate) package_ring: PathBuf,
    pub(crate) package_key: SigningKey,
    pub(crate) token: String,
    pub(crate) backend: Backend,
}

pub(crate) fn server_command() -> Command {
    let mut command = Command::new(SERVER);
    // What the developer has in the environment is not the tests' concern.
    for (name, _) in std::env::vars_os() {
        if ["DEBFLEET_", "AWS_", "PG"].iter().any(|ours| name.to_string_lossy().starts_with(ours)) {
            command.env_remove(name);
        }
    }
    command
}

impl Site {
    pub(crate) fn new() -> Self {
        let mut site = Self::without_data();
        let output = site.init();
        assert!(output.status.success(), "{output:?}");
        site.remember_token(&output);
        site
    }

    pub(crate) fn remember_token(&mut self, init: &Output) {
        let text = std::str::from_utf8(&init.stdout).unwrap();
        self.token = text.lines().find_map(|line| line.strip_prefix("admin token: ")).unwrap().to_owned();
    }

    pub(crate) fn without_data() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let package_key = new_key();
        let package_ring = folder.path().join("package.gpg");
        durable_files::replace(&package_ring, &package_key.public_keyring().to_bytes().unwrap(), 0o644).unwrap();
        let data = folder.path().join("data");
        Self { _folder: folder, data, package_ring, package_key, token: String::new(), backend: Backend::new() }
    }

    /// The server's program, told where this site's tables and packages are.
    pub(crate) fn command(&self) -> Command {
        let mut command = server_command();
        self.backend.tell(&mut command);
        command
    }

    pub(crate) fn init(&self) -> Output {
        let mut command = self.command();
        command.arg("init").arg("--data").arg(&self.data).arg("--package-key").arg(&self.package_ring);
        command.output().unwrap()
    }

    /// Runs a server that is expected not to come up.
    pub(crate) fn fail(&self, arguments: &[&str]) -> String {
        let output = self.command().arg("--data").arg(&self.data).args(arguments).output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn start(&self) -> Server {
        self.start_with(&["--http", "127.0.0.1:0"])
    }

    pub(crate) fn start_with(&self, arguments: &[&str]) -> Server {
        self.spawn(self.command().args(arguments), arguments)
    }

    /// One more process, on a copy of the data folder.
    pub(crate) fn start_on(&self, data: &Path, arguments: &[&str]) -> Server {
        self.spawn(self.command().arg("--data").arg(data).args(arguments), arguments)
    }

    /// With its log to be read by [`Server::logged`].
    pub(crate) fn start_logging(&self, arguments: &[&str]) -> Server {
        self.spawn(self.command().args(arguments).stderr(Stdio::piped()), arguments)
    }

    /// Runs a command that becomes a server with these listeners among its arguments.
    pub(crate) fn spawn(&self, command: &mut Command, arguments: &[&str]) -> Server {
        let mut child = command.env("DEBFLEET_SERVER_DATA", &self.data).stdout(Stdio::piped()).spawn().unwrap();
        let count = |options: &[&str]| arguments.iter().filter(|argument| options.contains(argument)).count();
        let (listeners, metrics) = (count(&["--http", "--https", "--mqtts"]), count(&["--metrics"]));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut announced = |count: usize, before: &str| -> Vec<String> {
            let lines = lines.by_ref().take(count);
            let found: Vec<String> = lines.map(|line| line.unwrap().strip_prefix(before).unwrap().to_owned()).collect();
            assert_eq!(found.len(), count, "the server ended before it was ready");
            found
        };
        let bases = announced(listeners, "listening on ");
        let metrics = announced(metrics, "metrics on ").pop();
        let keyring = Keyring::from_bytes(&std::fs::read(self.data.join("repository.gpg")).unwrap()).unwrap();
        let log = child.stderr.take().map(|stderr| BufReader::new(stderr).lines());
        Server { child, bases, metrics, token: self.token.clone(), keyring, log }
    }

    /// Changes the database beside the server, as time or another process would.
    pub(crate) fn change_database(&self, statement: &'static str) {
        self.tamper(&[statement]);
    }

    /// Puts an empty database of an older schema in place of the one there is.
    pub(crate) fn go_back_to(&mut self, migrations: &Path) {
        if let Backend::Embedded = self.backend {
            for suffix in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(self.data.join(format!("debfleet.db{suffix}")));
            }
            durable_files::replace(&self.data.join("debfleet.db"), b"", 0o600).unwrap();
        }
        self.backend = Backend::new();
        block_on(async {
            sqlx::any::install_default_drivers();
            let database = sqlx::AnyPool::connect(&self.database_url()).await.unwrap();
            sqlx::migrate::Migrator::new(migrations).await.unwrap().run(&database).await.unwrap();
            database.close().await;
        });
    }

    pub(crate) fn database_url(&self) -> String {
        match &self.backend {
            Backend::Embedded => format!("sqlite://{}", self.data.join("debfleet.db").display()),
            Backend::AtScale(at_scale) => at_scale.database.clone(),
        }
    }

    /// Files under a folder of the data, relative to it.
    pub(crate) fn files(&self, folder: &str) -> BTreeSet<String> {
        let root = self.data.join(folder);
        let mut found = BTreeSet::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.strip_prefix(&root).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        found
    }
}

impl Site {
    /// What is stored below a folder such as `pool`, wherever this site stores it.
    pub(crate) fn stored(&self, folder: &str) -> BTreeSet<String> {
        let Backend::AtScale(at_scale) = &self.backend else { return self.files(folder) };
        let prefix = format!("ours/{folder}");
        block_on(async {
            let listed = at_scale.store().list(Some(&prefix.as_str().into())).try_collect::<Vec<_>>().await.unwrap();
            listed.iter().map(|object| object.location.as_ref()[prefix.len() + 1..].to_owned()).collect()
        })
    }

    /// Waits until so many files are stored below a folder, which the server sees to in the background.
    pub(crate) fn wait_for_stored(&self, folder: &str, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.stored(folder).len() != count {
            assert!(Instant::now() < deadline, "stored are {:?}, not {count}", self.stored(folder));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Overwrites a stored file behind the server's back.
    pub(crate) fn overwrite(&self, name: &str, content: &'static [u8]) {
        match &self.backend {
            Backend::Embedded => {
                let path = self.data.join(name);
                durable_files::create_dir(path.parent().unwrap(), 0o755).unwrap();
                durable_files::replace(&path, content, 0o644).unwrap();
            }
            Backend::AtScale(at_scale) => {
                let store = at_scale.store();
                block_on(store.put(&format!("ours/{name}").into(), content.into())).unwrap();
            }
        }
    }

    /// Changes the database behind the server's back.
    pub(crate) fn tamper(&self, statements: &[&str]) {
        execute(&self.database_url(), &statements.iter().map(|&statement| statement.to_owned()).collect::<Vec<_>>());
    }
}

pub(crate) struct Server {
    child: Child,
    log: Option<Lines<BufReader<ChildStderr>>>,
    /// Where the metrics are, as announced.
    pub(crate) metrics: Option<String>,
    /// As announced, such as `http://127.0.0.1:12345`.
    pub(crate) bases: Vec<String>,
    pub(crate) token: String,
    pub(crate) keyring: Keyring,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn of(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Self {
        response.and_then(Self::whole).unwrap()
    }

    /// An error when the server died before its answer was whole.
    fn whole(mut response: ureq::http::Response<ureq::Body>) -> Result<Self, ureq::Error> {
        let body = response.body_mut().with_config().limit(1 << 30).read_to_vec()?;
        Ok(Self { status: response.status().as_u16(), headers: response.headers().clone(), body })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem details that every error carries.
    pub(crate) fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        problem
    }

    pub(crate) fn published(&self) -> Published {
        assert!(matches!(self.status, 200 | 201), "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

/// One that trusts this authority alone.
pub(crate) fn agent_trusting(pem: &str) -> ureq::Agent {
    let authority = ureq::tls::Certificate::from_pem(pem.as_bytes()).unwrap().to_owned();
    let tls = ureq::tls::TlsConfig::builder()
        .root_certs(ureq::tls::RootCerts::new_with_certs(&[authority]))
        .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    ureq::Agent::config_builder().tls_config(tls).build().into()
}

impl Server {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.bases[0])
    }

    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = agent().get(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.call())
    }

    pub(crate) fn body(&self, path: &str) -> Vec<u8> {
        let answer = self.get(path, &[]);
        assert_eq!(answer.status, 200, "{path}");
        answer.body
    }

    pub(crate) fn try_publish(&self, suite: &str, token: &str, deb: &[u8]) -> Result<Answer, ureq::Error> {
        let mut request = agent().post(self.url(&upload_path(suite))).content_type(DEB_MEDIA_TYPE);
        if !token.is_empty() {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        Answer::whole(request.send(deb)?)
    }

    pub(crate) fn publish(&self, deb: &[u8]) -> Answer {
        self.try_publish("stable", &self.token, deb).unwrap()
    }

    pub(crate) fn inrelease(&self) -> String {
        self.inrelease_of("stable")
    }

    pub(crate) fn inrelease_of(&self, suite: &str) -> String {
        String::from_utf8(self.body(&format!("/debian/dists/{suite}/InRelease"))).unwrap()
    }

    pub(crate) fn release(&self) -> VerifiedRelease {
        self.release_of("stable")
    }

    pub(crate) fn release_of(&self, suite: &str) -> VerifiedRelease {
        VerifiedRelease::verify(&self.inrelease_of(suite), &self.keyring, &suite.parse().unwrap()).unwrap()
    }

    /// Reads the suite as the strictest client would, by hash, every file, and gives its packages as `name version`.
    pub(crate) fn check_suite(&self) -> BTreeSet<String> {
        self.check("stable")
    }

    /// The same for any suite.
    pub(crate) fn check(&self, suite: &str) -> BTreeSet<String> {
        let release = self.release_of(suite);
        release.check_fresh(Timestamp::now(), None).unwrap();
        let mut packages = BTreeSet::new();
        for file in &release.release().files {
            let content = self.body(&format!("/debian/dists/{suite}/{}", file.by_hash_path()));
            assert_eq!((content.len() as u64, sha256_hex(&content)), (file.size, file.sha256.clone()), "{}", file.path);
            assert_eq!(content, self.body(&format!("/debian/dists/{suite}/{}", file.path)), "{}", file.path);
            if file.path.ends_with("/Packages") {
                for stanza in Stanza::parse_all(std::str::from_utf8(&content).unwrap()).unwrap() {
                    let entry = PackageEntry::from_stanza(&stanza).unwrap();
                    let deb = self.body(&format!("/debian/{}", entry.filename()));
                    assert_eq!((deb.len() as u64, sha256_hex(&deb).as_str()), (entry.size(), entry.sha256()));
                    packages.insert(format!("{} {}", entry.control().package(), entry.control().version()));
                }
            }
        }
        packages
    }

    /// Bytes of memory that it holds.
    pub(crate) fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Bytes of memory that it held at most.
    pub(crate) fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, which: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(which)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    /// Waits for the next line of the log that contains this.
    pub(crate) fn logged(&mut self, wanted: &str) -> String {
        self.log_until(wanted).lines().last().unwrap_or_default().to_owned()
    }

    /// The same, with all the lines before it.
    pub(crate) fn log_until(&mut self, wanted: &str) -> String {
        let mut log = String::new();
        for line in self.log.as_mut().expect("started with its log piped") {
            log = log + &line.unwrap() + "\n";
            if log.lines().last().is_some_and(|line| line.contains(wanted)) {
                return log;
            }
        }
        panic!("the server ended and had not logged {wanted:?}");
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.process_id(), signal).unwrap();
    }

    /// The value of one metric, with its labels.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let text = Answer::of(agent().get(self.metrics.as_ref().unwrap()).call()).text();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// SIGKILL, at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn process_id(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// SIGTERM, and whether it ended as it should.
    pub(crate) fn stop(mut self) -> bool {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Waits for its end, and says whether it was as it should be.
    pub(crate) fn wait(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
