//! Killed in the middle, cut off from the server: the device goes on by itself, and never stays in between.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::hostile::Fault;
use end_to_end::{Device, HostileServer, PackageKey, RepositoryCopy, Server, Source, Tree, run};
use std::io::{BufRead, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Starts an update to this version, waits until something in the root writes to `/reached`, and kills the updater.
fn kill_when_reached(device: &Device) {
    let fifo = fifo(device);
    let mut updater =
        device.command(&["install"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the updater starts");
    // Opening waits for the script's side.
    let mut word = String::new();
    std::fs::File::open(&fifo).unwrap().read_to_string(&mut word).unwrap();
    updater.kill().unwrap();
    updater.wait().unwrap();
    std::fs::remove_file(fifo).unwrap();
}

fn fifo(device: &Device) -> PathBuf {
    let path = device.root.path().join("tmp/reached");
    run(Command::new("mkfifo").arg(&path)).success();
    path
}

/// Kills the updater where `change` makes hi 0.2.0 stop, and demands the old tree back.
#[track_caller]
fn assert_recovers(change: impl Fn(Source) -> Source, state: &str) {
    let key = PackageKey::new();
    let server = Server::start(&key);
    server.publish(&Source::hi().build(&key));
    let device = Device::new(server.url(), &key);
    device.install();
    server.publish(&change(Source::hi().bumped("0.2.0")).build(&key));
    let mut before = Tree::of(&device.root.path());
    kill_when_reached(&device);
    assert_eq!(device.state(), state);
    // Not even a broken configuration keeps the device in between: perhaps that very update broke it.
    device.configure(server.url(), "windows = [");
    device.updater(&["check"]).fails(1, "windows = [");
    let recovered = device.updater(&["recover"]).success();
    assert!(recovered.contains("rolled-back"), "{recovered}");
    device.configure(server.url(), "");
    let mut after = Tree::of(&device.root.path());
    for tree in [&mut before, &mut after] {
        *tree = tree.without("tmp");
    }
    before.assert_same(&after);
    assert!(device.failure().contains("interrupted"), "{}", device.failure());
    assert_eq!(device.says(), "Hello Deb! Version 0.1.0");

    // The next good version is taken as if nothing had been.
    server.publish(&Source::hi().bumped("0.3.0").build(&key));
    device.install();
    assert_eq!(device.says(), "Hello Deb! Version 0.3.0");
}

const STOP: &str = "\necho here > /tmp/reached\nexec sleep 100000\n";

#[test]
fn killed_in_the_new_preinst() {
    assert_recovers(|source| source.with_lines("scripts/preinst", STOP), "installing");
}

#[test]
fn killed_in_the_new_postinst() {
    assert_recovers(|source| source.with_lines("scripts/postinst", STOP), "installing");
}

#[test]
fn killed_during_the_health_check() {
    let stop = |source: Source| {
        source.with_text("debfleet.toml", "'\"$DPKG_ROOT/opt/hi/hi\"'", "'echo here > /tmp/reached; sleep 100000'")
    };
    assert_recovers(stop, "probation");
}

/// A device whose repository can misbehave, and a package large enough to be cut off.
struct Slow {
    hostile: HostileServer,
    device: Device,
    _copy: RepositoryCopy,
    _server: Server,
}

impl Slow {
    fn new() -> Self {
        let key = PackageKey::new();
        let server = Server::start(&key);
        let source = Source::hi().with_text(
            "debfleet.toml",
            "[scripts]",
            "[[files]]\nsource = \"noise\"\ndestination = \"/opt/hi/noise\"\n\n[scripts]",
        );
        let mut noise = vec![0; 1 << 20];
        std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
        end_to_end::debian_root::put(&source.path().join("noise"), &noise);
        server.publish(&source.build(&key));
        let copy = RepositoryCopy::of(&server);
        let hostile = HostileServer::serve(copy.path());
        let device = Device::new(hostile.url(), &key);
        Self { hostile, device, _copy: copy, _server: server }
    }

    fn package_requests(&self) -> Vec<Option<String>> {
        let requests = self.hostile.requests();
        requests.into_iter().filter(|request| request.path.ends_with(".deb")).map(|request| request.range).collect()
    }
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_ended() {
    let slow = Slow::new();
    slow.hostile.fault(".deb", Fault::CutAfter(300_000));
    slow.device.updater(&["install"]).fails(1, "the next attempt continues there");
    slow.hostile.mend();
    slow.device.install();
    let requests = slow.package_requests();
    let begins: Vec<Option<&str>> = requests.iter().map(Option::as_deref).collect();
    assert_eq!(begins, [None, Some("bytes=300000-")]);
    assert_eq!(slow.device.says(), "Hello Deb! Version 0.1.0");
}

#[test]
fn a_server_without_ranges_is_asked_for_the_whole_file_again() {
    let slow = Slow::new();
    slow.hostile.fault(".deb", Fault::CutAfter(300_000));
    slow.device.updater(&["install"]).fails(1, "ended after");
    slow.hostile.fault(".deb", Fault::NoRanges);
    slow.device.install();
    assert_eq!(slow.device.says(), "Hello Deb! Version 0.1.0");
}

#[test]
fn a_server_that_sends_another_range_is_asked_for_the_whole_file_again() {
    let slow = Slow::new();
    slow.hostile.fault(".deb", Fault::CutAfter(300_000));
    slow.device.updater(&["install"]).fails(1, "ended after");
    slow.hostile.fault(".deb", Fault::WrongRange);
    slow.device.install();
    assert_eq!(slow.device.says(), "Hello Deb! Version 0.1.0");
}

/// Killed in the middle, with apt at work when the updater starts again: it waits for its turn to put things back.
#[test]
fn a_rollback_waits_for_another_package_manager() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    server.publish(&Source::hi().build(&key));
    let device = Device::new(server.url(), &key);
    device.install();
    server.publish(&Source::hi().bumped("0.2.0").with_lines("scripts/postinst", STOP).build(&key));
    kill_when_reached(&device);
    let lock = device.root.path().join("var/lib/dpkg/lock-frontend");
    let held = std::fs::OpenOptions::new().write(true).open(lock).unwrap();
    rustix::fs::fcntl_lock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let mut recovering = device.command(&["recover"]).stderr(Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufReader::new(recovering.stderr.take().unwrap()).lines();
    let mut lines = lines.map(|line| line.unwrap());
    assert!(lines.any(|line| line.contains("waiting for it")));
    assert_eq!(device.state(), "rolling-back");
    drop(held);
    lines.for_each(drop);
    assert!(recovering.wait().unwrap().success());
    assert_eq!(device.state(), "rolled-back");
    assert_eq!(device.says(), "Hello Deb! Version 0.1.0");
}

/// The interrupted update may have been that of the keys themselves.
#[test]
fn an_interrupted_update_is_ended_also_without_usable_keys_or_facts() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    server.publish(&Source::hi().with_lines("scripts/postinst", STOP).build(&key));
    let device = Device::new(server.url(), &key);
    kill_when_reached(&device);
    device.break_keyrings();
    assert_eq!(device.state(), "installing");
    let facts = std::fs::read(device.root.path().join("var/lib/debfleet/memory.json")).unwrap();
    device.root.write("var/lib/debfleet/memory.json", b"{ damaged");
    device.updater(&["recover"]).fails(1, "guards against old releases");
    assert_eq!(device.root.shell("test -e /opt/hi").code, 1, "the old files are back all the same");
    device.root.write("var/lib/debfleet/memory.json", &facts);
    device.updater(&["recover"]).success();
    assert_eq!(device.state(), "rolled-back");
    device.updater(&["install"]).fails(1, "repository-keyring");
}

#[test]
fn two_updaters_do_not_work_at_once() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    server.publish(&Source::hi().with_lines("scripts/postinst", STOP).build(&key));
    let device = Device::new(server.url(), &key);
    let fifo = fifo(&device);
    let mut first = device.command(&["install"]).stderr(Stdio::null()).spawn().unwrap();
    std::fs::File::open(&fifo).unwrap().read_to_string(&mut String::new()).unwrap();
    device.updater(&["install"]).fails(1, "another debfleet-updater is at work");
    assert_eq!(device.state(), "installing");
    first.kill().unwrap();
    first.wait().unwrap();
    device.updater(&["recover"]).success();
}

#[test]
fn the_daemon_updates_by_itself_and_ends_when_told() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    let reached = "\necho here > /tmp/reached\n";
    server.publish(&Source::hi().with_lines("scripts/postinst", reached).build(&key));
    let device = Device::new(server.url(), &key);
    let fifo = fifo(&device);
    let daemon = device.command(&["run"]).stderr(Stdio::piped()).spawn().unwrap();
    std::fs::File::open(&fifo).unwrap().read_to_string(&mut String::new()).unwrap();
    // In the middle of a transaction: it is brought to its end first.
    let pid = rustix::process::Pid::from_child(&daemon);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = daemon.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(device.state(), "committed");
    assert_eq!(device.says(), "Hello Deb! Version 0.1.0");
}
