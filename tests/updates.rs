//! The updater in a real Debian root with the real dpkg: new versions commit, bad ones leave no trace.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::{Device, PackageKey, Server, Source, Tree, run};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A device on hi 0.1.0, and all that is needed to offer it more.
struct Bench {
    key: PackageKey,
    server: Server,
    device: Device,
}

impl Bench {
    fn new() -> Self {
        let key = PackageKey::new();
        let server = Server::start(&key);
        server.publish(&Source::hi().build(&key));
        let device = Device::new(server.url(), &key);
        device.install();
        assert_eq!(device.says(), "Hello Deb! Version 0.1.0");
        Self { key, server, device }
    }

    fn publish(&self, source: &Source) {
        self.server.publish(&source.build(&self.key));
    }

    fn tree(&self) -> Tree {
        Tree::of(&self.device.root.path())
    }

    /// Offers a version that fails for this reason, and demands that the whole tree is as before.
    #[track_caller]
    fn assert_rolled_back(&self, bad: &Source, reason: &str) {
        self.publish(bad);
        let before = self.tree();
        self.device.updater(&["install"]).fails(3, "rolled back");
        before.assert_same(&self.tree());
        assert_eq!(self.device.state(), "rolled-back");
        assert!(self.device.failure().contains(reason), "status says why: {}", self.device.failure());
        assert_eq!(self.device.says(), "Hello Deb! Version 0.1.0");
    }
}

fn next() -> Source {
    Source::hi().bumped("0.2.0")
}

/// A script that ends badly in version 0.2.0 only.
fn with_failing_script(script: &str) -> Source {
    next().with_lines(&format!("scripts/{script}"), "\necho the disk is on fire >&2\nexit 7\n")
}

#[test]
fn a_good_version_is_committed_and_status_tells() {
    let bench = Bench::new();
    bench.publish(&next());
    let checked = bench.device.updater(&["check"]).success();
    assert!(checked.contains("0.2.0-1 is available"), "{checked}");
    bench.device.install();
    assert_eq!(bench.device.says(), "Hello Deb! Version 0.2.0");
    let status = bench.device.status();
    assert_eq!(status["state"], "committed");
    assert_eq!(status["packages"][0]["installed"], "0.2.0-1");
    assert_eq!(status["packages"][0]["previous"], "0.1.0-1");
    let dpkg = bench.device.root.shell("dpkg-query -W -f '${Status} ${Version}' hi").success();
    assert_eq!(dpkg, "install ok installed 0.2.0-1");
    let again = bench.device.updater(&["install"]).success();
    assert!(again.contains("up to date"), "{again}");
}

#[test]
fn a_failed_health_check_puts_everything_back() {
    let bench = Bench::new();
    let root = bench.device.root.path();
    // What an owner may have done to the package's files, and dpkg would not bring back.
    let program = root.join("opt/hi/hi");
    xattr::set(&program, "user.note", b"\x00\x01").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4711)).unwrap();
    std::fs::hard_link(&program, root.join("opt/hi/hi.dpkg-old")).unwrap();
    run(Command::new("chown").arg("7:8").arg(root.join("opt/hi/__VERSION__"))).success();
    let broken = next().with_file("hi", "#!/bin/sh\necho I am broken\nexit 1\n");
    bench.assert_rolled_back(&broken, "I am broken");
}

#[test]
fn failing_maintainer_scripts_put_everything_back() {
    for script in ["preinst", "postinst"] {
        Bench::new().assert_rolled_back(&with_failing_script(script), "the disk is on fire");
    }
}

/// dpkg itself leaves such a package `reinstreq half-installed`, and `dpkg --configure -a` calls that mended.
#[test]
fn scripts_that_fail_also_while_dpkg_aborts_put_everything_back() {
    let bad = with_failing_script("preinst").with_lines("scripts/postrm", "\nexit 8\n");
    Bench::new().assert_rolled_back(&bad, "the disk is on fire");
}

#[test]
fn a_failing_prerm_of_the_installed_version_does_not_stop_a_good_one() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    server.publish(&Source::hi().with_lines("scripts/prerm", "\n[ \"$1\" != upgrade ]\n").build(&key));
    let device = Device::new(server.url(), &key);
    device.install();
    server.publish(&next().build(&key));
    device.install();
    assert_eq!(device.says(), "Hello Deb! Version 0.2.0");
}

#[test]
fn a_hanging_script_is_ended_and_everything_put_back() {
    let bench = Bench::new();
    bench.device.configure(bench.server.url(), "install-timeout = 3\n");
    // It leaves its process group, as a daemon does.
    let seconds = format!("1{:09}", std::process::id());
    let script = format!("\nsetsid sleep {seconds} &\nsleep {seconds}\n");
    let hanging = next().with_lines("scripts/postinst", &script);
    bench.assert_rolled_back(&hanging, "did not end within 3 s");
    let left = run(Command::new("pgrep").args(["-f", &format!("^sleep {seconds}$")]));
    assert_eq!(left.stdout, "", "nothing that the script started is left");
}

/// Users, alternatives, diversions, units and migrated data, none of which reinstalling the old version would undo.
#[test]
fn what_scripts_change_through_debians_helpers_is_put_back() {
    let bench = Bench::new();
    let root = &bench.device.root;
    root.shell("mkdir -p /var/lib/hi/deep && echo precious > /var/lib/hi/data && echo x > /var/lib/hi/deep/x")
        .success();
    let busy =
        next().with_text("debfleet.toml", "\"/var/log/hi.log\"", "\"/var/log/hi.log\", \"/var/lib/hi\"").with_lines(
            "scripts/postinst",
            "\nuseradd --system --no-create-home hi-service\n\
             update-alternatives --install /usr/bin/greet greet /opt/hi/hi 10\n\
             dpkg-divert --package hi --rename --divert /usr/bin/tac.theirs --add /usr/bin/tac\n\
             mkdir -p /etc/systemd/system/multi-user.target.wants\n\
             ln -s /lib/systemd/system/hi.service /etc/systemd/system/multi-user.target.wants/\n\
             echo migrated > /var/lib/hi/data; rm -r /var/lib/hi/deep; echo new > /var/lib/hi/new\n\
             chmod 700 /var/lib/hi; exit 9\n",
        );
    bench.publish(&busy);
    let before = bench.tree();
    bench.device.updater(&["install"]).fails(3, "rolled back");
    let status = bench.device.status();
    let left: Vec<&str> =
        status["last-failure"]["left-behind"].as_array().unwrap().iter().filter_map(|path| path.as_str()).collect();
    // What lies outside every package's paths is not put back, and is named.
    for path in ["/usr/bin/tac.theirs", "/usr/bin/greet"] {
        assert!(left.contains(&path), "{path} is named: {left:?}");
    }
    root.shell("mv /usr/bin/tac.theirs /usr/bin/tac && rm /usr/bin/greet").success();
    assert_eq!(
        root.shell("cat /var/lib/hi/data /var/lib/hi/deep/x && stat -c %a /var/lib/hi").success(),
        "precious\nx\n755\n"
    );
    assert_eq!(root.shell("grep hi-service /etc/passwd /etc/shadow /etc/group").code, 1);
    assert_eq!(root.shell("dpkg-divert --list '*tac*'").success(), "");
    let after = bench.tree();
    before.without("usr/bin").assert_same(&after.without("usr/bin"));
}

#[test]
fn a_first_installation_that_fails_leaves_nothing() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    let device = Device::new(server.url(), &key);
    device.updater(&["status"]).success();
    let before = Tree::of(&device.root.path());
    server.publish(&with_failing_script("postinst").build(&key));
    device.updater(&["install"]).fails(3, "not installed");
    before.assert_same(&Tree::of(&device.root.path()));
}

#[test]
fn a_committed_version_can_be_rolled_back_by_hand_but_not_over_other_changes() {
    let bench = Bench::new();
    let before = bench.tree();
    bench.publish(&next());
    bench.device.install();
    bench.device.updater(&["rollback"]).success();
    before.assert_same(&bench.tree());
    assert_eq!(bench.device.status()["packages"][0]["previous"], serde_json::Value::Null);
    bench.device.updater(&["rollback"]).fails(1, "nothing to roll back");

    // The poll leaves it alone now; a person may ask for it again.
    let checked = bench.device.updater(&["check"]).success();
    assert!(checked.contains("up to date"), "{checked}");
    bench.device.install();
    assert_eq!(bench.device.says(), "Hello Deb! Version 0.2.0");

    bench.device.root.shell("echo hi hold | dpkg --set-selections").success();
    bench.device.updater(&["rollback"]).fails(1, "changed since the update");
}

#[test]
fn an_older_version_needs_a_word_and_never_goes_below_the_signed_floor() {
    let bench = Bench::new();
    bench.publish(&next());
    bench.device.install();
    bench.device.updater(&["install", "hi=0.1.0-1"]).fails(1, "--allow-downgrade");
    bench.device.updater(&["install", "hi=0.1.0-1", "--allow-downgrade"]).success();
    assert_eq!(bench.device.says(), "Hello Deb! Version 0.1.0");

    let floor = Source::hi().bumped("0.3.0").with_text(
        "debfleet.toml",
        "[update]\n",
        "[update]\nrollback-floor = \"0.2.0-1\"\n",
    );
    bench.publish(&floor);
    bench.device.install();
    bench.device.updater(&["install", "hi=0.1.0-1", "--allow-downgrade"]).fails(1, "below 0.2.0-1");
    bench.device.updater(&["rollback"]).fails(1, "below 0.2.0-1");
    bench.device.updater(&["install", "hi=0.2.0-1", "--allow-downgrade"]).success();
}

/// To dpkg it is a warning, and it exits with 0.
#[test]
fn what_dpkg_could_not_tidy_up_is_no_success() {
    let bench = Bench::new();
    let litter = "\nmkdir -p \"$DPKG_ROOT/var/lib/dpkg/tmp.ci\"\n";
    bench.assert_rolled_back(&next().with_lines("scripts/postinst", litter), "dpkg/tmp.ci behind");
}

#[test]
fn a_dependency_that_is_nowhere_is_named_before_anything_changes() {
    let bench = Bench::new();
    let before = bench.tree();
    bench.publish(&next().with_text("debfleet.toml", "license = ", "depends = [\"no-such-package\"]\nlicense = "));
    bench.device.updater(&["install"]).fails(1, "no-such-package");
    assert_eq!(bench.device.state(), "committed");
    assert!(bench.device.failure().contains("no-such-package"), "{}", bench.device.failure());
    before.assert_same(&bench.tree());
}

#[test]
fn a_conffile_that_the_owner_edited_is_kept() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    let conffile = "\n[[files]]\nsource = \"hi.conf\"\ndestination = \"/etc/hi.conf\"\nconffile = true\n";
    let source = |version: &str| {
        let text = format!("written by {version}\n");
        Source::hi().bumped(version).with_file("hi.conf", &text).with_lines("debfleet.toml", conffile)
    };
    server.publish(&source("0.1.1").build(&key));
    let device = Device::new(server.url(), &key);
    device.install();
    device.root.write("etc/hi.conf", b"edited by the owner\n");
    server.publish(&source("0.2.0").build(&key));
    device.install();
    assert_eq!(device.says(), "Hello Deb! Version 0.2.0");
    assert_eq!(device.root.shell("cat /etc/hi.conf").success(), "edited by the owner\n");
}

#[test]
fn a_database_that_others_broke_is_mended_first_or_named() {
    let bench = Bench::new();
    bench.publish(&next());
    // Half-configured, as after a power cut in somebody's apt: `dpkg --configure -a` can mend this one.
    bench
        .device
        .root
        .shell("sed -i '/^Package: hi$/,/^$/s/install ok installed/install ok half-configured/' /var/lib/dpkg/status")
        .success();
    bench.device.install();
    assert_eq!(bench.device.says(), "Hello Deb! Version 0.2.0");
    bench.publish(&Source::hi().bumped("0.3.0"));
    bench.device.root.shell("sed -i '/^Package: hi$/,/^$/s/install ok installed/install reinstreq half-installed/' /var/lib/dpkg/status").success();
    bench.device.updater(&["install"]).fails(1, "left broken by somebody else");
}

#[test]
fn another_package_manager_at_work_is_waited_for_by_coming_back_later() {
    let bench = Bench::new();
    bench.publish(&next());
    let lock = bench.device.root.path().join("var/lib/dpkg/lock-frontend");
    let held = std::fs::OpenOptions::new().write(true).open(lock).unwrap();
    rustix::fs::fcntl_lock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    bench.device.updater(&["install"]).fails(1, "another program (apt or dpkg)");
    drop(held);
    bench.device.install();
}

#[test]
fn a_disk_that_is_too_full_is_noticed_before_and_survived_in_the_middle() {
    let bench = Bench::new();
    let root = bench.device.root.path();
    let used: u64 =
        run(Command::new("du").args(["-sm"]).arg(&root)).success().split_whitespace().next().unwrap().parse().unwrap();
    let small = SmallDisk::with_copy_of(&bench, used + 60);
    // Before: the package says that it needs more than there is.
    let big = next().with_text(
        "debfleet.toml",
        "[scripts]",
        "[[files]]\nsource = \"big\"\ndestination = \"/opt/hi/big\"\n\n[scripts]",
    );
    let size = 100 << 20;
    std::fs::File::create(big.path().join("big")).unwrap().set_len(size).unwrap();
    bench.publish(&big);
    let before = small.tree();
    small.updater(&["install"]).fails(1, "not enough room");
    before.assert_same(&small.tree());

    // In the middle: a script fills the disk to the last byte, outside what a rollback restores.
    let greedy =
        Source::hi().bumped("0.3.0").with_lines("scripts/postinst", "\ncat /dev/zero > /filling || true\nexit 6\n");
    bench.publish(&greedy);
    small.updater(&["install"]).fails(3, "rolled back");
    std::fs::remove_file(small.root().join("filling")).unwrap();
    let after = small.tree();
    before.without("").assert_same(&after.without(""));
}

/// A copy of a device's root on a small file system of its own.
struct SmallDisk<'a> {
    bench: &'a Bench,
    mount: tempfile::TempDir,
}

impl<'a> SmallDisk<'a> {
    fn with_copy_of(bench: &'a Bench, megabytes: u64) -> Self {
        let mount = tempfile::tempdir().unwrap();
        let options = format!("size={megabytes}m,mode=755");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(mount.path())).success();
        let disk = Self { bench, mount };
        run(Command::new("cp").arg("-a").arg(bench.device.root.path()).arg(disk.mount.path())).success();
        disk
    }

    fn root(&self) -> std::path::PathBuf {
        self.mount.path().join("root")
    }

    fn tree(&self) -> Tree {
        Tree::of(&self.root())
    }

    fn updater(&self, arguments: &[&str]) -> end_to_end::Ended {
        run(&mut self.bench.device.command_in(&self.root(), arguments))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(self.mount.path()));
    }
}

/// A script puts a link in the place of the package's folder: nothing behind it may be touched, on device or host.
#[test]
fn a_package_folder_replaced_by_a_link_comes_back_exactly() {
    let bench = Bench::new();
    let host = tempfile::tempdir().unwrap();
    let precious = host.path().join("fstab");
    end_to_end::debian_root::put(&precious, b"the host's own\n");
    let script = format!("\nmv /opt/hi /opt/moved; ln -s {} /opt/hi; exit 9\n", host.path().display());
    let file = "[[files]]\nsource = \"hi\"\ndestination = \"/opt/hi/fstab\"\n\n[scripts]";
    let sneaky = next().with_text("debfleet.toml", "[scripts]", file).with_lines("scripts/postinst", &script);
    bench.publish(&sneaky);
    let before = bench.tree();
    bench.device.updater(&["install"]).fails(3, "rolled back");
    assert_eq!(std::fs::read(&precious).unwrap(), b"the host's own\n");
    assert!(bench.device.updater(&["status"]).success().contains("/opt/moved"), "what is left is named");
    bench.device.root.shell("rm -r /opt/moved").success();
    // Its own time tells of what was moved there.
    before.without("opt").without("opt/hi").assert_same(&bench.tree().without("opt").without("opt/hi"));
    assert_eq!(bench.device.says(), "Hello Deb! Version 0.1.0");
}

/// dpkg-query warns about such packages on each call, and prints no architecture for them.
#[test]
fn packages_of_others_with_missing_fields_do_not_stop_an_update() {
    let bench = Bench::new();
    let careless = "Package: careless\nStatus: install ok installed\nVersion: 1\nDescription: no maintainer\n\n";
    let folder = bench.device.root.path().join("var/lib/dpkg");
    let status = std::fs::read_to_string(folder.join("status")).unwrap();
    bench.device.root.write("var/lib/dpkg/status", format!("{status}{careless}").as_bytes());
    bench.device.root.write("var/lib/dpkg/info/careless.list", b"");
    bench.publish(&next());
    bench.device.install();
    assert_eq!(bench.device.says(), "Hello Deb! Version 0.2.0");
}

#[test]
fn a_set_is_installed_as_a_whole_or_not_at_all_and_names_each_package_once() {
    let bench = Bench::new();
    let second = |source: Source| source.with_text("debfleet.toml", "\nname = \"hi\"", "\nname = \"ho\"");
    let second = |source: Source| second(source).with_text("debfleet.toml", "/opt/hi/", "/opt/ho/");
    let quiet = |source: Source| source.with_text("debfleet.toml", "'\"$DPKG_ROOT/opt/ho/hi\"'", "'true'");
    bench.publish(&next());
    bench.publish(&quiet(second(with_failing_script("postinst"))));
    let before = bench.tree();
    bench.device.updater(&["install", "hi", "ho"]).fails(3, "rolled back");
    before.assert_same(&bench.tree());
    bench.device.updater(&["install", "hi", "hi=0.1.0-1"]).fails(1, "hi is named twice");
    bench.publish(&quiet(second(Source::hi().bumped("0.3.0"))));
    bench.device.updater(&["install", "hi", "ho"]).success();
    assert_eq!(bench.device.says(), "Hello Deb! Version 0.2.0");
    bench.device.updater(&["rollback"]).success();
    before.assert_same(&bench.tree());
}

#[test]
fn users_made_since_the_update_are_not_rolled_back_with_it() {
    let bench = Bench::new();
    bench.publish(&next());
    bench.device.install();
    bench.device.root.shell("useradd --no-create-home newcomer").success();
    bench.device.updater(&["rollback"]).fails(1, "changed since the update");
    bench.device.root.shell("grep newcomer /etc/passwd").success();
}

#[test]
fn a_restore_that_cannot_be_completed_says_so_and_is_completed_later() {
    let bench = Bench::new();
    let state = bench.device.root.path().join("var/lib/debfleet");
    let before = bench.tree();
    // The script hides the snapshot, as a failing disk would.
    let hide = "\nmv /var/lib/debfleet/snapshot /var/lib/debfleet/hidden; exit 9\n";
    bench.publish(&next().with_lines("scripts/postinst", hide));
    bench.device.updater(&["install"]).fails(4, "could not be put back");
    bench.device.updater(&["check"]).fails(4, "could not be rolled back");
    assert_eq!(bench.device.state(), "stuck");
    run(Command::new("mv").arg(state.join("hidden")).arg(state.join("snapshot"))).success();
    bench.device.updater(&["recover"]).success();
    assert_eq!(bench.device.state(), "rolled-back");
    before.assert_same(&bench.tree());
}

#[test]
fn a_second_repository_key_is_trusted_besides_the_first() {
    let bench = Bench::new();
    let other = Server::start(&bench.key);
    other.publish(&next().build(&bench.key));
    bench.device.configure(other.url(), "");
    bench.device.updater(&["check"]).fails(1, "refused the suite stable");
    bench.device.add_repository_key(&other.get("/debian/repository.gpg"));
    bench.device.install();
    assert_eq!(bench.device.says(), "Hello Deb! Version 0.2.0");
}

#[test]
fn wrong_configuration_is_named() {
    let bench = Bench::new();
    let url = bench.server.url();
    bench.device.configure(url, "pol-interval = 3\n");
    bench.device.updater(&["check"]).fails(1, "pol-interval");
    bench.device.configure(url, "state-dir = \"relative\"\n");
    bench.device.updater(&["check"]).fails(1, "must be an absolute path");
    bench.device.configure(url, "required-signatures = []\n");
    bench.device.updater(&["check"]).fails(1, "required-signatures");
    bench.device.configure("http://127.0.0.1:1", "");
    bench.device.updater(&["check"]).fails(1, "http://127.0.0.1:1/debian/dists/stable/InRelease");
    bench.device.configure(url, "");
    bench.device.updater(&["install", "nothing-like-it"]).fails(1, "nothing-like-it is not in the suite");
}
