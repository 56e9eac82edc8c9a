//! A copy of a repository's files that a test may damage, and sign anew with the repository's own key.

use crate::debian_root::put;
use crate::program::{run, workspace};
use crate::server::{Server, get};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const GPG: [&str; 5] = ["--batch", "--quiet", "--yes", "--no-permission-warning", "--homedir"];

/// The files of a suite, as apt fetches them.
pub struct RepositoryCopy {
    /// `stable`, unless a test says otherwise.
    suite: String,
    folder: TempDir,
    gnupg: TempDir,
}

impl RepositoryCopy {
    /// Copies what a server publishes now.
    #[must_use]
    pub fn of(server: &Server) -> Self {
        Self::of_suite(server, "stable")
    }

    /// The same of another suite.
    #[must_use]
    pub fn of_suite(server: &Server, suite: &str) -> Self {
        let copy = Self {
            suite: suite.to_owned(),
            folder: tempfile::tempdir().expect("a temporary folder"),
            gnupg: tempfile::tempdir().expect("a temporary folder"),
        };
        copy.refresh(server);
        copy
    }

    /// Copies again: whatever a test damaged is mended.
    pub fn refresh(&self, server: &Server) {
        let suite = self.dist();
        let mut wanted: Vec<String> =
            ["InRelease", "Release", "Release.gpg"].map(|name| format!("{suite}/{name}")).into();
        wanted.push("/debian/repository.gpg".into());
        let release = String::from_utf8(server.get(&format!("{suite}/Release"))).expect("Release is text");
        for line in release.lines() {
            if let [hash, _, path] = line.split_whitespace().collect::<Vec<_>>()[..] {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                wanted.push(format!("{suite}/{path}"));
                wanted.push(format!("{suite}/{folder}/by-hash/SHA256/{hash}"));
            }
        }
        let index = format!("{suite}/main/binary-amd64/Packages");
        let index = String::from_utf8(server.get(&index)).expect("it is text");
        wanted.extend(
            index.lines().filter_map(|line| line.strip_prefix("Filename: ")).map(|path| format!("/debian/{path}")),
        );
        for path in wanted {
            self.write(&path, &get(&format!("{}{path}", server.url())));
        }
    }

    /// Its top folder, which holds `debian/`.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn dist(&self) -> String {
        format!("/debian/dists/{}", self.suite)
    }

    /// Reads a file, such as `/debian/dists/stable/Release`.
    #[must_use]
    pub fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.full(path)).unwrap_or_else(|error| panic!("could not read {path}: {error}"))
    }

    /// Writes a file.
    pub fn write(&self, path: &str, content: &[u8]) {
        let full = self.full(path);
        std::fs::create_dir_all(full.parent().expect("a path in the repository")).expect("its folder");
        put(&full, content);
    }

    /// Changes the files whose path contains a text.
    pub fn change_all(&self, containing: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) {
        let mut changed = 0;
        for entry in walkdir::WalkDir::new(self.path()) {
            let entry = entry.expect("the copy can be read");
            let path = entry.path();
            if path.is_file() && path.to_string_lossy().contains(containing) {
                put(path, &change(std::fs::read(path).expect("the file can be read")));
                changed += 1;
            }
        }
        assert!(changed > 0, "no file of the repository is named like {containing:?}");
    }

    /// Rewrites Release and signs it, with gpg, by a secret key in a file.
    pub fn resign(&self, secret: &Path, change: impl Fn(String) -> String) {
        let path = format!("{}/Release", self.dist());
        let release = String::from_utf8(self.read(&path)).expect("Release is text");
        self.write(&path, change(release).as_bytes());
        let gpg = || {
            let mut command = Command::new("gpg");
            command.args(GPG).arg(self.gnupg.path());
            command
        };
        run(gpg().arg("--import").arg(secret)).success();
        let suite = self.full(&self.dist());
        let release = suite.join("Release");
        run(gpg().arg("--output").arg(suite.join("InRelease")).arg("--clearsign").arg(&release)).success();
        run(gpg().arg("--armor").arg("--output").arg(suite.join("Release.gpg")).arg("--detach-sign").arg(&release))
            .success();
    }

    /// Puts a package in the place of all others, in an index that is signed as `resign` does.
    pub fn offer(&self, secret: &Path, package: &Path) {
        self.write("/debian/offered/package.deb", &std::fs::read(package).expect("the package is there"));
        let mut scan = Command::new("dpkg-scanpackages");
        scan.current_dir(self.full("/debian")).args(["--multiversion", "offered"]);
        let index = run(&mut scan).success();
        let digest: String = Sha256::digest(&index).iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = format!("{}/main/binary-amd64", self.dist());
        self.write(&format!("{folder}/Packages"), index.as_bytes());
        self.write(&format!("{folder}/by-hash/SHA256/{digest}"), index.as_bytes());
        self.resign(secret, |release| {
            let head: Vec<&str> = release.lines().take_while(|line| *line != "SHA256:").collect();
            format!("{}\nSHA256:\n {digest} {} main/binary-amd64/Packages\n", head.join("\n"), index.len())
        });
    }

    /// Writes a package with one of the tricks of hostile_deb.py, signed by a secret key in a file.
    #[must_use]
    pub fn hostile_deb(good: &Path, trick: &str, secret: &Path) -> PathBuf {
        let gnupg = tempfile::tempdir().expect("a temporary folder");
        run(Command::new("gpg").args(GPG).arg(gnupg.path()).arg("--import").arg(secret)).success();
        let out = good.with_file_name("hostile.deb");
        let mut python = Command::new("python3");
        python.arg(workspace("tests/harness/hostile_deb.py")).arg(good).arg(&out).arg(trick);
        python.arg("gpg").args(GPG).arg(gnupg.path()).arg("--detach-sign");
        run(&mut python).success();
        end_agent(gnupg.path());
        out
    }

    /// The keyring of a secret key in a file, after its owner revoked it.
    #[must_use]
    pub fn revoked(secret: &Path) -> Vec<u8> {
        let gnupg = tempfile::tempdir().expect("a temporary folder");
        let script = "set -e; gpg() { command gpg --batch --quiet --yes --no-permission-warning --homedir \"$0\" \"$@\"; }\n\
                      gpg --import \"$1\"; key=$(gpg --with-colons --list-keys | sed -n 's/^fpr:*//; T; s/:$//p; q')\n\
                      printf 'y\\n0\\n\\ny\\n' | command gpg --quiet --no-permission-warning --homedir \"$0\" \
                      --command-fd 0 --no-tty --output \"$0/revocation\" --gen-revoke \"$key\"\n\
                      gpg --import \"$0/revocation\"; gpg --export --output \"$0/revoked\" \"$key\"";
        run(Command::new("bash").arg("-c").arg(script).arg(gnupg.path()).arg(secret)).success();
        end_agent(gnupg.path());
        std::fs::read(gnupg.path().join("revoked")).expect("gpg exports the key")
    }

    fn full(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }
}

impl Drop for RepositoryCopy {
    fn drop(&mut self) {
        end_agent(self.gnupg.path());
    }
}

/// gpg leaves an agent behind that holds its folder.
fn end_agent(gnupg: &Path) {
    let _ = Command::new("gpgconf").arg("--homedir").arg(gnupg).args(["--kill", "all"]).status();
}
