//! Starting git so that neither the caller's environment nor the user's configuration changes what it answers.

use super::GitError;
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The answer of one of git's commands.
pub(super) fn git(folder: &Path, arguments: &[impl AsRef<str>]) -> Result<String, GitError> {
    let output = start(folder, arguments)?;
    if output.status.success() {
        // Subjects in another encoding are no reason to fail.
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let folder = folder.to_owned();
    Err(if said.contains("not a git repository") {
        GitError::NoRepository { folder }
    } else if said.contains("dubious ownership") {
        GitError::NotTrusted { folder }
    } else {
        let command = arguments.first().map_or("", AsRef::as_ref).to_owned();
        GitError::Failed { command, folder, said: said_or_status(&said, &output) }
    })
}

/// Starts it and waits; any exit code is an answer.
pub(super) fn start(folder: &Path, arguments: &[impl AsRef<str>]) -> Result<Output, GitError> {
    Command::new("git")
        .arg("-C")
        .arg(folder)
        // A repository's own configuration may name a program to run for `status`.
        .args(["-c", "core.fsmonitor=false"])
        // These would change the answers.
        .args(["-c", "log.showSignature=false", "-c", "log.follow=false", "-c", "i18n.logOutputEncoding=UTF-8"])
        .args(["--no-optional-locks", "--no-pager"])
        .args(arguments.iter().map(AsRef::as_ref))
        // Set inside hooks, these would point at another repository than the folder's.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .env_remove("GIT_COMMON_DIR")
        .env_remove("GIT_OBJECT_DIRECTORY")
        .env_remove("GIT_NAMESPACE")
        // Its words are looked at.
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => GitError::NotInstalled { folder: folder.to_owned() },
            _ => GitError::Start { folder: folder.to_owned(), cause },
        })
}

/// One line, and of bounded length: a hook may have said it.
fn said_or_status(said: &str, output: &Output) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { output.status.to_string() } else { lines.join(" ").chars().take(1_000).collect() }
}
