//! Packages made by `debfleet build` from the example and changed copies of it.

use crate::debian_root::put;
use crate::program::{Ended, binary, run, target_dir, workspace};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A package key made by `debfleet key new package`.
pub struct PackageKey {
    folder: TempDir,
}

impl Default for PackageKey {
    fn default() -> Self {
        Self::new()
    }
}

impl PackageKey {
    /// A fresh key.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        run(binary("debfleet").args(["key", "new", "package", "--out"]).arg(folder.path())).success();
        Self { folder }
    }

    /// The secret key's file.
    #[must_use]
    pub fn secret(&self) -> PathBuf {
        self.folder.path().join("package.key")
    }

    /// The public keyring's file.
    #[must_use]
    pub fn keyring(&self) -> PathBuf {
        self.folder.path().join("package.gpg")
    }
}

/// A copy of an example that a test may change.
pub struct Source {
    folder: TempDir,
}

impl Default for Source {
    fn default() -> Self {
        Self::hi()
    }
}

impl Source {
    /// `examples/hi` as it is.
    #[must_use]
    pub fn hi() -> Self {
        Self::example("hi")
    }

    /// A folder with nothing in it yet.
    #[must_use]
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A folder below `examples/` as it is.
    #[must_use]
    pub fn example(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        run(Command::new("cp").arg("-a").arg(workspace(&format!("examples/{name}/."))).arg(folder.path())).success();
        Self { folder }
    }

    /// The updater's own package, with the program that the tests run, in this version; without its manual.
    #[must_use]
    pub fn updater(version: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let packaging = workspace("packaging/debfleet-updater/.");
        run(Command::new("cp").arg("-a").arg(packaging).arg(folder.path())).success();
        std::fs::create_dir(folder.path().join("bin")).expect("a folder for the program");
        let program = target_dir().join("debfleet-updater");
        run(Command::new("strip").arg("-o").arg(folder.path().join("bin/debfleet-updater")).arg(program)).success();
        let source = Self { folder };
        let manifest = source.read("debfleet.toml").replace("WORKSPACE", version);
        let is_of_manual =
            |block: &str| ["source = \"man/", "source = \"completions/"].iter().any(|s| block.contains(s));
        let blocks: Vec<&str> = manifest.split("\n\n").filter(|block| !is_of_manual(block)).collect();
        // Packing the program takes longest, and how small it gets is nothing to these tests.
        let fast = "\n\n[build]\ncompression = \"zstd\"\n";
        source.with_file("debfleet.toml", &(blocks.join("\n\n") + fast))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces a file.
    #[must_use]
    pub fn with_file(self, path: &str, content: &str) -> Self {
        let full = self.path().join(path);
        let mode = full.metadata().map(|metadata| metadata.permissions());
        put(&full, content.as_bytes());
        if let Ok(mode) = mode {
            std::fs::set_permissions(&full, mode).expect("the file keeps its mode");
        }
        self
    }

    /// Adds lines to the end of a file.
    #[must_use]
    pub fn with_lines(self, path: &str, lines: &str) -> Self {
        let old = self.read(path);
        self.with_file(path, &format!("{old}{lines}"))
    }

    /// Replaces a text that must be there.
    #[must_use]
    pub fn with_text(self, path: &str, from: &str, to: &str) -> Self {
        let old = self.read(path);
        assert!(old.contains(from), "{path} does not contain {from:?}:\n{old}");
        self.with_file(path, &old.replace(from, to))
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path().join(path)).unwrap_or_else(|error| panic!("could not read {path}: {error}"))
    }

    /// Makes it the first commit of a repository, whose author needs no configuration of the machine.
    #[must_use]
    pub fn committed(self) -> Self {
        for arguments in [
            &["init", "--quiet", "--initial-branch=main"][..],
            &["config", "user.name", "CI"],
            &["config", "user.email", "ci@example.org"],
            &["add", "--all"],
            &["commit", "--quiet", "--message", "The beginning"],
        ] {
            self.git(arguments);
        }
        self
    }

    /// Runs git in it; gives what it prints.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        run(Command::new("git").arg("-C").arg(self.path()).args(arguments)).success().trim().to_owned()
    }

    /// `debfleet bump`.
    #[must_use]
    pub fn bumped(self, version: &str) -> Self {
        run(binary("debfleet").args(["bump", version]).arg(self.path())).success();
        self
    }

    /// `debfleet build`; gives the package's path, which lies in the source's folder and goes with it.
    #[track_caller]
    #[must_use]
    pub fn build(&self, key: &PackageKey) -> PathBuf {
        let built = self.try_build(Some(&key.secret())).success();
        PathBuf::from(built.lines().last().expect("build prints the package's path"))
    }

    /// `debfleet build`, however it ends.
    #[must_use]
    pub fn try_build(&self, key: Option<&Path>) -> Ended {
        let mut command = binary("debfleet");
        command.arg("build").arg(self.path()).arg("--out").arg(self.path().join("out"));
        if let Some(key) = key {
            command.arg("--key").arg(key);
        }
        run(&mut command)
    }
}
