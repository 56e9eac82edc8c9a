//! debfleet's own programs as Debian packages: what `cargo xtask packages` makes, from the programs that the tests
//! run, because a release build takes minutes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::program::{binary, target_dir};
use end_to_end::{DebianRoot, PackageKey, Tree, run};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

const NAMES: [&str; 3] = ["debfleet", "debfleet-server", "debfleet-updater"];

/// The three packages, and who signed them.
struct Packages {
    key: PackageKey,
    _folder: TempDir,
    files: Vec<PathBuf>,
}

impl Packages {
    fn new() -> Self {
        let (key, folder) = (PackageKey::new(), tempfile::tempdir().unwrap());
        let built = run(binary("xtask")
            .arg("packages")
            .arg("--binaries")
            .arg(target_dir())
            .arg("--out")
            .arg(folder.path())
            .arg("--key")
            .arg(key.secret())
            .env("SOURCE_DATE_EPOCH", "1800000000"));
        let files: Vec<PathBuf> = built.success().lines().map(PathBuf::from).collect();
        assert_eq!(files.len(), NAMES.len(), "{files:?}");
        Self { key, _folder: folder, files }
    }
}

/// One test, because packing the programs takes long.
#[test]
fn they_are_lintian_clean_install_work_and_purge_without_a_trace() {
    let packages = Packages::new();
    check_contents(&packages);
    check_life(&packages);
}

/// lintian finds nothing in them, and they carry their manual and completions.
fn check_contents(packages: &Packages) {
    for (name, file) in NAMES.iter().zip(&packages.files) {
        let checked = run(Command::new("lintian").args(["--allow-root", "--fail-on", "error,warning"]).arg(file));
        assert_eq!(checked.success(), "");
        let contents = run(Command::new("dpkg-deb").arg("-c").arg(file)).success();
        for path in [
            format!("/usr/bin/{name}\n"),
            format!("/usr/share/man/man1/{name}.1.gz\n"),
            format!("/usr/share/bash-completion/completions/{name}\n"),
            format!("/usr/share/zsh/vendor-completions/_{name}\n"),
            format!("/usr/share/fish/vendor_completions.d/{name}.fish\n"),
        ] {
            assert!(contents.contains(&path), "{name} lacks {path}{contents}");
        }
    }
}

/// They install and work, and purge leaves no trace.
fn check_life(packages: &Packages) {
    let root = DebianRoot::with_systemd();
    for (name, file) in NAMES.iter().zip(&packages.files) {
        root.write(&format!("packages/{name}.deb"), &std::fs::read(file).unwrap());
    }
    root.write("package.gpg", &std::fs::read(packages.key.keyring()).unwrap());
    let sh = |command: &str| root.shell(command).success();
    let before = Tree::of(&root.path()).lasting();

    let said = sh("dpkg -i /packages/*.deb");
    assert!(said.contains("debfleet-server does not run yet") && said.contains("debfleet-updater does not run yet"));
    for name in NAMES {
        assert_eq!(sh(&format!("{name} --version")), format!("{name} 0.1.0\n"));
    }
    let wanted = sh("cd /etc/systemd/system/multi-user.target.wants && ls debfleet-*");
    assert_eq!(wanted, "debfleet-server.service\ndebfleet-updater.service\n");
    // It leaves traces of its own below /run, which is empty after a boot.
    sh("systemd-analyze verify --man=no /lib/systemd/system/debfleet-*.service && rm -r /run/systemd");

    // The command that the package names, as it names it.
    let command = said.split("take in.\n").nth(1).unwrap().split("  systemctl").next().unwrap();
    let initialised = sh(command);
    assert!(initialised.contains("admin token: "), "{initialised}");
    assert_eq!(sh("stat -c '%U %a' /var/lib/debfleet-server/keys"), "debfleet-server 700\n");
    assert!(!sh("dpkg -i /packages/debfleet-server.deb").contains("does not run yet"));

    let example = "/usr/share/doc/debfleet-updater/examples/updater.toml";
    let status = sh(&format!("cp {example} /etc/debfleet/ && debfleet-updater status"));
    assert!(status.contains("state: idle"), "{status}");
    sh("mkdir -p /var/lib/debfleet && touch /var/lib/debfleet/journal");

    sh("dpkg -r debfleet debfleet-server debfleet-updater");
    assert_eq!(sh("cat /etc/debfleet-server/server.toml | grep -c ^data"), "1\n", "removal keeps the configuration");
    assert_eq!(sh("ls -d /var/lib/debfleet-server/keys /var/lib/debfleet/journal | wc -l"), "2\n");
    sh("dpkg -P debfleet-server debfleet-updater && test ! -e /var/lib/debfleet");
    before.assert_same(&Tree::of(&root.path()).lasting());
}
