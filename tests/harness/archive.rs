//! Somebody else's archive, made by reprepro or aptly and signed by gpg.

use crate::debian_root::put;
use crate::program::run;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// An archive of one suite, `stable`, in a folder that holds `dists`.
pub struct Archive {
    folder: TempDir,
    gnupg: TempDir,
    aptly: bool,
}

impl Archive {
    /// An empty one of reprepro, with the components main and contrib.
    #[must_use]
    pub fn reprepro() -> Self {
        let archive = Self::with_key("rsa3072", false);
        let distribution = "Origin: other\nLabel: other\nSuite: stable\nCodename: bookworm\nArchitectures: amd64 arm64\n\
                            Components: main contrib\nSignWith: yes\n";
        let conf = archive.folder.path().join("conf");
        std::fs::create_dir_all(&conf).expect("its folder");
        put(&conf.join("distributions"), distribution.as_bytes());
        run(&mut archive.command("reprepro", &["export"])).success();
        archive
    }

    /// An empty one of aptly, which is published with the first packages.
    #[must_use]
    pub fn aptly() -> Self {
        let archive = Self::with_key("ed25519", true);
        run(&mut archive.command("aptly", &["repo", "create", "-component=main", "others"])).success();
        archive
    }

    fn with_key(algorithm: &str, aptly: bool) -> Self {
        let temporary = || tempfile::tempdir().expect("a temporary folder");
        let archive = Self { folder: temporary(), gnupg: temporary(), aptly };
        let arguments = ["--batch", "--quiet", "--passphrase", "", "--quick-gen-key", "Other <other@example.org>"];
        run(archive.command("gpg", &arguments).args([algorithm, "sign", "never"])).success();
        let keyring = run(&mut archive.command("gpg", &["--armor", "--export"])).success();
        put(&archive.keyring(), keyring.as_bytes());
        archive
    }

    /// Adds packages to a component.
    pub fn add(&self, component: &str, packages: &[PathBuf]) {
        if !self.aptly {
            run(self.command("reprepro", &["-C", component, "includedeb", "bookworm"]).args(packages)).success();
            return;
        }
        run(self.command("aptly", &["repo", "add", "others"]).args(packages)).success();
        let is_published = self.path().join("dists").exists();
        let verb = if is_published { "update" } else { "repo" };
        let mut publish = self.command("aptly", &["publish", verb, "-batch", "-gpg-provider=gpg"]);
        if is_published {
            publish.arg("stable");
        } else {
            publish.args(["-distribution=stable", "-architectures=amd64,arm64", "others"]);
        }
        run(&mut publish).success();
    }

    /// Removes a package.
    pub fn remove(&self, name: &str) {
        run(&mut self.command("reprepro", &["remove", "bookworm", name])).success();
    }

    /// Has reprepro take over what another archive holds in `stable`, verified by the keys in a file.
    pub fn update_from(&self, url: &str, keyring: &Path) {
        run(self.command("gpg", &["--batch", "--quiet", "--import"]).arg(keyring)).success();
        let listed = ["--batch", "--with-colons", "--show-keys"];
        let listed = run(self.command("gpg", &listed).arg(keyring)).success();
        let key = listed.lines().find_map(|line| line.strip_prefix("fpr:")).expect("a key").trim_matches(':');
        let key = &key[key.len() - 16..];
        let update = format!(
            "Name: other\nMethod: {url}\nSuite: stable\nComponents: main\nArchitectures: amd64\nVerifyRelease: {key}\n"
        );
        put(&self.folder.path().join("conf/updates"), update.as_bytes());
        let distributions = self.folder.path().join("conf/distributions");
        let text = std::fs::read_to_string(&distributions).expect("reprepro has a distribution");
        put(&distributions, format!("{text}Update: other\n").as_bytes());
        run(&mut self.command("reprepro", &["update"])).success();
    }

    /// Signs a Release that was changed by hand.
    pub fn sign(&self, change: impl Fn(String) -> String) {
        let suite = self.path().join(if self.aptly { "dists/stable" } else { "dists/bookworm" });
        let (release, inrelease) = (suite.join("Release"), suite.join("InRelease"));
        let text = std::fs::read_to_string(&release).expect("there is a Release");
        put(&release, change(text).as_bytes());
        let sign = ["--batch", "--quiet", "--yes", "--output"];
        run(self.command("gpg", &sign).arg(inrelease).arg("--clearsign").arg(&release)).success();
    }

    /// The folder that holds `dists`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        if self.aptly { self.folder.path().join(".aptly/public") } else { self.folder.path().to_owned() }
    }

    /// The public key that signs it.
    #[must_use]
    pub fn keyring(&self) -> PathBuf {
        self.folder.path().join("archive.asc")
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.env("HOME", self.folder.path()).env("GNUPGHOME", self.gnupg.path());
        command.current_dir(self.folder.path()).args(arguments);
        command
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        // gpg leaves an agent behind that holds the folder.
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.gnupg.path()).args(["--kill", "all"]).status();
    }
}

/// A package made by dpkg-deb, signed by nobody.
#[must_use]
pub fn plain_deb(folder: &Path, name: &str, version: &str, architecture: &str, fields: &str) -> PathBuf {
    let tree = folder.join(format!("{name}_{version}_{architecture}"));
    std::fs::create_dir_all(tree.join("DEBIAN")).expect("its folder");
    std::fs::create_dir_all(tree.join("usr/share").join(name)).expect("its folder");
    put(&tree.join("usr/share").join(name).join("version"), version.as_bytes());
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: O <o@example.org>\n\
         Section: misc\nPriority: optional\n{fields}Description: other\n"
    );
    put(&tree.join("DEBIAN/control"), control.as_bytes());
    run(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(folder)).success();
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    folder.join(format!("{name}_{version}_{architecture}.deb"))
}
