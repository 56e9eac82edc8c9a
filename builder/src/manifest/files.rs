//! `[[files]]`: what goes where.

use super::error::{Found, ManifestProblem, line_of};
use super::values::{Mode, check_owner};
use crate::entries::Owner;
use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    source: Spanned<String>,
    destination: Spanned<String>,
    mode: Option<Spanned<Mode>>,
    owner: Option<Spanned<String>>,
    #[serde(default)]
    conffile: bool,
}

/// One `[[files]]`.
#[derive(Debug, Clone)]
pub(super) struct FileRule {
    pub(super) line: usize,
    pub(super) source: String,
    /// Relative to the root; empty is the root itself.
    pub(super) destination: String,
    /// The destination ended with `/`: a file keeps its own name below it.
    pub(super) into_folder: bool,
    pub(super) mode: Option<u32>,
    pub(super) owner: Owner,
    pub(super) conffile: bool,
}

pub(super) fn check(rule: Spanned<RawFile>, text: &str) -> Result<FileRule, Found> {
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
