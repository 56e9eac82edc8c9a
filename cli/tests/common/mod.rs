//! A scratch folder, the real binary, and Debian's own tools.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// What a program did.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap_or(-1);
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Demands exit code 0, and gives stdout.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Demands this exit code and that stderr holds every one of the texts.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, texts: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "stderr: {}", self.stderr);
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is not in: {}", self.stderr);
        }
    }
}

impl Outcome {
    /// Demands this exit code, and texts on stdout and on stderr.
    #[track_caller]
    pub(crate) fn tells(self, code: i32, stdout: &[&str], stderr: &[&str]) {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        for (texts, stream) in [(stdout, &self.stdout), (stderr, &self.stderr)] {
            for text in texts {
                assert!(stream.contains(text), "{text:?} is not in: {stream}");
            }
        }
    }
}

pub(crate) fn run(command: &mut Command) -> Outcome {
    Outcome::of(command.output().unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

pub(crate) fn tool(name: &str, arguments: &[&str]) -> Outcome {
    run(Command::new(name).args(arguments).env("LC_ALL", "C.UTF-8"))
}

/// The binary, without what the caller's environment says about keys, servers and times.
pub(crate) fn debfleet(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_debfleet"));
    command.args(arguments);
    for name in ["KEY", "KEY_FILE", "PASSPHRASE", "TOKEN", "SERVER", "CA"] {
        command.env_remove(format!("DEBFLEET_{name}"));
    }
    command.env_remove("SOURCE_DATE_EPOCH");
    command
}

pub(crate) struct Scratch {
    folder: TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        self.write_mode(name, content, 0o644)
    }

    #[allow(clippy::disallowed_methods, reason = "a test's own scratch file")]
    pub(crate) fn write_mode(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A copy of one of the repository's examples.
    pub(crate) fn copy_example(&self, example: &str, name: &str) -> String {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(example);
        tool("cp", &["-rT", "--preserve=mode", from.to_str().unwrap(), &self.text(name)]).ok();
        self.text(name)
    }

    /// Makes a package key and gives the secret's path.
    pub(crate) fn key(&self, name: &str) -> String {
        run(&mut debfleet(&["key", "new", "package", "--out", &self.text(name)])).ok();
        self.text(&format!("{name}/package.key"))
    }

    /// Builds and gives the .deb's path.
    #[track_caller]
    pub(crate) fn build(&self, source: &str, out: &str, key: &str) -> String {
        let stdout = run(&mut debfleet(&["build", source, "--out", &self.text(out), "--key", key])).ok();
        stdout.trim_end().to_owned()
    }
}
