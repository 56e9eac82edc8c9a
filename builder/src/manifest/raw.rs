//! The shape of the whole file, and its way to checked values; each table has a module of its own.

use super::Manifest;
use super::bump_table::{self, RawBump};
use super::error::{Found, from_toml};
use super::files::{self, RawFile};
use super::maintainer_scripts::{self, RawScripts};
use super::package::{Package, RawPackage};
use super::systemd::{self, RawSystemd};
use super::values::check_policy;
use debian_formats::Version;
use debian_formats::deb::Compression;
use fleet_protocol::update_policy::UpdatePolicy;
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawManifest {
    package: Spanned<RawPackage>,
    #[serde(default)]
    files: Vec<Spanned<RawFile>>,
    #[serde(default)]
    scripts: RawScripts,
    #[serde(default)]
    systemd: RawSystemd,
    update: Option<Spanned<UpdatePolicy>>,
    #[serde(default)]
    bump: RawBump,
    #[serde(default)]
    build: RawBuild,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawBuild {
    compression: Option<Compression>,
}

pub(super) fn parse(text: &str) -> Result<RawManifest, Found> {
    toml::from_str(text).map_err(|error| from_toml(&error))
}

pub(super) fn check(raw: RawManifest, file: &Path, text: &str) -> Result<Manifest, Found> {
    let package = Package::check(raw.package, text)?;
    let files = raw
        .files
        .into_iter()
        .map(|rule| files::check(rule, package.architectures(), text))
        .collect::<Result<_, _>>()?;
    let scripts = maintainer_scripts::check(raw.scripts, text)?;
    let systemd = systemd::check(raw.systemd, text);
    let update = raw.update.map(|update| check_update(update, package.debian_version())).transpose()?;
    let bump = bump_table::check(raw.bump)?;
    Ok(Manifest {
        file: file.to_owned(),
        package,
        files,
        scripts,
        systemd,
        update,
        bump,
        compression: raw.build.compression,
        snapshot: None,
    })
}

fn check_update(update: Spanned<UpdatePolicy>, version: &Version) -> Result<UpdatePolicy, Found> {
    let fail = Found::at(update.span().start);
    let update = update.into_inner();
    check_policy(&update, version).map_err(fail)?;
    Ok(update)
}
