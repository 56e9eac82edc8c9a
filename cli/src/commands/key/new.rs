//! `debfleet key new`: a new key pair.

use crate::report;
use crate::signing_keys::PassphraseArguments;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use debian_formats::openpgp::SigningKey;
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// Makes a new key: Ed25519, as OpenPGP version 4, which gpg, apt and debsig-verify read.
///
/// With --passphrase, or where DEBFLEET_PASSPHRASE is set, the secret key is locked.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  debfleet key new package --out keys --name \"Acme releases <release@acme.example>\"\n  \
                  debfleet key new package --out keys --passphrase 'command:systemd-ask-password'"
)]
pub(crate) struct Arguments {
    /// What the key is for
    kind: KeyKind,
    /// Folder for the three files; it is created if absent, and no file in it is overwritten
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Whose key it is
    #[arg(long, value_name = "NAME <MAIL>", default_value = "debfleet package key")]
    name: String,
    #[command(flatten)]
    passphrase: PassphraseArguments,
}

#[derive(Clone, Copy, ValueEnum)]
enum KeyKind {
    /// Signs packages; kept by CI or a person, never by the server
    Package,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let KeyKind::Package = arguments.kind;
    let name = arguments.name.trim();
    if name.is_empty() || name.contains(char::is_control) {
        bail!("--name {:?} is not a name; give one such as \"Acme releases <release@acme.example>\"", arguments.name);
    }
    let file = |ending: &str| arguments.out.join(format!("package.{ending}"));
    let (secret, binary, armored) = (file("key"), file("gpg"), file("asc"));
    for path in [&secret, &binary, &armored] {
        if path.symlink_metadata().is_ok() {
            bail!("{} is there already and a key is never overwritten; name another --out", path.display());
        }
    }
    let passphrase = arguments.passphrase.given()?;
    let key = SigningKey::generate(name, Timestamp::now())?;
    let secret_armor = match &passphrase {
        Some(passphrase) => key.to_locked_armor(passphrase)?,
        None => key.to_armor()?,
    };
    let fingerprint = key.fingerprint()?;
    let ring = key.public_keyring();
    let (ring_bytes, ring_armor) = (ring.to_bytes()?, ring.to_armor()?);
    durable_files::create_dir(&arguments.out, 0o755)?;
    let files: [(&Path, &[u8], u32); 3] = [
        (&binary, &ring_bytes, 0o644),
        (&armored, ring_armor.as_bytes(), 0o644),
        (&secret, secret_armor.as_bytes(), 0o600),
    ];
    for (index, (path, content, mode)) in files.iter().enumerate() {
        if let Err(error) = durable_files::replace(path, content, *mode) {
            // Half a key pair helps nobody.
            files[..index].iter().for_each(|(path, _, _)| drop(durable_files::remove(path)));
            return Err(error).context("could not keep the new key");
        }
    }
    let locked = if passphrase.is_some() { ", locked with the passphrase" } else { "" };
    for line in [
        format!("fingerprint: {fingerprint}"),
        format!("key id:      {}", fingerprint.key_id()),
        format!("{}  the secret key{locked}: signs packages (debfleet build --key); keep it safe", secret.display()),
        format!("{}  the public keyring: for debfleet-server, debfleet-updater, gpgv, debsig-verify", binary.display()),
        format!("{}  the same public key as text: to publish or to paste", armored.display()),
    ] {
        report::result(&line)?;
    }
    Ok(())
}
