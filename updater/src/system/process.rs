//! One child process with an end: no input, its output in a file, a time limit for it and all it started.

use super::leftovers::{MARK, end_marked_processes};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How much of a program's output an error may quote, in bytes from its end.
const QUOTED: u64 = 2048;

/// Where Debian's programs are, whatever the caller's PATH says.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program about to run.
pub(super) struct Program {
    name: OsString,
    command: Command,
    mark: Option<String>,
    stderr_apart: bool,
}

/// A program that ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    status: ExitStatus,
    /// All that it printed, up to a bound.
    pub(crate) output: String,
}

/// A program that did not run to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("could not start {program}: {cause}")]
    Start { program: String, cause: io::Error },
    #[error("{program} did not end within {seconds} s and was killed; its last output:\n{output}")]
    TimedOut { program: String, seconds: u64, output: String },
    #[error("could not use the log {path}: {cause}")]
    Log { path: PathBuf, cause: io::Error },
}

impl Program {
    pub(super) fn new(name: &str) -> Self {
        let mut command = Command::new(name);
        command
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("HOME", "/root")
            .current_dir("/")
            .stdin(Stdio::null())
            .process_group(0);
        Self { name: name.into(), command, mark: None, stderr_apart: false }
    }

    pub(super) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(super) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    pub(super) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    pub(super) fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Makes it, and all that it starts, known as part of a transaction.
    pub(super) fn mark(mut self, mark: &str) -> Self {
        self.command.env(MARK, mark);
        self.mark = Some(mark.to_owned());
        self
    }

    /// Keeps warnings out of what is read as an answer.
    pub(super) fn stderr_apart(mut self) -> Self {
        self.stderr_apart = true;
        self
    }

    /// Runs it to its end. Output goes to a file, not to a pipe: a service that a script starts keeps it open, and
    /// must neither hold us up nor die when we close our end.
    pub(super) fn run(mut self, timeout: Duration, log: &Path) -> Result<Finished, ProcessError> {
        let log_error = |cause| ProcessError::Log { path: log.to_owned(), cause };
        let program = self.name.to_string_lossy().into_owned();
        let out = File::create(log).map_err(log_error)?;
        let errors = log.with_extension("errors");
        let err = if self.stderr_apart { File::create(&errors) } else { out.try_clone() }.map_err(log_error)?;
        let start_error = |cause| ProcessError::Start { program: program.clone(), cause };
        let mut child = self.command.stdout(out).stderr(err).spawn().map_err(start_error)?;
        let group = Pid::from_child(&child);
        let (sender, receiver) = mpsc::channel();
        let waiter = std::thread::spawn(move || sender.send(child.wait()));
        let outcome = receiver.recv_timeout(timeout);
        if outcome.is_err() {
            // The group may be gone already; then there is nothing to kill.
            let _ = kill_process_group(group, Signal::KILL);
            let _ = receiver.recv();
            // A script may have moved what it started out of the group.
            self.mark.iter().for_each(|mark| end_marked_processes(mark));
        }
        let _ = waiter.join();
        match outcome {
            Ok(status) => {
                let status = status.map_err(start_error)?;
                let said = if self.stderr_apart && !status.success() { &errors } else { log };
                Ok(Finished { status, output: tail(said, u64::MAX).map_err(log_error)? })
            }
            Err(_) => {
                let output = tail(log, QUOTED).map_err(log_error)?;
                Err(ProcessError::TimedOut { program, seconds: timeout.as_secs(), output })
            }
        }
    }
}

impl Finished {
    /// Whether it exited with 0.
    pub(crate) fn is_success(&self) -> bool {
        self.status.success()
    }

    /// How it ended, and the last of what it printed.
    pub(crate) fn describe(&self) -> String {
        let how = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => "ended".to_owned(),
        };
        let start = self.output.len().saturating_sub(usize::try_from(QUOTED).unwrap_or(usize::MAX));
        let start = (start..=self.output.len()).find(|at| self.output.is_char_boundary(*at)).unwrap_or(0);
        let quoted = self.output[start..].trim();
        if quoted.is_empty() { how } else { format!("{how}; its last output:\n{quoted}") }
    }
}

/// Longest output that is read back, in bytes.
const MAX_OUTPUT: u64 = 16 << 20;

fn tail(path: &Path, bytes: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes.min(MAX_OUTPUT))))?;
    let mut output = Vec::new();
    file.take(MAX_OUTPUT).read_to_end(&mut output)?;
    Ok(String::from_utf8_lossy(&output).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> Result<Finished, ProcessError> {
        let folder = tempfile::tempdir().unwrap();
        Program::new("/bin/sh").args(["-c", script]).run(timeout, &folder.path().join("log"))
    }

    #[test]
    fn the_end_of_the_output_says_why() {
        let finished = shell("echo first; echo last >&2; exit 3", Duration::from_secs(60)).unwrap();
        assert!(!finished.is_success());
        assert_eq!(finished.describe(), "exit status 3; its last output:\nfirst\nlast");
    }

    #[test]
    fn warnings_are_kept_out_of_an_answer() {
        let folder = tempfile::tempdir().unwrap();
        let ask = |script: &str| {
            let program = Program::new("/bin/sh").args(["-c", script]).stderr_apart();
            program.run(Duration::from_secs(60), &folder.path().join("log")).unwrap()
        };
        assert_eq!(ask("echo warning >&2; echo answer").output, "answer");
        assert_eq!(ask("echo answer; echo why >&2; exit 1").output, "why");
    }

    #[test]
    fn a_hanging_program_is_killed_with_all_it_started() {
        let error = shell("echo begun; sleep 1000 & wait", Duration::from_millis(200)).unwrap_err();
        assert!(matches!(&error, ProcessError::TimedOut { output, .. } if output == "begun"), "{error}");
    }

    #[test]
    fn a_service_left_running_does_not_hold_us_up() {
        let finished = shell("sleep 1000 & echo started $!", Duration::from_secs(60)).unwrap();
        let pid: i32 = finished.output.strip_prefix("started ").unwrap().parse().unwrap();
        rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }
}
