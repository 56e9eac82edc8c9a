//! `run`: what an idle poll costs, and when an update that was found is installed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::hostile::{Fault, Request};
use end_to_end::{Device, HostileServer, PackageKey, RepositoryCopy, Server, Source, run};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// A device on hi 0.1.0 whose server counts requests and may offer 0.2.0.
struct Bench {
    key: PackageKey,
    server: Server,
    copy: RepositoryCopy,
    hostile: HostileServer,
    device: Device,
}

impl Bench {
    fn new() -> Self {
        let key = PackageKey::new();
        let server = Server::start(&key);
        server.publish(&Source::hi().build(&key));
        let copy = RepositoryCopy::of(&server);
        let hostile = HostileServer::serve(copy.path());
        let device = Device::new(hostile.url(), &key);
        device.install();
        hostile.forget_requests();
        Self { key, server, copy, hostile, device }
    }

    fn offer_next(&self) {
        self.server.publish(&Source::hi().bumped("0.2.0").build(&self.key));
        self.copy.refresh(&self.server);
    }

    fn configure(&self, extra: &str) {
        self.device.configure(self.hostile.url(), &format!("poll-interval = 1\n{extra}"));
    }

    /// `run`, until the test ends it.
    fn run(&self) -> Running {
        let mut command = self.device.command(&["run"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || lines.for_each(|line| drop(sender.send(line))));
        Running { child, log }
    }

    fn downloads(&self) -> usize {
        self.hostile.requests().iter().filter(|request| request.path.contains("/pool/")).count()
    }
}

struct Running {
    child: Child,
    log: Receiver<String>,
}

impl Running {
    /// Reads the log up to a line with this text.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        // Long enough for the slowest machine.
        let patience = Duration::from_secs(300);
        let mut read = String::new();
        while !read.contains(text) {
            let line = self.log.recv_timeout(patience);
            assert!(line.is_ok(), "it did not say {text:?}:\n{read}");
            read += &(line.unwrap_or_default() + "\n");
        }
    }

    /// Ends it as systemd would, and gives the rest of its log.
    fn end(mut self) -> String {
        kill_process(Pid::from_raw(self.child.id().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
        let rest: Vec<String> = self.log.iter().collect();
        let rest = rest.join("\n");
        assert!(self.child.wait().unwrap().success(), "{rest}");
        rest
    }
}

/// A test that fails leaves nobody polling.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What it costs to find nothing new: one question, one answer without a body, no program, no write.
#[test]
fn an_idle_poll_costs_one_answer_not_modified() {
    let bench = Bench::new();
    bench.configure("");
    let running = bench.run();
    bench.hostile.wait_for(3);
    let state = || {
        let list = "cd /var/lib/debfleet && find . -printf '%p %s %C@ %i\\n' | sort";
        bench.device.root.shell(list).success()
    };
    let before = state();
    bench.hostile.wait_for(8);
    assert_eq!(state(), before, "an idle poll writes nothing and starts no program, whose output would be logged");
    let log = running.end();
    let release =
        |status| Request { path: "/debian/dists/stable/InRelease".into(), range: None, authorization: None, status };
    let requests = bench.hostile.requests();
    assert!(requests.iter().all(|request| *request == release(304)), "{requests:?}\n{log}");
}

/// An answer "not modified" makes nothing fresh: a server that gives it for ever is found out when the Release expires.
#[test]
fn frozen_server_that_answers_not_modified() {
    let bench = Bench::new();
    bench.hostile.fault("InRelease", Fault::NeverModified);
    bench.offer_next();
    let checked = bench.device.updater(&["check"]).success();
    assert!(checked.contains("up to date"), "the server hides the update as yet: {checked}");
    let check = bench.device.command(&["check"]);
    let mut later = Command::new("faketime");
    later.args(["-f", "+3650d"]).arg(check.get_program()).args(check.get_args());
    run(&mut later).fails(1, "expired");
    bench.hostile.mend();
    assert!(bench.device.updater(&["check"]).success().contains("0.2.0-1 is available"));
}

#[test]
fn a_kept_index_that_was_changed_on_the_disk_is_not_believed() {
    let bench = Bench::new();
    bench.offer_next();
    bench.device.updater(&["check"]).success();
    let index = bench.device.root.path().join("var/lib/debfleet/index/stable");
    for entry in index.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        let half = String::from_utf8_lossy(&content).replace("Date: ", "Date:  ").into_bytes();
        end_to_end::debian_root::put(&path, if half == content { &content[..content.len() / 2] } else { &half });
    }
    bench.hostile.forget_requests();
    assert!(bench.device.updater(&["check"]).success().contains("0.2.0-1 is available"));
    let statuses: Vec<u16> = bench.hostile.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [200, 200], "both files are fetched again");

    // What cannot be kept at all is no obstacle.
    std::fs::remove_dir_all(&index).unwrap();
    bench.device.root.write("var/lib/debfleet/index/stable", b"");
    assert!(bench.device.updater(&["check"]).success().contains("0.2.0-1 is available"));
}

/// An hour that is not now, on any day.
fn another_hour() -> String {
    let hour = run(Command::new("date").arg("+%-H")).success();
    let hour: u32 = hour.trim().parse().unwrap();
    format!("windows = [\"{:02}:00-{:02}:00\"]", (hour + 11) % 24, (hour + 12) % 24)
}

#[test]
fn outside_of_a_window_an_update_is_brought_here_and_waits() {
    let bench = Bench::new();
    bench.offer_next();
    bench.configure(&another_hour());
    let mut running = bench.run();
    running.wait_for("hi 0.2.0-1 waits for the maintenance window that opens at ");
    bench.hostile.wait_for(bench.hostile.requests().len() + 3);
    let log = running.end();
    assert!(!log.contains("waits for"), "it is told once:\n{log}");
    assert_eq!(bench.device.says(), "Hello Deb! Version 0.1.0");
    assert_eq!(bench.downloads(), 1);
    let waiting = bench.device.status()["waiting"].as_str().unwrap().to_owned();
    assert!(waiting.starts_with("hi 0.2.0-1 waits for the maintenance window"), "{waiting}");

    bench.configure("windows = [\"00:00-24:00\"]");
    let mut running = bench.run();
    running.wait_for("the update of hi ended: committed");
    running.end();
    assert_eq!(bench.device.says(), "Hello Deb! Version 0.2.0");
    assert_eq!(bench.downloads(), 1, "what was brought here is not downloaded again");
    assert!(bench.device.status()["waiting"].is_null());
}

#[test]
fn an_update_waits_for_power_and_for_a_free_network_but_not_when_it_is_asked_for() {
    let bench = Bench::new();
    bench.offer_next();
    for (name, value) in [("type", "Battery"), ("status", "Discharging"), ("capacity", "19")] {
        bench.device.root.write(&format!("sys/class/power_supply/BAT0/{name}"), value.as_bytes());
    }
    bench.configure("metered = \"always\"");
    let mut running = bench.run();
    running.wait_for("hi 0.2.0-1 waits for the battery to be charged");
    bench.device.root.write("sys/class/power_supply/BAT0/capacity", b"20");
    running.wait_for("hi 0.2.0-1 waits for a network that is not metered");
    running.end();
    assert_eq!(bench.downloads(), 0);
    assert_eq!(bench.device.status()["waiting"], "hi 0.2.0-1 waits for a network that is not metered");
    bench.device.install();
    assert!(bench.device.status()["waiting"].is_null());
    assert_eq!(bench.device.says(), "Hello Deb! Version 0.2.0");
}

/// Forty packages in different phases, on devices of different machine-ids: each device takes what apt on it would take.
#[test]
fn phased_updates_are_those_that_apt_takes() {
    let (key, folder) = (PackageKey::new(), tempfile::tempdir().unwrap());
    let server = Server::start(&key);
    server.publish(&Source::hi().build(&key));
    let copy = RepositoryCopy::of(&server);
    let (mut index, mut status, mut names) = (String::new(), String::new(), Vec::new());
    for number in 0..40 {
        let name = format!("phased{number}");
        let control = |version: &str| {
            // Some come from a source of another name, and some from one of another version.
            let source = ["", "Source: origin\n", "Source: origin (1:7-3)\n"][number % 3];
            format!("Package: {name}\n{source}Version: {version}\nArchitecture: all\nMaintainer: a\nDescription: d\n")
        };
        let phase =
            if number == 39 { String::new() } else { format!("Phased-Update-Percentage: {}\n", number * 100 / 38) };
        let file = format!("Filename: pool/{name}.deb\nSize: 1\nSHA256: {}\n", "0".repeat(64));
        index += &format!("{}{phase}{file}\n", control("2.0-1"));
        status += &format!("{}Status: install ok installed\n\n", control("1.0-1"));
        names.push(name);
    }
    copy.write("/debian/dists/stable/main/binary-amd64/Packages", index.as_bytes());
    let hash = run(Command::new("sha256sum").arg(copy.path().join("debian/dists/stable/main/binary-amd64/Packages")));
    let hash = hash.success().split(' ').next().unwrap().to_owned();
    copy.resign(&server.repository_key(), |release| {
        let head = release.split("SHA256:").next().unwrap().to_owned();
        format!("{head}SHA256:\n {hash} {} main/binary-amd64/Packages\n", index.len())
    });
    let hostile = HostileServer::serve(copy.path());

    let root = folder.path().join("root");
    let write = |path: &str, content: &[u8]| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        end_to_end::debian_root::put(&path, content);
    };
    write("var/lib/dpkg/status", status.as_bytes());
    let keyring = root.join("etc/apt/trusted.gpg.d/fleet.gpg");
    write("etc/apt/trusted.gpg.d/fleet.gpg", &copy.read("/debian/repository.gpg"));
    write("etc/apt/sources.list", format!("deb {}/debian stable main\n", hostile.url()).as_bytes());
    for folder in ["etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    let keyring = keyring.display();
    let config = format!(
        "repository = \"{}/debian\"\nsuite = \"stable\"\npackages = {names:?}\narchitecture = \"amd64\"\n\
         repository-keyring = \"{keyring}\"\npackage-keyring = \"{keyring}\"\n",
        hostile.url()
    );
    write("updater.toml", config.as_bytes());
    let apt = |machine: &str, arguments: &[&str]| {
        // In a chroot apt takes all phased updates; it tells one by the root of process 1.
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--mount-proc", "apt-get"]);
        command.arg("-o").arg(format!("Dir={}", root.display())).args(["-o", "Dir::Bin::Methods=/usr/lib/apt/methods"]);
        command.arg("-o").arg(format!("Dir::State::status={}/var/lib/dpkg/status", root.display()));
        command.arg("-o").arg(format!("APT::Machine-ID={machine}")).args(["-o", "APT::Sandbox::User=root"]);
        run(command.args(["-o", "APT::Architecture=amd64"]).args(arguments).env_remove("SOURCE_DATE_EPOCH")).success()
    };
    apt("", &["update", "-o", "APT::Update::Error-Mode=any"]);

    let mut kept_back = 0;
    for device in 0..6 {
        let machine =
            run(Command::new("sh").args(["-c", &format!("echo device {device} | md5sum | cut -c -32")])).success();
        write("etc/machine-id", machine.as_bytes());
        let planned = apt(machine.trim(), &["--simulate", "upgrade"]);
        let mut apts: Vec<&str> =
            planned.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next()).collect();
        let mut check = end_to_end::binary("debfleet-updater");
        check.arg("--config").arg(root.join("updater.toml")).arg("--root").arg(&root).args(["check", "--json"]);
        let checked: serde_json::Value = serde_json::from_str(&run(&mut check).success()).unwrap();
        let packages = checked["packages"].as_array().unwrap().iter();
        let mut ours: Vec<&str> = packages
            .filter(|package| !package["available"].is_null())
            .map(|package| package["name"].as_str().unwrap())
            .collect();
        apts.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, apts, "machine-id {machine}");
        kept_back += names.len() - ours.len();
    }
    // Of 240 about half.
    assert!((60..180).contains(&kept_back), "{kept_back}");
}
