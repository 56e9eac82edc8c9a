//! `debfleet key new`: a new key pair.

use super::files::{KeyFiles, check_name};
use crate::signing_keys::PassphraseArguments;
use anyhow::Result;
use clap::{Args, ValueEnum};
use debian_formats::openpgp::SigningKey;
use jiff::Timestamp;
use std::path::PathBuf;

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
    let name = check_name(&arguments.name)?;
    let files = KeyFiles::new_in(&arguments.out)?;
    let passphrase = arguments.passphrase.given()?;
    let key = SigningKey::generate(name, Timestamp::now())?;
    durable_files::create_dir(&arguments.out, 0o755)?;
    files.write(&key, passphrase.as_ref().map(|passphrase| passphrase.as_slice()))?;
    files.tell(&key, passphrase.is_some())
}
