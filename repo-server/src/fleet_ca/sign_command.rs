//! Signatures by a command of the operator's, so that the authority's key can lie elsewhere: in an HSM, or with somebody
//! who is asked. The command gets what is to be signed on its standard input and prints the signature.

use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// How long a signature may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for what an ended command has printed.
const REST: Duration = Duration::from_secs(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// No signature is longer; RSA's has as many bytes as its key.
const LONGEST_SIGNATURE: usize = 2048;
/// What is kept of its complaints.
const LONGEST_COMPLAINT: usize = 2048;

/// A command that gave no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignCommandError {
    /// It could not be run.
    #[error("could not run the fleet CA's signing command {command:?}: {source}")]
    Run {
        /// The command.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// It took too long.
    #[error("the fleet CA's signing command {0:?} took longer than {seconds} seconds", seconds = PATIENCE.as_secs())]
    Slow(String),
    /// It failed.
    #[error("the fleet CA's signing command {command:?} failed ({status}): {complaint}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed on its standard error.
        complaint: String,
    },
    /// It printed something else.
    #[error(
        "the fleet CA's signing command {0:?} printed no signature; it is to sign what it gets on its standard input and \
         print the signature's bytes"
    )]
    NoSignature(String),
}

/// The command's signature of this message.
pub(super) fn sign(command: &str, message: &[u8]) -> Result<Vec<u8>, SignCommandError> {
    let fail = |source| SignCommandError::Run { command: command.to_owned(), source };
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Whatever it starts is ended with it.
        .process_group(0)
        .spawn()
        .map_err(fail)?;
    let signature = read_aside(child.stdout.take(), LONGEST_SIGNATURE + 1);
    let complaint = read_aside(child.stderr.take(), LONGEST_COMPLAINT);
    if let Some(mut stdin) = child.stdin.take() {
        // It is shorter than a pipe's buffer. One who does not read it says why in its own words.
        let _ = stdin.write_all(message);
    }
    let Some(status) = wait(&mut child).map_err(fail)? else {
        return Err(SignCommandError::Slow(command.to_owned()));
    };
    let signature = signature.recv_timeout(REST).unwrap_or_default();
    if !status.success() {
        let complaint = complaint.recv_timeout(REST).unwrap_or_default();
        let complaint = String::from_utf8_lossy(&complaint);
        let complaint = complaint.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        let complaint = complaint.trim().to_owned();
        return Err(SignCommandError::Failed { command: command.to_owned(), status, complaint });
    }
    if signature.is_empty() || signature.len() > LONGEST_SIGNATURE {
        return Err(SignCommandError::NoSignature(command.to_owned()));
    }
    Ok(signature)
}

/// How it ended; None: it had to be ended.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    // One that has just ended cannot be ended again.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    child.wait()?;
    Ok(None)
}

/// Reads a pipe to its end beside what else goes on.
fn read_aside(pipe: Option<impl Read + Send + 'static>, most: usize) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What could be read so far is judged like a whole.
            let _ = pipe.by_ref().take(most as u64).read_to_end(&mut bytes);
            let _ = sender.send(bytes);
            // Nobody is to fail for a full pipe.
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_prints_is_the_signature() {
        assert_eq!(sign("cat", b"message").unwrap(), b"message");
        assert_eq!(sign("printf signed; yes | head -c 200000 >&2", b"message").unwrap(), b"signed");
    }

    #[test]
    fn a_command_that_does_not_sign_is_named_with_its_complaint() {
        let error = sign("echo 'no token in slot' >&2; exit 3", b"message").unwrap_err().to_string();
        assert!(error.contains("no token in slot") && error.contains("exit status: 3"), "{error}");
        for (command, word) in
            [("true", "no signature"), ("head -c 3000 /dev/zero", "no signature"), ("/no/such/program", "not found")]
        {
            let error = sign(command, b"message").unwrap_err().to_string();
            assert!(error.contains(word), "{command}: {error}");
        }
    }
}
