//! Many at once, and a server that dies again and again: apt never sees halves, and nothing acknowledged is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use end_to_end::debian_root::put;
use end_to_end::server::get;
use end_to_end::{AtScale, Balancer, Ended, PackageKey, Server, Source, run};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const PACKAGES: usize = 48;
const KILLS: usize = 12;
const PUBLISHERS: usize = 2;
const CLIENTS: usize = 4;

/// What apt says when what it was given does not fit together.
const NEVER: [&str; 7] = [
    "Hash Sum mismatch",
    "unexpected size",
    "mirror sync in progress",
    "404  Not Found",
    "BADSIG",
    "is not signed",
    "Unable to find expected entry",
];

/// What it says when the server is dead, or dies while it sends. No other failure is allowed.
const DEAD: [&str; 5] =
    ["Could not connect", "Connection failed", "Error reading from server", "Connection closed", "reset by peer"];

#[test]
fn clients_and_publishers_never_see_that_the_server_is_killed_again_and_again() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    let url = server.url().to_owned();
    hold(&key, &mut [server], &url);
}

#[test]
fn the_same_holds_with_two_processes_on_one_database_and_one_bucket() {
    let key = PackageKey::new();
    let at_scale = AtScale::start();
    let mut servers = Server::start_at_scale(&key, &at_scale, 2);
    let balancer = Balancer::before(&servers);
    hold(&key, &mut servers, &balancer.url());
}

/// Has clients and publishers work at `url` while one of the servers after the other is killed.
fn hold(key: &PackageKey, servers: &mut [Server], url: &str) {
    let mut random = Random::seeded();
    let packages = Packages::build(key);
    let mut waiting = packages.files.clone();
    // The clients need something that they can ask for.
    servers[0].publish(&waiting.remove(0));
    let clients: Vec<Client> = (0..CLIENTS).map(|_| Client::of(url)).collect();
    let upload = Upload { url: format!("{url}/api/v1/suites/stable/packages"), token: servers[0].token().into() };
    waiting.reverse();
    let (waiting, progress) = (Mutex::new(waiting), Progress::default());
    let published = AtomicBool::new(false);
    let (rounds, broken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // Each kill comes after so many acknowledged packages.
    let mut kills: Vec<usize> = (0..KILLS).map(|_| random.below(PACKAGES * 9 / 10)).collect();
    kills.sort_unstable();

    std::thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| {
                while !published.load(Ordering::Relaxed) {
                    match client.round() {
                        Ok(whole) => _ = if whole { &rounds } else { &broken }.fetch_add(1, Ordering::Relaxed),
                        Err(surprise) => return progress.surprise(surprise),
                    }
                }
            });
        }
        let publishers = [(); PUBLISHERS].map(|()| scope.spawn(|| publish_all(&waiting, &upload, &progress)));
        for kill in kills {
            if !progress.wait_for(kill) {
                break;
            }
            std::thread::sleep(Duration::from_millis(random.below(40) as u64));
            let server = &mut servers[random.below(servers.len())];
            server.kill();
            let acknowledged = progress.acknowledged();
            server.resume();
            let index = index(server.url());
            let lost = acknowledged.iter().find(|package| !index.contains_key(&packages.sha256[*package]));
            if let Some(package) = lost {
                progress.surprise(format!("{} was acknowledged, and is lost", package.display()));
            }
        }
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        published.store(true, Ordering::Relaxed);
    });
    println!("{rounds:?} rounds of apt went through, {broken:?} broke off");
    progress.assert_no_surprise();

    assert_eq!(progress.acknowledged().len(), PACKAGES - 1);
    for server in servers.iter_mut() {
        // What another one published last is shown at the latest when it starts.
        server.kill();
        server.resume();
        let index = index(server.url());
        assert_eq!(index.len(), PACKAGES);
        for package in &packages.files {
            let hash = &packages.sha256[package];
            let filename = index.get(hash).unwrap_or_else(|| panic!("{} is not in the index", package.display()));
            assert_eq!(*hash, sha256(&server.get(&format!("/debian/{filename}"))), "{filename}");
        }
    }
    for client in &clients {
        client.update().success();
        client.download().success();
        let newest = format!("cache/archives/hi_1.{PACKAGES}.0-1_all.deb");
        assert!(client.folder.path().join(newest).exists());
    }
}

/// Sends each package until an answer comes that it is published.
fn publish_all(waiting: &Mutex<Vec<PathBuf>>, upload: &Upload, progress: &Progress) {
    loop {
        let Some(package) = waiting.lock().unwrap().pop() else { return };
        loop {
            match upload.send(&package).as_str() {
                // The second: it was, and the answer got lost.
                "201" | "200" => break progress.acknowledge(package),
                // The server is dead, and nginx says so.
                "000" | "502" => {}
                status => return progress.surprise(format!("{} was answered {status}", package.display())),
            }
        }
    }
}

struct Upload {
    url: String,
    token: String,
}

impl Upload {
    /// The answer's status, 000 without an answer.
    fn send(&self, package: &Path) -> String {
        let token = format!("Authorization: Bearer {}", self.token);
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "-H", "Expect:", "-H", &token, "-T"]);
        run(curl.arg(package).arg(&self.url)).stdout
    }
}

/// What the threads tell each other.
#[derive(Default)]
struct Progress {
    told: Mutex<Told>,
    changed: Condvar,
}

#[derive(Default)]
struct Told {
    acknowledged: Vec<PathBuf>,
    surprise: Option<String>,
}

impl Progress {
    fn acknowledge(&self, package: PathBuf) {
        self.told.lock().unwrap().acknowledged.push(package);
        self.changed.notify_all();
    }

    fn surprise(&self, surprise: String) {
        self.told.lock().unwrap().surprise.get_or_insert(surprise);
        self.changed.notify_all();
    }

    /// Waits until so many were acknowledged; false after a surprise.
    fn wait_for(&self, count: usize) -> bool {
        let waiting = |told: &mut Told| told.acknowledged.len() < count && told.surprise.is_none();
        self.changed.wait_while(self.told.lock().unwrap(), waiting).unwrap().surprise.is_none()
    }

    fn acknowledged(&self) -> Vec<PathBuf> {
        self.told.lock().unwrap().acknowledged.clone()
    }

    #[track_caller]
    fn assert_no_surprise(&self) {
        assert_eq!(self.told.lock().unwrap().surprise.as_deref(), None);
    }
}

/// Versions of one package, in order.
struct Packages {
    _folder: TempDir,
    files: Vec<PathBuf>,
    sha256: HashMap<PathBuf, String>,
}

impl Packages {
    fn build(key: &PackageKey) -> Self {
        // Some of it is on its way when the server is killed.
        let noise = "[[files]]\nsource = \"noise\"\ndestination = \"/opt/hi/noise\"\n\n[scripts]";
        let mut source = Source::hi().with_text("debfleet.toml", "[scripts]", noise);
        let mut random = Random(1);
        let bytes: Vec<u8> = (0..256 << 10).map(|_| random.below(256) as u8).collect();
        put(&source.path().join("noise"), &bytes);
        let folder = tempfile::tempdir().unwrap();
        let (mut files, mut hashes) = (Vec::new(), HashMap::new());
        for number in 1..=PACKAGES {
            source = source.bumped(&format!("1.{number}.0"));
            let built = std::fs::read(source.build(key)).unwrap();
            let file = folder.path().join(format!("{number}.deb"));
            put(&file, &built);
            hashes.insert(file.clone(), sha256(&built));
            files.push(file);
        }
        Self { _folder: folder, files, sha256: hashes }
    }
}

/// The paths of what the index names, by their SHA-256.
fn index(url: &str) -> HashMap<String, String> {
    let index = get(&format!("{url}/debian/dists/stable/main/binary-amd64/Packages"));
    let index = String::from_utf8(index).unwrap();
    let stanzas = index.split("\n\n").filter(|stanza| !stanza.trim().is_empty());
    let field = |stanza: &str, name: &str| stanza.lines().find_map(|line| Some(line.strip_prefix(name)?.to_owned()));
    stanzas.map(|stanza| (field(stanza, "SHA256: ").unwrap(), field(stanza, "Filename: ").unwrap())).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An apt with a state of its own.
struct Client {
    folder: TempDir,
}

impl Client {
    fn of(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "etc/apt.conf.d",
            "etc/preferences.d",
            "etc/sources.list.d",
            "state/lists/partial",
            "cache/archives/partial",
        ] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        put(&folder.path().join("etc/sources.list.d/stable.sources"), &get(&format!("{url}/debian/stable.sources")));
        put(&folder.path().join("status"), b"");
        let at = folder.path().display();
        // It does not try again by itself: each failure is to be seen.
        let settings = format!(
            "Dir::Etc \"{at}/etc\";\nDir::State \"{at}/state\";\nDir::State::status \"{at}/status\";\n\
             Dir::Cache \"{at}/cache\";\nDir::Log \"{at}\";\nAPT::Architecture \"amd64\";\nAPT::Sandbox::User \"\";\n\
             APT::Update::Error-Mode \"any\";\nAcquire::Retries \"0\";\nAcquire::http::Proxy \"DIRECT\";\n"
        );
        put(&folder.path().join("apt.conf"), settings.as_bytes());
        let client = Self { folder };
        // From here on it knows the package, also when its next update fails.
        client.update().success();
        client
    }

    fn apt(&self, arguments: &[&str]) -> Ended {
        let settings = self.folder.path().join("apt.conf");
        run(Command::new("apt-get").args(arguments).env("APT_CONFIG", settings).env("LC_ALL", "C"))
    }

    fn update(&self) -> Ended {
        self.apt(&["update"])
    }

    /// Downloads the newest version that it knows; what it has of it already is continued.
    fn download(&self) -> Ended {
        for entry in self.folder.path().join("cache/archives").read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                std::fs::remove_file(path).unwrap();
            }
        }
        self.apt(&["install", "--yes", "--download-only", "hi"])
    }

    /// An update and a download, which may fail, but only because the server cannot be reached; whether they did not.
    fn round(&self) -> Result<bool, String> {
        let mut whole = true;
        for ended in [self.update(), self.download()] {
            let printed = ended.all();
            let says = |words: &[&str]| words.iter().any(|words| printed.contains(words));
            if says(&NEVER) || (ended.code != 0 && !says(&DEAD)) {
                return Err(ended.to_string());
            }
            whole &= ended.code == 0;
        }
        Ok(whole)
    }
}

/// Numbers that come again from the same seed (Steele, Lea and Flood's SplitMix64).
struct Random(u64);

impl Random {
    /// From `DEBFLEET_TEST_SEED`, or anew; prints the seed.
    fn seeded() -> Self {
        let fresh = || SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into();
        let seed = std::env::var("DEBFLEET_TEST_SEED").map_or_else(|_| fresh(), |seed| seed.parse().unwrap());
        println!("DEBFLEET_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) as usize % bound
    }
}
