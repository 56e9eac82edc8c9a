//! `debfleet key rotate`: a new key, and the package that tells devices of it, signed by the old one.

use super::export::merge;
use super::files::{KeyFiles, check_name, refuse_existing};
use super::keyring_package::{PackageArguments, WrittenPackage};
use crate::report;
use crate::secret::{Secret, SecretSource};
use crate::signing_keys::PassphraseArguments;
use anyhow::{Context, Result, bail};
use clap::Args;
use debian_formats::deb::SignatureRole;
use debian_formats::openpgp::{Keyring, SigningKey};
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// Makes a new key in place of an old one, the Debian way.
///
/// Devices trust what the old key signed, so the old key signs the package that brings them the new one. The result is
/// the new key, a keyring that holds both, and that package. Nothing that is there is changed: the old key goes on
/// signing until every device has the new keyring. The new key is locked as the old one is, unless --new-passphrase is
/// given.
#[derive(Args)]
#[command(
    disable_version_flag = true,
    after_help = "Example:\n  debfleet key rotate keys/package.key --out keys-2027 --package acme-archive-keyring \
                  --version 2026.11.21"
)]
pub(crate) struct Arguments {
    /// The old secret key: a file, env:NAME or command:COMMAND
    #[arg(value_name = "OLD")]
    old: SecretSource,
    /// Folder for the new key, the keyring and the package; it is created if absent
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Further keys that devices trust and shall go on trusting, such as those of other roles
    #[arg(long, value_name = "SOURCE")]
    keep: Vec<SecretSource>,
    /// The new key's owner; absent: the old key's
    #[arg(long, value_name = "NAME <MAIL>")]
    name: Option<String>,
    /// The role in which the old key signs the package
    #[arg(long, value_name = "ROLE", default_value = "origin")]
    role: SignatureRole,
    #[command(flatten)]
    package: PackageArguments,
    #[command(flatten)]
    passphrase: PassphraseArguments,
    /// Where the new key's passphrase is, if it is another one: a file, env:NAME or command:COMMAND
    #[arg(long, value_name = "SOURCE")]
    new_passphrase: Option<SecretSource>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.package.package.is_none() {
        bail!(
            "give the keyring package's name and version, such as --package acme-archive-keyring --version 2026.11.21"
        );
    }
    let out = &arguments.out;
    let files = KeyFiles::new_in(out)?;
    let both_path = out.join("keyring.gpg");
    refuse_existing(&both_path)?;
    let kept = if arguments.keep.is_empty() { None } else { Some(merge(&arguments.keep)?) };
    let (old, old_passphrase) = arguments.passphrase.load_with_passphrase(&arguments.old)?;
    let name = match &arguments.name {
        Some(name) => check_name(name)?.to_owned(),
        None => old.user_ids().into_iter().next().context("the old key names no owner; give --name")?,
    };
    let passphrase = match &arguments.new_passphrase {
        Some(source) => Some(source.read_passphrase()?),
        None => old_passphrase,
    };
    let new = SigningKey::generate(&name, Timestamp::now())?;
    let both = old.public_keyring().merged(new.public_keyring());
    let keyring = kept.into_iter().fold(both, Keyring::merged);
    durable_files::create_dir(out, 0o755)?;
    files.write(&new, passphrase.as_ref().map(|passphrase: &Secret| passphrase.as_slice()))?;
    let finish = || -> Result<WrittenPackage> {
        durable_files::replace(&both_path, &keyring.to_bytes()?, 0o644)?;
        let signers = [(arguments.role.clone(), old)];
        arguments.package.build(&keyring, out, &signers)?.context("there is no keyring package to build")
    };
    let package = finish().inspect_err(|_| {
        // Half a rotation would only be taken for a whole one.
        files.remove();
        drop(durable_files::remove(&both_path));
    })?;
    files.tell(&new, passphrase.is_some())?;
    report::result(&format!("{}  the old key and the new one", both_path.display()))?;
    report::result(&format!("{}  the same as a package, signed by the old key", package.path.display()))?;
    let steps = next_steps(&package, &files, &both_path, !arguments.keep.is_empty());
    steps.iter().try_for_each(|line| report::result(line))
}

fn next_steps(package: &WrittenPackage, files: &KeyFiles, both: &Path, others_are_kept: bool) -> [String; 8] {
    let (deb, name, path) = (package.path.display(), &package.name, &package.keyring_path);
    let (secret, public, both) = (files.secret.display(), files.binary.display(), both.display());
    let kept = if others_are_kept { " <the keys to keep>" } else { "" };
    [
        String::new(),
        "Next, in this order:".into(),
        format!("1. Keep a copy of {secret} in a safe place. Go on signing with the old key for now."),
        format!("2. On the server, copy {both} over package-keys.gpg in its data folder, and start it anew."),
        format!("3. Publish {deb}, and bring it to every device; {path} is the package-keyring of their updaters."),
        format!("4. When every device has it, sign with the new key: --key {secret}"),
        format!(
            "5. Then take the old key away. Publish what this makes, and bring it to every device:\n   debfleet key export \
             {public}{kept} --package {name} --version <a higher one> --key {secret} --out <folder>"
        ),
        "6. Put the server's package-keys.gpg without the old key in place, as in 2, and destroy the old secret key."
            .into(),
    ]
}
