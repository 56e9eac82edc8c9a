//! The keys that a command signs with: `--key`, `--passphrase`, and the variables in their place.

use crate::secret::{Secret, SecretSource};
use anyhow::{Context, Result, bail};
use clap::Args;
use debian_formats::deb::SignatureRole;
use debian_formats::openpgp::{SecretKey, SigningKey};
use std::ffi::OsString;
use std::io::{IsTerminal, stdin};
use std::str::FromStr;
use zeroize::Zeroizing;

const KEY_FILE_VARIABLE: &str = "DEBFLEET_KEY_FILE";
const KEY_VARIABLE: &str = "DEBFLEET_KEY";
const PASSPHRASE_VARIABLE: &str = "DEBFLEET_PASSPHRASE";

/// Which keys sign, flattened into every command that signs.
#[derive(Args)]
pub(crate) struct SigningKeyArguments {
    /// A secret key that signs, and its role (origin if none is named); may be given once for each role
    ///
    /// SOURCE is a file, env:NAME for an environment variable that holds the key, or command:COMMAND for a shell
    /// command that prints it. Without --key, DEBFLEET_KEY_FILE names the origin's key file, or DEBFLEET_KEY holds the
    /// armoured key itself.
    #[arg(long = "key", value_name = "[ROLE=]SOURCE")]
    keys: Vec<RoleKey>,
    #[command(flatten)]
    passphrase: PassphraseArguments,
}

/// What opens a locked key.
#[derive(Args)]
pub(crate) struct PassphraseArguments {
    /// Where the passphrase of a locked key is: a file, env:NAME or command:COMMAND
    ///
    /// Absent: the variable DEBFLEET_PASSPHRASE holds it, or it is asked for on the terminal.
    #[arg(long, value_name = "SOURCE")]
    passphrase: Option<SecretSource>,
}

/// One `--key`.
#[derive(Clone)]
struct RoleKey {
    role: SignatureRole,
    source: SecretSource,
}

impl FromStr for RoleKey {
    type Err = String;

    /// What stands before the first `=` is a role unless it can only be part of a path or of a command.
    fn from_str(text: &str) -> Result<Self, String> {
        let source = |text: &str| text.parse::<SecretSource>();
        match text.split_once('=') {
            Some((role, rest)) if !role.contains(['/', '.', ':']) => {
                let role =
                    role.parse().map_err(|error| format!("{error} (a file's name with a = needs ./ before it)"))?;
                Ok(Self { role, source: source(rest)? })
            }
            _ => Ok(Self { role: SignatureRole::origin(), source: source(text)? }),
        }
    }
}

impl SigningKeyArguments {
    /// Reads the keys, each with its role. None are given: an empty list.
    pub(crate) fn load(&self) -> Result<Vec<(SignatureRole, SigningKey)>> {
        let from_environment;
        let keys = if self.keys.is_empty() {
            from_environment = key_of_environment()?;
            from_environment.as_slice()
        } else {
            &self.keys
        };
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|other| other.role == key.role) {
                bail!("--key is given twice for the role {}; one signature fits a role", key.role);
            }
        }
        keys.iter().map(|key| Ok((key.role.clone(), self.passphrase.load(&key.source)?))).collect()
    }
}

impl PassphraseArguments {
    /// Reads one secret key and opens it if it is locked.
    pub(crate) fn load(&self, source: &SecretSource) -> Result<SigningKey> {
        self.load_with_passphrase(source).map(|(key, _)| key)
    }

    /// As [`Self::load`], with the passphrase if it was locked.
    pub(crate) fn load_with_passphrase(&self, source: &SecretSource) -> Result<(SigningKey, Option<Secret>)> {
        let used = || format!("could not use the key in {}", source.name());
        match read_key(source)? {
            SecretKey::Open(key) => Ok((key, None)),
            SecretKey::Locked(key) => {
                let passphrase = match self.given()? {
                    Some(passphrase) => passphrase,
                    None => ask(&format!("Passphrase of the key in {}: ", source.name())).with_context(used)?,
                };
                let key = key.unlock(&passphrase).with_context(used)?;
                Ok((key, Some(passphrase)))
            }
        }
    }

    /// The passphrase of the option or of its variable.
    pub(crate) fn given(&self) -> Result<Option<Secret>> {
        match &self.passphrase {
            Some(source) => source.read_passphrase().map(Some),
            None if is_set(PASSPHRASE_VARIABLE).is_some() => {
                SecretSource::Environment(PASSPHRASE_VARIABLE.into()).read_passphrase().map(Some)
            }
            None => Ok(None),
        }
    }
}

/// Reads one armoured secret key and leaves it locked if it is.
fn read_key(source: &SecretSource) -> Result<SecretKey> {
    let hint = "could not load the key to sign with; make one by `debfleet key new package`";
    let bytes = source.read_key().context(hint)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        anyhow::anyhow!(
            "{} is not text; expected an armoured OpenPGP secret key (gpg --armor --export-secret-keys)",
            source.name()
        )
    })?;
    // GitLab's variables of the kind "File" hold the path of a file, not its content.
    if let SecretSource::Environment(name) = source
        && text.starts_with('/')
    {
        bail!("the variable {name} holds a path, not a key; set {KEY_FILE_VARIABLE} to the path, or give it as --key");
    }
    SecretKey::from_armor(text).with_context(|| format!("could not use the key in {}", source.name()))
}

/// The origin's key, as CI keeps it.
fn key_of_environment() -> Result<Vec<RoleKey>> {
    let source = match (is_set(KEY_FILE_VARIABLE), is_set(KEY_VARIABLE)) {
        (None, None) => return Ok(Vec::new()),
        (Some(_), Some(_)) => {
            bail!("both {KEY_FILE_VARIABLE} and {KEY_VARIABLE} are set; unset one, or name the key by --key")
        }
        (Some(path), None) => SecretSource::File(path.into()),
        (None, Some(_)) => SecretSource::Environment(KEY_VARIABLE.into()),
    };
    Ok(vec![RoleKey { role: SignatureRole::origin(), source }])
}

/// CI gives an empty variable where a job may not see the secret: that is none.
fn is_set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn ask(prompt: &str) -> Result<Secret> {
    if !stdin().is_terminal() {
        bail!(
            "it is locked, and there is no terminal to ask for its passphrase; give --passphrase with a file, env:NAME \
             or command:COMMAND, or set {PASSPHRASE_VARIABLE}"
        );
    }
    let passphrase = rpassword::prompt_password(prompt).context("could not ask for the passphrase")?;
    Ok(Zeroizing::new(passphrase.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_stands_before_the_first_equals_sign() {
        let parse = |text: &str| text.parse::<RoleKey>().map(|key| (key.role.to_string(), key.source));
        let is = |text, role: &str, source: &str| {
            assert!(parse(text) == Ok((role.to_owned(), source.parse().unwrap())), "{text}");
        };
        is("package.key", "origin", "package.key");
        is("maint=package.key", "maint", "package.key");
        is("builder=command:vault read -field=key", "builder", "command:vault read -field=key");
        is("command:vault read -field=key secret/a", "origin", "command:vault read -field=key secret/a");
        is("./a=b", "origin", "./a=b");
        is("keys/a=b", "origin", "keys/a=b");
        is("command:A=b cat x", "origin", "command:A=b cat x");
        for wrong in ["Origin=a", "=a", "maint=", "a b=c"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
