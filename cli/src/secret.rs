//! Where a secret comes from: a file, an environment variable, or a command that prints it.

use anyhow::{Context, Result, anyhow, bail};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use zeroize::Zeroizing;

/// No key and no passphrase is anywhere near as long.
const MAX_BYTES: u64 = 1 << 20;
/// How a secret key begins.
const SECRET_ARMOR: &[u8] = b"-----BEGIN PGP PRIVATE KEY BLOCK-----";

/// Bytes that are wiped from memory after use. They have no Debug that shows them.
pub(crate) type Secret = Zeroizing<Vec<u8>>;

/// The source of a secret, as it is written on the command line. What it holds or runs is never printed: a command's
/// text may itself hold a token, and a person may give the secret in its place.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SecretSource {
    /// A file.
    File(PathBuf),
    /// `env:NAME`
    Environment(String),
    /// `command:COMMAND`, run by `sh -c`.
    Command(String),
}

/// Refuses a secret key that was given in place of its source, before anything prints the arguments.
pub(crate) fn refuse_on_command_line(arguments: impl Iterator<Item = OsString>) -> Result<()> {
    for argument in arguments {
        if argument.as_bytes().windows(SECRET_ARMOR.len()).any(|window| window == SECRET_ARMOR) {
            bail!(
                "a secret key itself was given on the command line, where every user of the machine can read it; give a \
                 file, env:NAME or command:COMMAND, and count this key as known to others"
            );
        }
    }
    Ok(())
}

impl FromStr for SecretSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("env:") {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err("`env:` needs the name of an environment variable, such as env:PACKAGE_KEY".into());
            }
            return Ok(Self::Environment(name.to_owned()));
        }
        if let Some(command) = text.strip_prefix("command:") {
            if command.trim().is_empty() {
                return Err("`command:` needs a command that prints the secret".into());
            }
            return Ok(Self::Command(command.to_owned()));
        }
        if text.is_empty() || text.starts_with('-') {
            return Err(
                "expected a file, env:NAME or command:COMMAND (a name that begins with - needs ./ before it)".into()
            );
        }
        Ok(Self::File(text.into()))
    }
}

impl SecretSource {
    /// What it is called in errors and on the terminal.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Environment(name) => format!("the variable {name}"),
            Self::Command(_) => "the output of the given command".into(),
        }
    }

    /// Reads a key. Warns of a file that others can read too.
    pub(crate) fn read_key(&self) -> Result<Secret> {
        if let Self::File(path) = self {
            warn_if_open(path);
        }
        self.read()
    }

    /// Reads a passphrase: the text without the line break at its end. A path is not printed, as it may be the
    /// passphrase itself, given by mistake.
    pub(crate) fn read_passphrase(&self) -> Result<Secret> {
        let mut passphrase = match self {
            Self::File(path) => {
                warn_if_open(path);
                read_file(path).context(
                    "could not read the passphrase's file; --passphrase takes a file, env:NAME or command:COMMAND, \
                     never the passphrase itself",
                )?
            }
            other => other.read()?,
        };
        for ending in [b'\n', b'\r'] {
            if passphrase.last() == Some(&ending) {
                passphrase.pop();
            }
        }
        if passphrase.is_empty() {
            bail!("the passphrase is empty; correct --passphrase or DEBFLEET_PASSPHRASE");
        }
        Ok(passphrase)
    }

    /// Reads what need not be secret, such as public keys.
    pub(crate) fn read(&self) -> Result<Secret> {
        match self {
            Self::File(path) => read_file(path).with_context(|| format!("could not read {}", path.display())),
            Self::Environment(name) => read_variable(name),
            Self::Command(command) => run(command),
        }
    }
}

/// Also of what is no plain file, such as a shell's `<(…)`.
fn read_file(path: &Path) -> Result<Secret> {
    read_bounded(File::open(path)?)?.ok_or_else(|| anyhow!("it is larger than {MAX_BYTES} bytes, too large for a key"))
}

/// None: there is more than a secret can be.
fn read_bounded(from: impl Read) -> std::io::Result<Option<Secret>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 << 10));
    from.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= MAX_BYTES))
}

fn read_variable(name: &str) -> Result<Secret> {
    match std::env::var_os(name).map(OsString::into_vec) {
        None => bail!("the environment variable {name} is not set"),
        Some(value) if value.trim_ascii().is_empty() => {
            bail!("the environment variable {name} is empty; does this CI job have access to the secret?")
        }
        Some(value) => Ok(Zeroizing::new(value)),
    }
}

/// The command's own errors go where ours go. How long it takes is the matter of who wrote it.
fn run(command: &str) -> Result<Secret> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = shell.spawn().context("could not start `sh` for the command that prints the secret")?;
    let output = collect(&mut child);
    if !matches!(output, Ok(Some(_))) {
        // It may wait for somebody to read on.
        let _ = child.kill();
    }
    let status = child.wait().context("could not wait for the command that prints the secret")?;
    let output = output.context("could not read what the command for the secret prints")?;
    let output = output.ok_or_else(|| {
        anyhow!("the command that should print the secret printed more than {MAX_BYTES} bytes; it was stopped")
    })?;
    if !status.success() {
        bail!("the command that should print the secret failed ({status}); what it said stands above");
    }
    if output.trim_ascii().is_empty() {
        bail!("the command that should print the secret succeeded and printed nothing; try it in a shell");
    }
    Ok(output)
}

fn collect(child: &mut Child) -> std::io::Result<Option<Secret>> {
    match child.stdout.take() {
        Some(stdout) => read_bounded(stdout),
        None => Ok(None),
    }
}

fn warn_if_open(path: &Path) {
    let Ok(metadata) = path.metadata() else { return };
    let mode = metadata.permissions().mode();
    if metadata.is_file() && mode & 0o077 != 0 {
        eprintln!("warning: {0} is open to others (mode {1:04o}); run: chmod 600 {0}", path.display(), mode & 0o7777);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_told_by_its_beginning() {
        let parse = |text: &str| text.parse::<SecretSource>();
        assert!(parse("env:KEY") == Ok(SecretSource::Environment("KEY".into())));
        assert!(parse("command:a b") == Ok(SecretSource::Command("a b".into())));
        assert!(parse("./env:KEY") == Ok(SecretSource::File("./env:KEY".into())));
        assert!(parse("keys/package.key") == Ok(SecretSource::File("keys/package.key".into())));
        for wrong in ["", "env:", "env:A=B", "command: "] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
