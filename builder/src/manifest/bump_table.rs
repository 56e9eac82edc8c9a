//! `[bump]`: the files that carry the version.

use super::error::{Found, ManifestProblem, from_toml};
use serde::Deserialize;
use toml::Spanned;

/// Where the version stands in a `[bump]` pattern.
pub const VERSION_MARK: &str = "{version}";

/// A file that carries the version, from `[bump]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BumpFile {
    /// Relative to the folder.
    pub path: String,
    /// Holds `{version}` where the version stands.
    pub pattern: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBump {
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

/// The text of a file that holds nothing but `[bump]`.
pub(super) fn parse_alone(text: &str) -> Result<Vec<BumpFile>, Found> {
    let raw: BumpOnly = toml::from_str(text).map_err(|error| from_toml(&error))?;
    check(raw.bump)
}

pub(super) fn check(raw: RawBump) -> Result<Vec<BumpFile>, Found> {
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
