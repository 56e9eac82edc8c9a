//! The campaign of power cuts: the power goes at a random moment of a real update under systemd, the machine boots
//! again, and its disk must hold the old tree or the new one.

mod container;
mod virtual_machine;

use super::Tally;
use crate::debian_root::{DebianRoot, put};
use crate::package::{PackageKey, Source};
use crate::server::Server;
use crate::tree::{Known, Tree};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a campaign is, and which random moments it takes.
#[derive(Debug, Clone, Copy)]
pub struct PowerCuts {
    /// So many.
    pub cuts: usize,
    /// The same seed gives the same moments.
    pub seed: u64,
    /// On a virtual machine with a kernel of its own, and not in a container.
    pub is_virtual: bool,
}

/// What a machine boots from.
trait Disk {
    /// Switches the machine on, and waits until it listens.
    fn boot(&mut self) -> Box<dyn Machine>;
}

/// A machine that is on.
trait Machine {
    /// Runs a line of shell in it. Gives its exit code and what it printed.
    fn shell(&mut self, command: &str) -> (i32, String);

    /// Cuts its power: what it did not flush is lost.
    fn cut(self: Box<Self>);

    /// What is on its disk now.
    fn picture(&mut self, known: &mut Known) -> Tree;

    /// Runs a line of shell in it, which must succeed.
    #[track_caller]
    fn does(&mut self, command: &str) -> String {
        let (code, printed) = self.shell(command);
        assert!(code == 0, "{command} ended with {code}:\n{printed}");
        printed
    }
}

/// What a running Debian changes by itself.
const VOLATILE: [&str; 8] =
    ["var/log", "var/lib/systemd", "var/tmp", "tmp", "run", "lost+found", "etc/machine-id", "var/lib/private"];

/// An update that the power is cut in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A package with a service, to its other version.
    Plain,
    /// The same to one whose health check fails.
    Unhealthy,
    /// The updater itself.
    Itself,
    /// A package that takes the network away.
    Network,
}

const KINDS: [(Kind, &str); 5] = [
    (Kind::Plain, "an update"),
    (Kind::Itself, "an update of the updater"),
    (Kind::Unhealthy, "an unhealthy update"),
    (Kind::Plain, "an update"),
    (Kind::Network, "an update that breaks the network"),
];

/// The two versions that a package goes between.
const VERSIONS: [&str; 2] = ["0.1.0-1", "0.2.0-1"];
/// Has a health check that fails.
const UNHEALTHY: &str = "0.3.0-1";
/// The updater's own second version.
const NEWER_SELF: &str = "99.0.0";

/// By then an update in a container has installed everything.
const BUSY: Duration = Duration::from_secs(3);

/// Longest wait for an update to end or to be recovered.
const REST: Duration = Duration::from_secs(180);

/// Cuts the power so many times, and counts how the device came back.
pub fn power_campaign(asked: PowerCuts) -> Tally {
    let mut bench = Bench::new(asked.is_virtual);
    let mut random = Random(asked.seed | 1);
    let mut tally = Tally::default();
    let begun = Instant::now();
    for number in 0..asked.cuts {
        let (kind, what) = KINDS[number % KINDS.len()];
        // What waits longer than this only watches the new version.
        let busy = if asked.is_virtual { bench.usual(kind) } else { bench.usual(kind).min(BUSY) };
        let moment = busy.mul_f64(random.fraction() * 1.1);
        let ended = bench.round(kind, moment);
        match &ended {
            Ok(true) => tally.new += 1,
            Ok(false) => tally.old += 1,
            Err(_) => tally.between += 1,
        }
        let ended = match ended {
            Ok(true) => "new".to_owned(),
            Ok(false) => "old".to_owned(),
            Err(why) => format!("in between: {why}"),
        };
        println!("cut {} after {:.2} s of {what}: {ended}", number + 1, moment.as_secs_f64());
    }
    println!("{} cuts with seed {} in {} s", asked.cuts, asked.seed, begun.elapsed().as_secs());
    println!("{tally}");
    tally
}

struct Bench {
    // It goes before its disk does.
    machine: Option<Box<dyn Machine>>,
    disk: Box<dyn Disk>,
    _server: Server,
    known: Known,
    /// The lasting tree of each pair of versions: of hi, and of the updater.
    references: BTreeMap<(String, String), Tree>,
    /// How long an undisturbed update takes.
    usual: Vec<(Kind, Duration)>,
    own: [String; 2],
}

impl Bench {
    fn new(is_virtual: bool) -> Self {
        let key = PackageKey::new();
        let server = Server::start(&key);
        for source in [hi(VERSIONS[0]), hi(VERSIONS[1]), unhealthy(), wire(VERSIONS[0]), wire(VERSIONS[1])] {
            server.publish(&source.build(&key));
        }
        let sources = own_sources();
        let ours = [sources[0].build(&key), sources[1].build(&key)];
        ours.iter().for_each(|package| server.publish(package));
        let own = [version_of(&ours[0]), version_of(&ours[1])];
        let furnish = |root: &DebianRoot, host: &str| furnish(root, &server, host, &key, &ours[0]);
        let mut disk: Box<dyn Disk> = if is_virtual {
            Box::new(virtual_machine::VirtualDisk::new(|root| furnish(root, virtual_machine::HOST)))
        } else {
            Box::new(container::ImageFile::new(|root| furnish(root, container::HOST)))
        };
        let machine = Some(disk.boot());
        let mut bench = Self {
            disk,
            machine,
            _server: server,
            known: Known::default(),
            references: BTreeMap::new(),
            usual: Vec::new(),
            own,
        };
        bench.learn();
        bench
    }

    fn machine(&mut self) -> &mut dyn Machine {
        self.machine.as_mut().expect("it is switched on").as_mut()
    }

    /// Makes each update undisturbed, and keeps how long it takes and what tree it makes.
    fn learn(&mut self) {
        for (name, version) in [("hi", VERSIONS[0]), ("wire", VERSIONS[0])] {
            let (code, printed) = self.machine().shell(&format!("debfleet-updater install {name}={version}"));
            assert!(code == 0, "{printed}");
        }
        // The first time is slower, and dpkg's database has another history.
        for kind in [
            Kind::Plain,
            Kind::Itself,
            Kind::Plain,
            Kind::Itself,
            Kind::Unhealthy,
            Kind::Network,
            Kind::Plain,
            Kind::Itself,
            Kind::Plain,
            Kind::Itself,
        ] {
            let before = self.picture();
            let begun = Instant::now();
            let command = self.command(kind);
            self.machine().does(&command);
            let state = self.wait_for_rest().expect("nothing disturbs it");
            self.usual.retain(|(of, _)| *of != kind);
            self.usual.push((kind, begun.elapsed()));
            println!("undisturbed, {kind:?} takes {:.2} s and ends {state}", begun.elapsed().as_secs_f64());
            let after = self.picture();
            if matches!(kind, Kind::Unhealthy | Kind::Network) {
                assert_eq!(state, "rolled-back");
                before.assert_same(&after);
                continue;
            }
            assert_eq!(state, "committed", "{}", self.machine().shell("debfleet-updater status").1);
            let versions = self.versions();
            assert!(!before.differences(&after).is_empty(), "{kind:?} changed nothing at {versions:?}");
            if let Some(reference) = self.references.insert(versions, after.lasting()) {
                reference.assert_same(&after.lasting());
            }
        }
    }

    fn usual(&self, kind: Kind) -> Duration {
        self.usual.iter().find(|(of, _)| *of == kind).map_or(Duration::from_secs(5), |(_, usual)| *usual)
    }

    /// The installed versions of hi and of the updater.
    fn versions(&mut self) -> (String, String) {
        let asked = "for name in hi debfleet-updater; do dpkg-query -W -f '${Version}\\n' $name; done";
        let printed = self.machine().does(asked);
        let mut lines = printed.lines().map(|line| line.trim().to_owned());
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
    }

    /// Starts an update in the background, as a person would over ssh.
    fn command(&mut self, kind: Kind) -> String {
        let (hi, own) = self.versions();
        let other =
            |now: &str, versions: [&str; 2]| versions.into_iter().find(|version| *version != now).map(str::to_owned);
        let wanted = match kind {
            Kind::Plain => format!("hi={}", other(&hi, VERSIONS).expect("there are two")),
            Kind::Unhealthy => format!("hi={UNHEALTHY}"),
            Kind::Itself => {
                let versions = [self.own[0].as_str(), self.own[1].as_str()];
                format!("debfleet-updater={}", other(&own, versions).expect("there are two"))
            }
            Kind::Network => format!("wire={}", VERSIONS[1]),
        };
        format!("systemd-run --quiet --collect --unit=attempt debfleet-updater install {wanted} --allow-downgrade")
    }

    /// One cut. Gives whether the device came back on the new tree.
    fn round(&mut self, kind: Kind, moment: Duration) -> Result<bool, String> {
        let before = self.picture();
        let command = self.command(kind);
        self.machine().does(&command);
        std::thread::sleep(moment);
        self.machine.take().expect("it is switched on").cut();
        self.machine = Some(self.disk.boot());
        let state = self.wait_for_rest()?;
        let after = self.picture();
        let from_old = before.differences(&after);
        if from_old.is_empty() {
            return Ok(false);
        }
        let versions = self.versions();
        let show = |differences: Vec<String>| differences.into_iter().take(6).collect::<Vec<_>>().join("\n");
        if matches!(kind, Kind::Unhealthy | Kind::Network) {
            return Err(format!("state {state}, not the old tree: {}", show(from_old)));
        }
        let reference = self.references.get(&versions);
        let reference = reference.ok_or_else(|| format!("state {state}, versions {versions:?}"))?;
        let from_new = reference.differences(&after.lasting());
        if from_new.is_empty() && state == "committed" {
            return Ok(true);
        }
        Err(format!("state {state}\nnot the old tree: {}\nnot the new tree: {}", show(from_old), show(from_new)))
    }

    /// Waits until no update is under way, and gives the state.
    fn wait_for_rest(&mut self) -> Result<String, String> {
        let deadline = Instant::now() + REST;
        loop {
            // The early boot's recovery and the background's update are over, and nobody holds the updater.
            let ask = "systemctl is-active --quiet attempt.service && exit 9; debfleet-updater status --json";
            let (code, printed) = self.machine().shell(ask);
            let status: Value = serde_json::from_str(&printed).unwrap_or_default();
            let state = status["state"].as_str().unwrap_or_default().to_owned();
            if code == 0 && ["idle", "committed", "rolled-back", "abandoned"].contains(&state.as_str()) {
                return Ok(state);
            }
            if Instant::now() > deadline {
                let log = self.machine().shell("journalctl --no-pager --lines=40").1;
                return Err(format!("no state at rest within {} s: {printed}\n{log}", REST.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What is on the machine's disk now, seen from outside.
    fn picture(&mut self) -> Tree {
        let machine = self.machine.as_mut().expect("it is switched on");
        machine.picture(&mut self.known).beyond(&VOLATILE)
    }
}

/// What the device has before its first boot: the updater as a package, and whom it trusts.
fn furnish(root: &DebianRoot, server: &Server, host: &str, key: &PackageKey, updater: &Path) {
    let port = server.url().rsplit_once(':').expect("a port").1;
    root.write("etc/debfleet/repository.gpg", &server.get("/debian/repository.gpg"));
    root.write("etc/debfleet/package.gpg", &std::fs::read(key.keyring()).expect("the keyring"));
    let configuration = format!(
        "repository = \"http://updates.test:{port}/debian\"\nsuite = \"stable\"\npackages = []\n\
         repository-keyring = \"/etc/debfleet/repository.gpg\"\npackage-keyring = \"/etc/debfleet/package.gpg\"\n"
    );
    root.write("etc/debfleet/updater.toml", configuration.as_bytes());
    root.write("etc/hosts", format!("127.0.0.1 localhost\n{host} updates.test\n").as_bytes());
    root.write("updater.deb", &std::fs::read(updater).expect("the package"));
    root.shell("dpkg --install /updater.deb && rm /updater.deb").success();
}

/// hi with a service and some data, of which a part changes.
fn hi(version: &str) -> Source {
    let data = "[[files]]\nsource = \"data\"\ndestination = \"/opt/hi/data\"\n\n[systemd]\nunits = [\"hi.service\"]\n\n[scripts]";
    let health = "\n[[update.health]]\nunit = \"hi.service\"\nhold = 1\n";
    let unit =
        "[Unit]\nDescription=hi\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";
    let source = Source::hi().with_text("debfleet.toml", "[scripts]", data).with_lines("debfleet.toml", health);
    let source = source.with_file("hi.service", unit);
    let source = ["preinst", "postinst", "prerm", "postrm"]
        .iter()
        .fold(source, |source, script| source.with_lines(&format!("scripts/{script}"), "\n#DEBHELPER#\n"));
    std::fs::create_dir(source.path().join("data")).expect("a folder for the data");
    let of = |number: usize| if number.is_multiple_of(3) { version } else { "every version" };
    let source = (0..60).fold(source, |source, number| {
        source.with_file(&format!("data/{number}"), &format!("data {number} of {}\n", of(number)).repeat(2000))
    });
    at(source, version)
}

fn unhealthy() -> Source {
    hi(UNHEALTHY).with_text("debfleet.toml", "'\"$DPKG_ROOT/opt/hi/hi\"'", "'false'")
}

/// The network's settings as a package; the second version's take the server's name away.
fn wire(version: &str) -> Source {
    let manifest = "[package]\nname = \"wire\"\nversion = \"0.1.0\"\nmaintainer = \"A <a@example.org>\"\ndescription = \"the network\"\n\
         [[files]]\nsource = \"settings\"\ndestination = \"/usr/lib/wire/settings\"\n\
         [systemd]\nunits = [\"wire.service\"]\n[update]\ncommit-timeout = 10\nstate = [\"/etc/hosts\"]\n";
    let name = if version == VERSIONS[0] { "updates.test" } else { "nowhere.test" };
    let unit = "[Unit]\nDescription=the network\nBefore=network-online.target\n[Service]\n\
                Type=oneshot\nRemainAfterExit=yes\n\
                ExecStart=/bin/sh -c 'name=$(cat /usr/lib/wire/settings); grep -q \"$name\" /etc/hosts || \
                sed -i \"s/[a-z]*[.]test/$name/\" /etc/hosts'\n\
                [Install]\nWantedBy=multi-user.target\n";
    let source = Source::empty().with_file("debfleet.toml", manifest).with_file("wire.service", unit);
    at(source.with_file("settings", name), version)
}

fn at(source: Source, version: &str) -> Source {
    let version = version.trim_end_matches("-1");
    if version == "0.1.0" {
        return source;
    }
    source.with_text("debfleet.toml", "version = \"0.1.0\"", &format!("version = \"{version}\""))
}

/// The updater as it is, and one that calls itself newer and has other bytes.
fn own_sources() -> [Source; 2] {
    let newer = Source::updater(NEWER_SELF);
    let program = newer.path().join("bin/debfleet-updater");
    let bytes = std::fs::read(&program).expect("the source has the program");
    put(&program, &[bytes.as_slice(), b"newer"].concat());
    [Source::updater("0.1.0"), newer]
}

fn version_of(package: &Path) -> String {
    let name = package.file_name().and_then(|name| name.to_str()).expect("a package's name");
    name.split('_').nth(1).expect("a version").to_owned()
}

/// xorshift: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn fraction(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let high = u32::try_from(self.0 >> 32).unwrap_or(u32::MAX);
        f64::from(high) / f64::from(u32::MAX)
    }
}
