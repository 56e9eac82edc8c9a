//! `debfleet key export`: public keys as a keyring, or as a package that brings it to devices.

use super::keyring_package::PackageArguments;
use super::show;
use crate::report;
use crate::secret::SecretSource;
use crate::signing_keys::SigningKeyArguments;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use debian_formats::openpgp::{KeyFile, Keyring};
use std::path::{Path, PathBuf};

/// Writes the public keys of one or more sources as one keyring.
///
/// With --package it builds a package that holds the keyring as /usr/share/keyrings/NAME.gpg, for `package-keyring` of
/// the updater, and signs it with --key. No passphrase is needed for the sources, only for a locked --key.
#[derive(Args)]
#[command(
    disable_version_flag = true,
    after_help = "Examples:\n  debfleet key export keys/package.key --out acme.asc --format armored\n  \
                  debfleet key export origin.gpg builder.asc --out fleet.gpg\n  \
                  debfleet key export fleet.gpg --package acme-archive-keyring --version 2026.11.21 \
                  --key keys/package.key --out dist"
)]
pub(crate) struct Arguments {
    /// Secret keys or keyrings, binary or armoured: files, env:NAME or command:COMMAND
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<SecretSource>,
    /// The keyring to write; with --package the folder for the .deb
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// The keyring's form
    #[arg(long, value_name = "FORMAT", default_value = "binary", conflicts_with = "package")]
    format: Format,
    #[command(flatten)]
    package: PackageArguments,
    #[command(flatten)]
    signing: SigningKeyArguments,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For gpgv, debsig-verify, apt, debfleet
    Binary,
    /// As text, to paste or to send
    Armored,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let keyring = merge(&arguments.sources)?;
    if arguments.package.package.is_none() {
        return export(&keyring, &arguments.out, arguments.format);
    }
    let signers = arguments.signing.load()?;
    if signers.is_empty() {
        bail!(
            "there is no key to sign the keyring package with, and no device would take it; give --key, or set \
             DEBFLEET_KEY_FILE or DEBFLEET_KEY"
        );
    }
    if let Some(package) = arguments.package.build(&keyring, &arguments.out, &signers)? {
        eprintln!("the keyring will be {} on the device", package.keyring_path);
        report::result(&package.path.display().to_string())?;
    }
    Ok(())
}

/// The public keys of all sources, each once.
pub(super) fn merge(sources: &[SecretSource]) -> Result<Keyring> {
    let rings = sources.iter().map(|source| {
        let keys = show::read(source)?;
        keys.public_keyring().with_context(|| format!("could not use the keys in {}", source.name()))
    });
    let rings = rings.collect::<Result<Vec<_>>>()?;
    rings.into_iter().reduce(Keyring::merged).context("no keys were given")
}

fn export(keyring: &Keyring, out: &Path, format: Format) -> Result<()> {
    refuse_what_is_no_keyring(out)?;
    let bytes = match format {
        Format::Binary => keyring.to_bytes()?,
        Format::Armored => keyring.to_armor()?.into_bytes(),
    };
    durable_files::replace(out, &bytes, 0o644).context("could not write the keyring")?;
    for fingerprint in keyring.fingerprints()? {
        eprintln!("holds {fingerprint} {}", report::printable(&keyring.user_ids(&fingerprint).join(", ")));
    }
    report::result(&out.display().to_string())
}

/// A keyring may take the place of an older one, and of nothing else: a secret key would be lost.
fn refuse_what_is_no_keyring(out: &Path) -> Result<()> {
    if out.symlink_metadata().is_err() {
        return Ok(());
    }
    let source = SecretSource::File(out.to_owned());
    let is_keyring =
        source.read().ok().and_then(|bytes| KeyFile::from_bytes(&bytes).ok()).is_some_and(|it| !it.is_secret());
    if is_keyring {
        return Ok(());
    }
    bail!("{} is there already and is no public keyring, so it is not overwritten; name another --out", out.display())
}
