//! Sets of packages that apt's resolver completes: planned beforehand, installed as a whole or not at all.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::{Archive, Device, Ended, HostileServer, PackageKey, RepositoryCopy, Server, Source, Tree, plain_deb};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use tempfile::TempDir;

/// A device on hi 0.1.0, and a suite that offers it more.
struct Bench {
    key: PackageKey,
    server: Server,
    device: Device,
}

impl Bench {
    fn new() -> Self {
        let key = PackageKey::new();
        let server = Server::start(&key);
        let device = Device::new(server.url(), &key);
        let bench = Self { key, server, device };
        bench.publish(&[package("hi", "0.1.0", "")]);
        bench.device.install();
        bench
    }

    fn publish(&self, sources: &[Source]) {
        for source in sources {
            self.server.publish(&source.build(&self.key));
        }
    }

    fn tree(&self) -> Tree {
        Tree::of(&self.device.root.path())
    }

    fn install(&self, packages: &[&str]) -> Ended {
        self.device.updater(&[&["install"], packages].concat())
    }

    fn plan(&self, packages: &[&str]) -> Ended {
        self.device.updater(&[&["plan"], packages].concat())
    }

    /// The installed version of a package, or nothing.
    fn version(&self, package: &str) -> String {
        let found = self.device.root.shell(&format!("dpkg-query -W -f '${{db:Status-Abbrev}}${{Version}}' {package}"));
        found.stdout.strip_prefix("ii ").unwrap_or_default().to_owned()
    }

    /// The packages that apt holds for automatically installed; apt's own caches stay as they are.
    fn automatic(&self) -> Vec<String> {
        let list = "apt-mark -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= showauto";
        self.device.root.shell(list).success().lines().map(str::to_owned).collect()
    }

    /// Plan and installation are refused for this reason, and nothing changes.
    #[track_caller]
    fn assert_refused(&self, packages: &[&str], reason: &str) {
        let before = self.tree();
        self.plan(packages).fails(1, reason);
        self.install(packages).fails(1, reason);
        before.assert_same(&self.tree());
        assert!(self.device.failure().contains(reason), "status says why: {}", self.device.failure());
    }
}

/// A package of the suite with one file, and with these lines in its manifest.
fn package(name: &str, version: &str, lines: &str) -> Source {
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"{version}\"\nmaintainer = \"A <a@example.org>\"\n\
         description = \"a part of a set\"\nlicense = \"MIT\"\n{lines}\n\
         [[files]]\nsource = \"hi\"\ndestination = \"/opt/{name}/program\"\n"
    );
    Source::hi().with_file("debfleet.toml", &manifest).with_file("hi", &format!("#!/bin/sh\necho {name} {version}\n"))
}

/// With a maintainer script.
fn with_script(source: Source, script: &str, lines: &str) -> Source {
    source
        .with_lines("debfleet.toml", &format!("\n[scripts]\n{script} = \"scripts/{script}\"\n"))
        .with_file(&format!("scripts/{script}"), &format!("#!/bin/sh\nset -e\n{lines}\n"))
}

/// Somebody else's archive, which the device's own apt knows and has verified.
struct Others {
    archive: Archive,
    _server: HostileServer,
}

impl Others {
    fn known_to(bench: &Bench, packages: &[(&str, &str, &str, &str)]) -> Self {
        let (archive, folder) = (Archive::reprepro(), TempDir::new().unwrap());
        let build = |(name, version, architecture, fields): &(&str, &str, &str, &str)| {
            plain_deb(folder.path(), name, version, architecture, fields)
        };
        let packages: Vec<PathBuf> = packages.iter().map(build).collect();
        archive.add("main", &packages);
        let server = HostileServer::serve(&archive.path());
        let root = &bench.device.root;
        root.write("etc/apt/keyrings/others.asc", &std::fs::read(archive.keyring()).unwrap());
        let source = format!("deb [signed-by=/etc/apt/keyrings/others.asc] {} bookworm main\n", server.url());
        root.write("etc/apt/sources.list.d/others.list", source.as_bytes());
        root.shell("apt-get update -o APT::Update::Error-Mode=any").success();
        Self { archive, _server: server }
    }
}

#[test]
fn a_new_dependency_comes_from_the_suite_although_others_offer_a_higher_one() {
    let bench = Bench::new();
    bench.publish(&[package("hi", "0.2.0", "depends = [\"libhi (>= 1)\"]"), package("libhi", "1.0.0", "")]);
    // Also the same versions with another content.
    let _others =
        Others::known_to(&bench, &[("libhi", "9", "all", ""), ("hi", "0.2.0-1", "all", "Depends: libhi (= 9)\n")]);
    let before = bench.tree();

    let planned = bench.plan(&[]).success();
    let lines: Vec<&str> = planned.lines().collect();
    assert_eq!(lines[0], "upgrade  hi:all     0.1.0-1 -> 0.2.0-1  from the suite stable");
    assert_eq!(lines[1], "install  libhi:all  1.0.0-1             from the suite stable, needed by the others");
    assert!(lines[2].starts_with("to download: "), "{planned}");
    let json: serde_json::Value = serde_json::from_str(&bench.plan(&["--json"]).success()).unwrap();
    assert_eq!(json["changes"][1]["name"], "libhi");
    assert_eq!(json["changes"][1]["source"], "suite");
    assert_eq!(json["refused"], serde_json::Value::Null);
    before.assert_same(&bench.tree());

    bench.device.install();
    assert_eq!((bench.version("hi"), bench.version("libhi")), ("0.2.0-1".into(), "1.0.0-1".into()));
    // apt takes the dependency away again when nothing needs it, and only that.
    assert_eq!(bench.automatic(), ["libhi"]);
    assert!(bench.plan(&[]).success().contains("nothing to do"));
    bench.device.updater(&["rollback"]).success();
    before.assert_same(&bench.tree());
}

#[test]
fn a_dependency_from_the_devices_own_sources_is_verified_by_their_chain() {
    let bench = Bench::new();
    bench.publish(&[package("hi", "0.2.0", "depends = [\"libother (>= 1)\"]")]);
    bench.assert_refused(&[], "the device's apt has no package lists");
    let others =
        Others::known_to(&bench, &[("libother", "1:1.5", "amd64", "Installed-Size: 7\n"), ("hi", "9", "all", "")]);
    let planned = bench.plan(&[]).success();
    assert!(planned.contains("libother:amd64  1:1.5 "), "{planned}");
    assert!(planned.contains("from other:stable, needed by the others"), "{planned}");

    // Somebody changed the file, and not its length.
    let file = others.archive.path().join("pool/main/libo/libother/libother_1.5_amd64.deb");
    let good = std::fs::read(&file).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    end_to_end::debian_root::put(&file, &bad);
    let before = bench.tree();
    bench.install(&[]).fails(1, "Hash Sum mismatch");
    assert_eq!(bench.device.state(), "abandoned");
    before.assert_same(&bench.tree());

    end_to_end::debian_root::put(&file, &good);
    bench.device.install();
    assert_eq!((bench.version("hi"), bench.version("libother")), ("0.2.0-1".into(), "1:1.5".into()));
    bench.device.updater(&["rollback"]).success();
    before.assert_same(&bench.tree());
}

#[test]
fn a_package_takes_the_place_of_another_and_gives_it_back() {
    let bench = Bench::new();
    let fields = "conflicts = [\"hi\"]\nreplaces = [\"hi\"]\nprovides = [\"hi\"]";
    bench.publish(&[with_script(package("greeter", "1.0.0", fields), "postinst", "exit 5")]);
    let before = bench.tree();
    let planned = bench.plan(&["greeter"]).success();
    assert!(planned.contains("remove   hi:all       0.1.0-1  something in the set takes its place"), "{planned}");
    bench.install(&["greeter"]).fails(3, "rolled back");
    before.assert_same(&bench.tree());

    bench.publish(&[package("greeter", "1.0.1", fields)]);
    bench.install(&["greeter"]).success();
    assert_eq!((bench.version("hi"), bench.version("greeter")), (String::new(), "1.0.1-1".into()));
    let back = bench.device.updater(&["rollback"]).success();
    assert!(back.contains("hi is back at: 0.1.0-1"), "{back}");
    before.assert_same(&bench.tree());
}

#[test]
fn only_what_the_set_takes_the_place_of_is_removed() {
    let bench = Bench::new();
    bench.publish(&[
        package("app", "1.0.0", "depends = [\"hi\"]"),
        package("greeter", "1.0.0", "conflicts = [\"hi\"]\nreplaces = [\"hi\"]"),
        package("no-shell", "1.0.0", "conflicts = [\"mawk\"]"),
        package("quarrel", "1.0.0", "conflicts = [\"app\"]"),
    ]);
    bench.install(&["app"]).success();
    bench.assert_refused(&["greeter"], "the set would remove app, which nothing in it names");
    bench.assert_refused(&["app", "quarrel"], "the set would remove app, which was asked for");
    assert_eq!(bench.plan(&["no-shell"]).code, 1);
}

#[test]
fn a_set_of_three_whose_last_fails_leaves_nothing() {
    let bench = Bench::new();
    bench.publish(&[
        package("hi", "0.2.0", "depends = [\"libhi\", \"hi-data\"]"),
        package("libhi", "1.0.0", ""),
        with_script(
            package("hi-data", "1.0.0", "depends = [\"libhi\"]"),
            "postinst",
            "echo no space for me >&2; exit 9",
        ),
    ]);
    let before = bench.tree();
    bench.install(&[]).fails(3, "rolled back");
    before.assert_same(&bench.tree());
    assert!(bench.device.failure().contains("no space for me"));
}

/// Each package of a set is sound when dpkg has run its triggers, and so is every other.
#[test]
fn triggers_of_other_packages_run_before_the_commit_and_their_failure_puts_everything_back() {
    let bench = Bench::new();
    let seen = "[ \"$1\" = triggered ] || exit 0\n[ ! -e /opt/hi/poison ]\necho \"$2\" >/opt/watcher.seen";
    let triggers = "\n[scripts]\npostinst = \"scripts/postinst\"\ntriggers = [\"interest /opt/hi\"]\n";
    let watcher = package("watcher", "1.0.0", "");
    let watcher = watcher.with_lines("debfleet.toml", triggers);
    bench.publish(&[watcher.with_file("scripts/postinst", &format!("#!/bin/sh\nset -e\n{seen}\n"))]);
    bench.install(&["watcher"]).success();
    bench.publish(&[package("hi", "0.2.0", "depends = [\"hi-data\"]"), package("hi-data", "1.0.0", "")]);
    bench.install(&["hi"]).success();
    assert_eq!(bench.device.root.shell("cat /opt/watcher.seen").success(), "/opt/hi\n");
    let poison = "\n[[files]]\nsource = \"hi\"\ndestination = \"/opt/hi/poison\"\n";
    let poisoned = package("hi", "0.3.0", "depends = [\"hi-data (>= 2)\"]").with_lines("debfleet.toml", poison);
    bench.publish(&[poisoned, package("hi-data", "2.0.0", "")]);
    let before = bench.tree();
    bench.install(&["hi"]).fails(3, "rolled back");
    before.assert_same(&bench.tree());
    assert!(bench.device.failure().contains("watcher"), "{}", bench.device.failure());
}

#[test]
fn what_the_owner_holds_stays_and_is_named() {
    let bench = Bench::new();
    bench.publish(&[package("libhi", "1.0.0", "")]);
    bench.install(&["libhi"]).success();
    bench.publish(&[
        package("libhi", "2.0.0", ""),
        package("hi", "0.2.0", "depends = [\"libhi (>= 2)\"]"),
        package("greeter", "1.0.0", "conflicts = [\"libhi\"]\nreplaces = [\"libhi\"]"),
    ]);
    bench.device.root.shell("apt-mark hold libhi").success();
    bench.assert_refused(&["libhi"], "libhi is held on this device");
    bench.assert_refused(&["hi"], "libhi is held on this device, and the set would change it");
    bench.assert_refused(&["greeter"], "libhi is held on this device, and the set would remove it");
    bench.device.root.shell("apt-mark unhold libhi").success();
    bench.install(&["hi"]).success();
    assert_eq!(bench.version("libhi"), "2.0.0-1");
}

/// The dependency must be configured before the other is unpacked, and is named only by what it provides.
#[test]
fn pre_dependencies_come_first_also_when_they_are_virtual() {
    let bench = Bench::new();
    let ready = "mkdir -p /opt/backend && touch /opt/backend/ready";
    bench.publish(&[
        with_script(package("backend", "1.0.0", "provides = [\"greeting-backend\"]"), "postinst", ready),
        with_script(
            package("hi", "0.2.0", "pre-depends = [\"greeting-backend\"]"),
            "preinst",
            "test -e /opt/backend/ready",
        ),
    ]);
    bench.device.install();
    assert_eq!((bench.version("hi"), bench.version("backend")), ("0.2.0-1".into(), "1.0.0-1".into()));
}

#[test]
fn a_dependency_of_another_architecture() {
    let bench = Bench::new();
    bench.publish(&[package("hi", "0.2.0", "depends = [\"far\"]")]);
    bench.device.root.shell("dpkg --add-architecture arm64").success();
    let _others = Others::known_to(&bench, &[("far", "1", "arm64", "Multi-Arch: foreign\n")]);
    let before = bench.tree();
    bench.device.install();
    assert_eq!(bench.version("far:arm64"), "1");
    assert_eq!(bench.automatic(), ["far:arm64"]);
    bench.device.updater(&["rollback"]).success();
    before.assert_same(&bench.tree());
}

#[test]
fn a_downgrade_takes_along_only_what_was_asked_for() {
    let bench = Bench::new();
    let set = |version: &str| {
        [package("hi", version, &format!("depends = [\"libhi (= {version}-1)\"]")), package("libhi", version, "")]
    };
    bench.publish(&set("0.2.0"));
    bench.publish(&set("0.3.0"));
    bench.device.install();
    assert_eq!(bench.version("libhi"), "0.3.0-1");
    bench.assert_refused(
        &["hi=0.2.0-1", "--allow-downgrade"],
        "Depends: libhi (= 0.2.0-1) but 0.3.0-1 is to be installed",
    );
    bench.install(&["hi=0.2.0-1", "libhi=0.2.0-1"]).fails(1, "--allow-downgrade");
    bench.install(&["hi=0.2.0-1", "libhi=0.2.0-1", "--allow-downgrade"]).success();
    assert_eq!((bench.version("hi"), bench.version("libhi")), ("0.2.0-1".into(), "0.2.0-1".into()));
}

/// A server that is broken into may sign what it likes, and not make apt plan by what no package key signed.
#[test]
fn an_index_that_says_other_dependencies_than_the_package_itself() {
    let bench = Bench::new();
    bench.publish(&[
        package("hi", "0.2.0", "depends = [\"libhi\"]"),
        package("libhi", "1.0.0", ""),
        package("sly", "1.0.0", ""),
    ]);
    let copy = RepositoryCopy::of(&bench.server);
    let path = "/debian/dists/stable/main/binary-amd64/Packages";
    let index = String::from_utf8(copy.read(path)).unwrap();
    assert!(index.contains("Depends: libhi\n"), "{index}");
    let index = index.replace("Depends: libhi\n", "Depends: sly\nConflicts: libhi\n");
    let hash: String = Sha256::digest(&index).iter().map(|byte| format!("{byte:02x}")).collect();
    copy.write(path, index.as_bytes());
    copy.write(&path.replace("Packages", &format!("by-hash/SHA256/{hash}")), index.as_bytes());
    copy.resign(&bench.server.repository_key(), |release| {
        let fields: Vec<&str> = release.lines().take_while(|line| !line.ends_with(':')).collect();
        format!("{}\nSHA256:\n {hash} {} main/binary-amd64/Packages\n", fields.join("\n"), index.len())
    });
    let thief = HostileServer::serve(copy.path());
    bench.device.configure(thief.url(), "");
    let before = bench.tree();
    bench.install(&[]).fails(1, "the index gives another Depends than the package itself");
    before.assert_same(&bench.tree());
}
