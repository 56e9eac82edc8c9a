//! The shapes that serde reads, and their way to checked values.

use super::error::{Found, ManifestProblem, from_toml, line_of};
use super::package::{Package, RawPackage};
use super::values::{Mode, check_owner, check_policy};
use super::{BumpFile, FileRule, Manifest, ScriptRule, VERSION_MARK};
use crate::entries::Owner;
use debian_formats::Version;
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
    update: Option<Spanned<UpdatePolicy>>,
    #[serde(default)]
    bump: RawBump,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    source: Spanned<String>,
    destination: Spanned<String>,
    mode: Option<Spanned<Mode>>,
    owner: Option<Spanned<String>>,
    #[serde(default)]
    conffile: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawScripts {
    preinst: Option<Spanned<String>>,
    postinst: Option<Spanned<String>>,
    prerm: Option<Spanned<String>>,
    postrm: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawBump {
    #[serde(default)]
    files: Vec<Spanned<RawBumpFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBumpFile {
    path: String,
    pattern: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BumpOnly {
    #[serde(default)]
    bump: RawBump,
}

pub(super) fn parse(text: &str) -> Result<RawManifest, Found> {
    toml::from_str(text).map_err(|error| from_toml(&error))
}

pub(super) fn parse_bump_only(text: &str) -> Result<Vec<BumpFile>, Found> {
    let raw: BumpOnly = toml::from_str(text).map_err(|error| from_toml(&error))?;
    check_bump(raw.bump)
}

pub(super) fn check(raw: RawManifest, file: &Path, text: &str) -> Result<Manifest, Found> {
    let package = Package::check(raw.package)?;
    let files = raw.files.into_iter().map(|rule| check_file(rule, text)).collect::<Result<_, _>>()?;
    let scripts = check_scripts(raw.scripts, text);
    let update = raw.update.map(|update| check_update(update, package.debian_version())).transpose()?;
    let bump = check_bump(raw.bump)?;
    Ok(Manifest { file: file.to_owned(), package, files, scripts, update, bump })
}

fn check_file(rule: Spanned<RawFile>, text: &str) -> Result<FileRule, Found> {
    let rule = rule.into_inner();
    let at = rule.destination.span().start;
    let destination = rule.destination.into_inner();
    let parts: Vec<&str> = destination.split('/').filter(|part| !part.is_empty()).collect();
    if !destination.starts_with('/') || parts.iter().any(|part| matches!(*part, "." | "..")) {
        let rule = "a destination is an absolute path on the device, without `.` and `..`".to_owned();
        return Err(Found::at(at)(ManifestProblem::Value { key: "destination", value: destination.clone(), rule }));
    }
    let owner = match rule.owner {
        None => Owner::root(),
        Some(owner) => check_owner(owner.get_ref()).map_err(Found::at(owner.span().start))?,
    };
    let mode = match rule.mode {
        None => None,
        Some(mode) => Some(mode.get_ref().bits().map_err(Found::at(mode.span().start))?),
    };
    Ok(FileRule {
        line: line_of(text, rule.source.span().start),
        source: rule.source.into_inner(),
        destination: parts.join("/"),
        into_folder: destination.ends_with('/'),
        mode,
        owner,
        conffile: rule.conffile,
    })
}

fn check_scripts(raw: RawScripts, text: &str) -> Vec<ScriptRule> {
    let named = [("preinst", raw.preinst), ("postinst", raw.postinst), ("prerm", raw.prerm), ("postrm", raw.postrm)];
    let rule = |(name, source): (&'static str, Option<Spanned<String>>)| {
        source.map(|source| ScriptRule { line: line_of(text, source.span().start), name, source: source.into_inner() })
    };
    named.into_iter().filter_map(rule).collect()
}

fn check_update(update: Spanned<UpdatePolicy>, version: &Version) -> Result<UpdatePolicy, Found> {
    let fail = Found::at(update.span().start);
    let update = update.into_inner();
    check_policy(&update, version).map_err(fail)?;
    Ok(update)
}

fn check_bump(raw: RawBump) -> Result<Vec<BumpFile>, Found> {
    let check = |rule: Spanned<RawBumpFile>| {
        let at = rule.span().start;
        let RawBumpFile { path, pattern } = rule.into_inner();
        if pattern.matches(VERSION_MARK).count() == 1 {
            Ok(BumpFile { path, pattern })
        } else {
            let rule = "write {version} once, where the version stands in the file".to_owned();
            Err(Found::at(at)(ManifestProblem::Value { key: "pattern", value: pattern, rule }))
        }
    };
    raw.files.into_iter().map(check).collect()
}
