//! apt's own integration tests, from its source package, with `debfleet-server` in the place of the archives that they make.

use crate::archive::plain_deb;
use crate::at_scale::AtScale;
use crate::debian_root::{lock, put, put_in_place};
use crate::package::PackageKey;
use crate::program::{binary, run, target_dir, workspace};
use crate::repository::RepositoryCopy;
use crate::server::Server;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

/// apt's test framework reads a file of this name when it has set up the surroundings of a test.
const EXTRA: &str = "extra-environment";

/// One of apt's tests.
pub struct AptsTest {
    name: &'static str,
    script: String,
    bench: Arc<Mutex<Bench>>,
    url: String,
}

impl AptsTest {
    /// Takes a test from apt's source.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        let key = PackageKey::new();
        let server = Server::start_with_clock(&key);
        Self::on(name, key, server, None)
    }

    /// The same with a server on a database and a bucket, for a test that publishes once.
    #[must_use]
    pub fn at_scale(name: &'static str) -> Self {
        let (key, at_scale) = (PackageKey::new(), AtScale::start());
        let server = Server::start_at_scale(&key, &at_scale, 1).pop().expect("it is one");
        Self::on(name, key, server, Some(at_scale))
    }

    fn on(name: &'static str, key: PackageKey, server: Server, at_scale: Option<AtScale>) -> Self {
        let path = apts_source().join("test/integration").join(name);
        let script = std::fs::read_to_string(path).expect("the test is in apt's source");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bench = Bench { key, server, at_scale, folder, packages: vec![], copy: None, by_server: BTreeSet::new() };
        let bench = Arc::new(Mutex::new(bench));
        // Our server ends with the test, which the thread does not.
        let shared = Arc::downgrade(&bench);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(bench) = shared.upgrade() else { break };
                // A client that goes away is its own business.
                std::thread::spawn(move || answer(stream, &bench).ok());
            }
        });
        Self { name, script, bench, url }
    }

    /// What the test takes for granted of the archive it makes, and how that is with ours. It must be there.
    #[must_use]
    pub fn but(mut self, theirs: &str, ours: &str) -> Self {
        assert!(self.script.contains(theirs), "{} of this apt does not contain {theirs:?}", self.name);
        self.script = self.script.replace(theirs, ours);
        self
    }

    /// The same for everything from one text up to and with another one.
    #[must_use]
    pub fn but_between(self, first: &str, last: &str, ours: &str) -> Self {
        let start = self.script.find(first).unwrap_or_else(|| panic!("{} does not contain {first:?}", self.name));
        let length = self.script[start..].find(last).unwrap_or_else(|| panic!("nor {last:?} after {first:?}"));
        let theirs = self.script[start..start + length + last.len()].to_owned();
        self.but(&theirs, ours)
    }

    /// A file that our server publishes below `/debian/`.
    #[must_use]
    pub fn published(&self, path: &str) -> Vec<u8> {
        lock_bench(&self.bench).server.get(&format!("/debian/{path}"))
    }

    /// Runs it with the apt of this machine. It must end well, after so many checks or more. Gives the paths that apt got
    /// from our server as they are.
    #[track_caller]
    pub fn passes(self, checks: usize) -> BTreeSet<String> {
        let source = apts_source();
        // apt's downloads run as a user without any rights.
        let folder = tempfile::Builder::new().permissions(open_folder()).tempdir().expect("a temporary folder");
        let (tests, surroundings) = (folder.path().join("tests"), folder.path().join("surroundings"));
        run(Command::new("cp").arg("-a").arg(source.join("test/integration")).arg(&tests)).success();
        std::fs::create_dir(&surroundings).expect("a folder for the test");
        put(&tests.join(self.name), self.script.as_bytes());
        let extra = std::fs::read(workspace("tests/apts_own_tests").join(EXTRA)).expect("our part of the surroundings");
        put(&tests.join(EXTRA), &extra);
        let mut command = Command::new("timeout");
        command.args(["300", "sh"]).arg(tests.join(self.name)).arg("--color=no").env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", folder.path());
        command.env("TMPWORKINGDIRECTORY", &surroundings).env("BENCH", &self.url);
        let places = [
            ("SOURCE_DIR", source.as_path()),
            ("BUILD_DIR", folder.path()),
            ("METHODS_DIR", Path::new("/usr/lib/apt/methods")),
            ("LIBEXEC_DIR", Path::new("/usr/lib/apt")),
            ("INTERNAL_SOLVER", Path::new("/usr/lib/apt/solvers/apt")),
            ("DUMP_SOLVER", Path::new("/usr/lib/apt/solvers/dump")),
            ("INTERNAL_PLANNER", Path::new("/usr/lib/apt/planners/apt")),
            ("FTPARCHIVE_BIN_DIR", Path::new("/usr/bin")),
            ("CMDLINE_BIN_DIR", Path::new("/usr/bin")),
            ("LIBRARY_PATH", Path::new("/nowhere")),
        ];
        for (name, place) in places {
            command.env(format!("APT_INTEGRATION_TESTS_{name}"), place);
        }
        let ended = run(&mut command);
        let passed = ended.stdout.lines().filter(|line| line.ends_with("PASS")).count();
        assert!(
            ended.code == 0 && passed >= checks,
            "{} should pass {checks} checks, and passed {passed}\n{ended}",
            self.name
        );
        std::mem::take(&mut lock_bench(&self.bench).by_server)
    }
}

fn open_folder() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o755)
}

/// What a test's archive is made of here.
struct Bench {
    key: PackageKey,
    server: Server,
    at_scale: Option<AtScale>,
    folder: TempDir,
    /// Each with its suite, in their order.
    packages: Vec<(String, PathBuf)>,
    /// What a test may take away from the suite, or forge.
    copy: Option<(String, RepositoryCopy)>,
    /// The paths that apt has got from our server as they are.
    by_server: BTreeSet<String>,
}

impl Bench {
    /// Does what our part of the surroundings asks for.
    fn obey(&mut self, words: &[&str]) -> String {
        match *words {
            // A package that the test describes.
            ["insert", suite, name, architecture, version] => {
                let deb = plain_deb(self.folder.path(), name, version, architecture, "");
                self.add(suite, &deb);
            }
            // A package that the test built.
            ["add", suite, deb] => self.add(suite, Path::new(deb)),
            // All of them are published, and nothing else was, so many seconds from now.
            ["publish", seconds] => {
                if self.at_scale.is_none() {
                    self.server.begin_at(seconds.parse().expect("a number of seconds"));
                }
                for (suite, deb) in &self.packages {
                    run(&mut self.server.debfleet(&["suite", "create", suite])).success();
                    let deb = deb.to_str().expect("a path of ours");
                    run(&mut self.server.debfleet(&["publish", deb, "--suite", suite])).success();
                }
            }
            // From now on apt finds only what this copy still has, and what was forged in it.
            ["copy", suite] => {
                let copy = RepositoryCopy::of_suite(&self.server, suite);
                let path = copy.path().join("debian").display().to_string();
                self.copy = Some((suite.to_owned(), copy));
                return path;
            }
            // Signs what the test wrote into the copy's Release, with our server's key. If it says what our server's
            // says, in any order, it is put back as that was.
            ["sign"] => {
                let Some((suite, copy)) = &self.copy else { return String::new() };
                let [release, inrelease, signature] =
                    ["Release", "InRelease", "Release.gpg"].map(|name| format!("/debian/dists/{suite}/{name}"));
                let ours = self.server.get(&release);
                if sorted(&ours) == sorted(&copy.read(&release)) {
                    for path in [release, inrelease, signature] {
                        copy.write(&path, &self.server.get(&path));
                    }
                } else {
                    copy.resign(&self.server.repository_key(), |text| text);
                }
            }
            _ => panic!("the test's surroundings ask for {words:?}"),
        }
        String::new()
    }

    fn add(&mut self, suite: &str, deb: &Path) {
        run(binary("debfleet").arg("sign").arg(deb).arg("--key").arg(self.key.secret())).success();
        self.packages.push((suite.to_owned(), deb.to_owned()));
    }

    /// The whole answer to a request of apt.
    fn serve(&mut self, path: &str, head: &str) -> std::io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(self.server.url().trim_start_matches("http://"))?;
        server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_default();
        if let Some((_, copy)) = self.copy.as_ref().filter(|_| path.starts_with("/debian/dists/")) {
            let file = copy.path().join(path.trim_start_matches('/'));
            match std::fs::read(&file) {
                Err(_) => return Ok(answer_of("404 Not Found", b"")),
                Ok(held) if answer.get(end + 4..) == Some(&held) => {}
                Ok(forged) => {
                    let mut date = Command::new("date");
                    date.args(["-u", "+OK\r\nLast-Modified: %a, %d %b %Y %H:%M:%S GMT", "-r"])
                        .arg(file)
                        .env("LC_ALL", "C");
                    return Ok(answer_of(&format!("200 {}", run(&mut date).success().trim_end()), &forged));
                }
            }
        }
        if answer.starts_with(b"HTTP/1.1 200 ") {
            self.by_server.insert(path.to_owned());
        }
        Ok(answer)
    }
}

fn answer_of(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn sorted(text: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    lines
}

/// If one request panicked, its message is the one to read, and the test ends.
fn lock_bench(bench: &Mutex<Bench>) -> MutexGuard<'_, Bench> {
    bench.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(mut stream: TcpStream, bench: &Mutex<Bench>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap_or_default();
        if name.eq_ignore_ascii_case("Content-Length") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        if !name.eq_ignore_ascii_case("Connection") {
            head.push_str(&line);
        }
    }
    let mut words = vec![0; length];
    reader.read_exact(&mut words)?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    let mut bench = lock_bench(bench);
    let answer = if head.starts_with("POST / ") {
        let words = String::from_utf8_lossy(&words);
        answer_of("200 OK", bench.obey(&words.split(' ').collect::<Vec<_>>()).as_bytes())
    } else {
        bench.serve(path, &head)?
    };
    stream.write_all(&answer)
}

/// apt's source, fetched once from Debian by the machine's apt: that of the release, which stays when updates go.
fn apts_source() -> PathBuf {
    let folder = target_dir().join("apt-source");
    std::fs::create_dir_all(&folder).expect("a folder for apt's source");
    let _lock = lock(&folder);
    let source = folder.join("apt");
    if !source.exists() {
        let line = "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
                    $(REPO_URI) $(RELEASE) $(COMPONENT)";
        let targets = ["indextargets", "--format", line, "Created-By: Packages", "Origin: Debian", "Label: Debian"];
        let lines = run(Command::new("apt-get").args(targets)).success();
        assert!(!lines.is_empty(), "apt has no index of Debian's packages: `apt-get update` fetches it");
        let work = tempfile::tempdir_in(&folder).expect("a temporary folder");
        std::fs::create_dir_all(work.path().join("lists/partial")).expect("a folder for indexes");
        put(&work.path().join("sources.list"), lines.as_bytes());
        let at = work.path().display();
        let settings = format!(
            "Dir::Etc::SourceList \"{at}/sources.list\"; Dir::Etc::SourceParts \"/dev/null\"; Dir::State::Lists \"{at}/lists\"; \
             Dir::Cache \"{at}/cache\"; APT::Sandbox::User \"root\";"
        );
        put(&work.path().join("settings"), settings.as_bytes());
        for arguments in [&["update"][..], &["source", "apt"]] {
            let mut apt = Command::new("apt-get");
            apt.current_dir(work.path()).env("APT_CONFIG", work.path().join("settings"));
            run(apt.arg("--quiet").args(arguments)).success();
        }
        let unpacked = work.path().read_dir().expect("its content").flatten().map(|entry| entry.path());
        let mut unpacked = unpacked.filter(|path| path.join("test/integration/framework").exists());
        put_in_place(&unpacked.next().expect("`apt-get source` unpacks it here"), &source);
    }
    source
}
