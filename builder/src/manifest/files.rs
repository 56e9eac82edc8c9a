//! `[[files]]`: what goes where.

use super::architectures::Architectures;
use super::error::{Found, ManifestProblem, line_of};
use super::placeholders;
use super::values::{Mode, Texts, bad_value, check_owner};
use crate::entries::Owner;
use crate::pattern::Pattern;
use debian_formats::Architecture;
use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    destination: Spanned<String>,
    source: Option<Spanned<String>>,
    symlink: Option<Spanned<String>>,
    directory: Option<Spanned<bool>>,
    exclude: Option<Spanned<Texts>>,
    mode: Option<Spanned<Mode>>,
    owner: Option<Spanned<String>>,
    conffile: Option<Spanned<bool>>,
    architectures: Option<Spanned<Texts>>,
}

/// One `[[files]]`.
#[derive(Debug, Clone)]
pub(super) struct FileRule {
    pub(super) line: usize,
    /// Relative to the root; empty is the root itself. May hold placeholders.
    pub(super) destination: String,
    pub(super) origin: Origin,
    pub(super) mode: Option<u32>,
    pub(super) owner: Owner,
    /// Empty: in packages for all.
    pub(super) architectures: Vec<Architecture>,
}

impl FileRule {
    pub(super) fn is_for(&self, architecture: &Architecture) -> bool {
        self.architectures.is_empty() || self.architectures.contains(architecture)
    }
}

/// Where it comes from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// Files on disk.
    Source(SourceRule),
    /// A link is made, to this target.
    Symlink(String),
    /// An empty folder is made.
    Directory,
}

/// Files on disk.
#[derive(Debug, Clone)]
pub(super) struct SourceRule {
    /// A path or a pattern; may hold placeholders.
    pub(super) path: String,
    /// The destination ended with `/`: a file keeps its own name below it.
    pub(super) into_folder: bool,
    pub(super) exclude: Vec<Pattern>,
    /// None: below /etc.
    pub(super) conffile: Option<bool>,
}

pub(super) fn check(rule: Spanned<RawFile>, built_for: &Architectures, text: &str) -> Result<FileRule, Found> {
    let begins = rule.span().start;
    let raw = rule.into_inner();
    let destination = check_destination(&raw.destination)?;
    let owner = match &raw.owner {
        None => Owner::root(),
        Some(owner) => check_owner(owner.get_ref()).map_err(Found::at(owner.span().start))?,
    };
    let mode = match &raw.mode {
        None => None,
        Some(mode) => Some(mode.get_ref().bits().map_err(Found::at(mode.span().start))?),
    };
    let architectures = match &raw.architectures {
        None => Vec::new(),
        Some(names) => check_architectures(names.get_ref(), built_for).map_err(Found::at(names.span().start))?,
    };
    let origin = check_origin(&raw, begins)?;
    let line = line_of(text, raw.source.as_ref().or(raw.symlink.as_ref()).unwrap_or(&raw.destination).span().start);
    Ok(FileRule { line, destination, origin, mode, owner, architectures })
}

fn check_destination(written: &Spanned<String>) -> Result<String, Found> {
    let fail = Found::at(written.span().start);
    let text = written.get_ref();
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    if !text.starts_with('/') || parts.iter().any(|part| matches!(*part, "." | "..")) {
        let rule = "a destination is an absolute path on the device, without `.` and `..`";
        return Err(fail(bad_value("destination", text, rule)));
    }
    placeholders::check("destination", text).map_err(fail)?;
    Ok(parts.join("/"))
}

fn check_origin(raw: &RawFile, begins: usize) -> Result<Origin, Found> {
    let rule = "write exactly one of `source`, `symlink` and `directory = true`";
    let wrong = |value: &str| Found::at(begins)(bad_value("[[files]]", value, rule));
    // What a key does not belong to would be forgotten without a word.
    let only_with_source = |what: &str| {
        let at = |span: std::ops::Range<usize>, key: &'static str| {
            Found::at(span.start)(bad_value(key, "", format!("it belongs to a `source`, not to a {what}; remove it")))
        };
        match (&raw.exclude, &raw.conffile) {
            (Some(exclude), _) => Err(at(exclude.span(), "exclude")),
            (_, Some(conffile)) => Err(at(conffile.span(), "conffile")),
            _ => Ok(()),
        }
    };
    match (&raw.source, &raw.symlink, raw.directory.as_ref().map(|it| *it.get_ref())) {
        (Some(source), None, None) => {
            let fail = Found::at(source.span().start);
            placeholders::check("source", source.get_ref()).map_err(fail)?;
            let exclude = match &raw.exclude {
                None => Vec::new(),
                Some(texts) => {
                    let patterns: Result<Vec<_>, _> =
                        texts.get_ref().0.iter().map(|it| Pattern::exclusion(it)).collect();
                    patterns.map_err(|error| Found::at(texts.span().start)(error.into()))?
                }
            };
            Ok(Origin::Source(SourceRule {
                path: source.get_ref().clone(),
                into_folder: raw.destination.get_ref().ends_with('/'),
                exclude,
                conffile: raw.conffile.as_ref().map(|it| *it.get_ref()),
            }))
        }
        (None, Some(target), None) => {
            only_with_source("symlink")?;
            let fail = Found::at(target.span().start);
            let text = target.get_ref();
            if let Some(mode) = &raw.mode {
                let rule = "a symbolic link has no mode of its own; remove it";
                return Err(Found::at(mode.span().start)(bad_value("mode", mode.get_ref().text(), rule)));
            }
            if text.is_empty() || text.len() > 4095 || text.contains(char::is_control) {
                return Err(fail(bad_value("symlink", text, "name the path that the link leads to")));
            }
            placeholders::check("symlink", text).map_err(fail)?;
            Ok(Origin::Symlink(text.clone()))
        }
        (None, None, Some(true)) => {
            only_with_source("directory")?;
            Ok(Origin::Directory)
        }
        _ => Err(wrong(raw.destination.get_ref())),
    }
}

fn check_architectures(names: &Texts, built_for: &Architectures) -> Result<Vec<Architecture>, ManifestProblem> {
    let mut architectures = Vec::new();
    for name in &names.0 {
        let architecture: Architecture = name.parse()?;
        if !built_for.may_be(&architecture) {
            let rule = "the package is not made for it, so the file would be in none; correct one of the two lists";
            return Err(bad_value("architectures", name, rule));
        }
        architectures.push(architecture);
    }
    if architectures.is_empty() {
        return Err(bad_value("architectures", "[]", "name at least one, or leave the key out for all"));
    }
    Ok(architectures)
}
