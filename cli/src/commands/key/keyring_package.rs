//! What `key export` and `key rotate` have in common: a keyring becomes a signed package.

use anyhow::{Context, Result, bail};
use builder::keyring_package::KeyringPackage;
use builder::write::{self, Packing};
use clap::Args;
use debian_formats::deb::SignatureRole;
use debian_formats::openpgp::{Keyring, SigningKey};
use debian_formats::{PackageName, Version};
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// The package's name, version and maintainer.
#[derive(Args)]
pub(crate) struct PackageArguments {
    /// The keyring package's name, such as acme-archive-keyring; devices find it in /usr/share/keyrings/NAME.gpg
    #[arg(long, value_name = "NAME", requires = "version")]
    pub(super) package: Option<PackageName>,
    /// The keyring package's Debian version, such as 2026.11.21; each must be higher than the one before
    #[arg(long, value_name = "VERSION", requires = "package")]
    version: Option<Version>,
    /// The keyring package's maintainer; absent: the first key's user id
    #[arg(long, value_name = "NAME <MAIL>", requires = "package")]
    maintainer: Option<String>,
}

/// A keyring package on disk.
pub(super) struct WrittenPackage {
    pub(super) path: PathBuf,
    pub(super) name: PackageName,
    pub(super) keyring_path: String,
}

impl PackageArguments {
    /// Builds the package, if one is asked for.
    pub(super) fn build(
        &self,
        keyring: &Keyring,
        out: &Path,
        signers: &[(SignatureRole, SigningKey)],
    ) -> Result<Option<WrittenPackage>> {
        let (Some(name), Some(version)) = (&self.package, &self.version) else { return Ok(None) };
        let maintainer = match &self.maintainer {
            Some(maintainer) => maintainer.clone(),
            None => maintainer_of(keyring)?,
        };
        let time = match std::env::var_os(builder::time::VARIABLE) {
            Some(value) => builder::time::of_variable(&value.to_string_lossy())?,
            None => Timestamp::now(),
        };
        let package = KeyringPackage { name, version, maintainer: &maintainer, keyring };
        let failed = || format!("could not build the package {name}");
        let plan = package.plan(time).with_context(failed)?;
        let written = write::write(&plan, out, signers, Packing::default()).with_context(failed)?;
        Ok(Some(WrittenPackage { path: written.path, name: name.clone(), keyring_path: package.path() }))
    }
}

fn maintainer_of(keyring: &Keyring) -> Result<String> {
    let first = keyring.fingerprints()?.into_iter().next();
    let ids = first.map(|first| keyring.user_ids(&first)).unwrap_or_default();
    match ids.into_iter().find(|id| id.contains('@') && id.ends_with('>')) {
        Some(id) => Ok(id),
        None => bail!("the first key's user id names no mail address; give --maintainer \"Name <mail@example.org>\""),
    }
}
