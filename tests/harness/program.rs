//! Running programs and looking at how they ended.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// For messages.
    pub command: String,
    /// Exit code; -1 for a signal.
    pub code: i32,
    /// What it printed to stdout.
    pub stdout: String,
    /// What it printed to stderr.
    pub stderr: String,
}

impl Ended {
    /// Demands exit code 0 and gives stdout.
    #[track_caller]
    pub fn success(self) -> String {
        assert!(self.code == 0, "{self}");
        self.stdout
    }

    /// Demands this exit code and a word in what was printed.
    #[track_caller]
    pub fn fails(self, code: i32, word: &str) -> Self {
        assert!(self.code == code && self.all().contains(word), "expected exit {code} and {word:?}\n{self}");
        self
    }

    /// stdout and stderr.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, code, stdout, stderr } = self;
        write!(f, "{command}\nexit {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Runs a command to its end, without input.
#[track_caller]
pub fn run(command: &mut Command) -> Ended {
    let text = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output();
    let output =
        output.unwrap_or_else(|error| panic!("could not start {text}: {error}; `cargo xtask test` installs it"));
    Ended {
        command: text,
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A binary of the workspace, beside which this test was built.
#[must_use]
pub fn binary(name: &str) -> Command {
    let path = target_dir().join(name);
    assert!(path.exists(), "{} is not built: run the tests with `cargo xtask test`", path.display());
    Command::new(path)
}

/// The folder of built binaries, such as `target/debug`; a test lies in its folder `deps`.
#[must_use]
pub fn target_dir() -> PathBuf {
    let us = std::env::current_exe().expect("a program knows its own path");
    let folder = us.parent().expect("a program lies in a folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("deps lies in a folder") } else { folder };
    folder.to_owned()
}

/// A file or folder of the workspace.
#[must_use]
pub fn workspace(path: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ lies in the workspace").join(path)
}
