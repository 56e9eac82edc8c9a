//! The three files of a key pair.

use crate::report;
use anyhow::{Context, Result, bail};
use debian_formats::openpgp::SigningKey;
use std::path::{Path, PathBuf};

/// Where a key pair stands, or will stand.
pub(super) struct KeyFiles {
    /// The secret key, for whoever signs.
    pub(super) secret: PathBuf,
    /// The public keyring, for programs.
    pub(super) binary: PathBuf,
    /// The same as text.
    pub(super) armored: PathBuf,
}

impl KeyFiles {
    /// Refuses a folder where one of them is there already.
    pub(super) fn new_in(folder: &Path) -> Result<Self> {
        let file = |ending: &str| folder.join(format!("package.{ending}"));
        let files = Self { secret: file("key"), binary: file("gpg"), armored: file("asc") };
        files.all().iter().try_for_each(|path| refuse_existing(path))?;
        Ok(files)
    }

    fn all(&self) -> [&Path; 3] {
        [&self.secret, &self.binary, &self.armored]
    }

    /// Writes all, or none; locked if there is a passphrase.
    pub(super) fn write(&self, key: &SigningKey, passphrase: Option<&[u8]>) -> Result<()> {
        let ring = key.public_keyring();
        let secret = match passphrase {
            Some(passphrase) => key.to_locked_armor(passphrase)?,
            None => key.to_armor()?,
        };
        let (binary, armored) = (ring.to_bytes()?, ring.to_armor()?);
        let files: [(&Path, &[u8], u32); 3] = [
            (&self.binary, &binary, 0o644),
            (&self.armored, armored.as_bytes(), 0o644),
            (&self.secret, secret.as_bytes(), 0o600),
        ];
        for (path, content, mode) in files {
            if let Err(error) = durable_files::replace(path, content, mode) {
                // Half a key pair helps nobody.
                self.remove();
                return Err(error).context("could not keep the new key");
            }
        }
        Ok(())
    }

    /// Takes back what was written, when something after it failed.
    pub(super) fn remove(&self) {
        self.all().iter().for_each(|path| drop(durable_files::remove(path)));
    }

    /// Says what is where.
    pub(super) fn tell(&self, key: &SigningKey, is_locked: bool) -> Result<()> {
        let fingerprint = key.fingerprint()?;
        let locked = if is_locked { ", locked with the passphrase" } else { "" };
        for line in [
            format!("fingerprint: {fingerprint}"),
            format!("key id:      {}", fingerprint.key_id()),
            format!(
                "{}  the secret key{locked}: signs packages (debfleet build --key); keep it safe",
                self.secret.display()
            ),
            format!(
                "{}  the public keyring: for debfleet-server, debfleet-updater, gpgv, debsig-verify",
                self.binary.display()
            ),
            format!("{}  the same public key as text: to publish or to paste", self.armored.display()),
        ] {
            report::result(&line)?;
        }
        Ok(())
    }
}

/// A key that is overwritten is lost.
pub(super) fn refuse_existing(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        bail!("{} is there already and a key is never overwritten; name another --out", path.display());
    }
    Ok(())
}

/// The name of a new key's owner.
pub(super) fn check_name(name: &str) -> Result<&str> {
    let trimmed = name.trim();
    if trimmed.is_empty() || trimmed.contains(char::is_control) {
        bail!("--name {name:?} is not a name; give one such as \"Acme releases <release@acme.example>\"");
    }
    Ok(trimmed)
}
