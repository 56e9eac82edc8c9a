//! Finding the files that a manifest names.

use super::files::{FileRule, Origin, SourceRule};
use super::package::ChangelogRule;
use super::{Manifest, ManifestError, ManifestProblem, placeholders};
use crate::confine::resolve_inside;
use crate::entries::{Entries, Entry, EntryKind, generated};
use crate::gathered::{Documents, Gathered};
use crate::pattern::{self, Pattern, is_pattern};
use crate::shared_libraries::{self, Resolved};
use crate::walk::{self, Found, WalkError};
use debian_formats::{Architecture, changelog};
use fleet_protocol::update_policy::path_in_package;
use std::path::{Path, PathBuf};

impl Manifest {
    /// Finds all files that belong to the package for an architecture.
    pub fn gather(&self, architecture: &Architecture) -> Result<Gathered, ManifestError> {
        let at = |line: usize| move |problem| ManifestError::new(&self.file, Some(line), problem);
        let whole = |problem| ManifestError::new(&self.file, None, problem);
        let manifest = walk::look(&self.file, String::new()).map_err(|error| whole(error.into()))?;
        let mut found = Finding::new(self, architecture, manifest.mtime);
        for rule in self.files.iter().filter(|rule| rule.is_for(architecture)) {
            found.add(rule).map_err(at(rule.line))?;
        }
        let mut stanza = self.package.stanza(architecture);
        let control_files = found.services(&mut stanza)?;
        if let Some(update) = &self.update {
            let path = path_in_package(self.package.name().as_str());
            let text = update.to_toml().map_err(ManifestProblem::from);
            text.and_then(|text| Ok(found.entries.add(&path, generated(text.into_bytes()))?)).map_err(whole)?;
        }
        let changelog = match self.package.changelog_rule() {
            Some(rule) => Some(found.changelog(rule).map_err(at(rule.line))?),
            None => None,
        };
        let Resolved { stanza, installed } =
            shared_libraries::resolve(stanza, &found.entries, architecture).map_err(|error| whole(error.into()))?;
        found.conffiles.sort_unstable();
        Ok(Gathered {
            stanza,
            entries: found.entries,
            control_files,
            conffiles: found.conffiles,
            documents: Some(Documents {
                maintainer: self.package.maintainer().to_owned(),
                license: self.package.license().map(str::to_owned),
                homepage: self.package.homepage().map(str::to_owned),
                changelog,
            }),
            newest: found.newest,
            read: found.read,
            installed,
            folders: found.folders,
        })
    }
}

/// What was found so far.
pub(super) struct Finding<'a> {
    pub(super) manifest: &'a Manifest,
    architecture: &'a Architecture,
    newest: i64,
    pub(super) entries: Entries,
    conffiles: Vec<String>,
    read: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl<'a> Finding<'a> {
    fn new(manifest: &'a Manifest, architecture: &'a Architecture, newest: i64) -> Self {
        let (entries, conffiles, folders) = (Entries::default(), Vec::new(), Vec::new());
        let read = vec![manifest.file.clone()];
        Self { manifest, architecture, newest, entries, conffiles, read, folders }
    }

    fn add(&mut self, rule: &FileRule) -> Result<(), ManifestProblem> {
        let destination = self.fill("destination", &rule.destination)?;
        match &rule.origin {
            Origin::Source(source) => self.add_source(rule, source, &destination),
            Origin::Symlink(target) => {
                let kind = EntryKind::Symlink(self.fill("symlink", target)?);
                Ok(self.entries.add(&destination, Entry { kind, mode: 0o777, owner: rule.owner.clone() })?)
            }
            Origin::Directory => {
                let mode = rule.mode.unwrap_or(0o755);
                let entry = Entry { kind: EntryKind::Directory, mode, owner: rule.owner.clone() };
                Ok(self.entries.add(&destination, entry)?)
            }
        }
    }

    fn add_source(&mut self, rule: &FileRule, source: &SourceRule, destination: &str) -> Result<(), ManifestProblem> {
        let path = self.fill("source", &source.path)?;
        let is_literal = self.manifest.folder().join(&path).symlink_metadata().is_ok();
        if is_pattern(&path) && !is_literal {
            return self.add_matches(rule, source, &path, destination);
        }
        let (path, root) = self.look("source", &path)?;
        if root.kind == EntryKind::Directory {
            self.folders.push(path.clone());
            return self.add_below(rule, source, &path, destination, |_| true).map(drop);
        }
        if !source.exclude.is_empty() {
            let next = "`exclude` is for folders and patterns; remove it";
            return Err(ManifestProblem::Kind { what: "source", path, found: "a file", next });
        }
        let own_name = path.file_name().unwrap_or_default().to_string_lossy();
        let destination = if source.into_folder { join(destination, &own_name) } else { destination.to_owned() };
        self.add_found(&destination, root, rule, source)
    }

    /// What fits a pattern keeps its path below the pattern's fixed part.
    fn add_matches(
        &mut self,
        rule: &FileRule,
        source: &SourceRule,
        text: &str,
        destination: &str,
    ) -> Result<(), ManifestProblem> {
        let (fixed, rest) = pattern::split(text);
        let pattern = Pattern::new(&rest)?;
        let path = if fixed.is_empty() { self.manifest.folder().to_owned() } else { self.look("source", &fixed)?.0 };
        let taken = self.add_below(rule, source, &path, destination, |path| pattern.takes(path))?;
        if taken == 0 {
            let folder = self.manifest.folder().to_owned();
            return Err(ManifestProblem::NothingMatches { pattern: text.to_owned(), folder });
        }
        Ok(())
    }

    /// Adds what is wanted below a folder; gives the number.
    fn add_below(
        &mut self,
        rule: &FileRule,
        source: &SourceRule,
        folder: &Path,
        destination: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<usize, ManifestProblem> {
        let mut taken = 0;
        for found in walk::below(folder, "")? {
            if !wanted(&found.relative) || source.exclude.iter().any(|pattern| pattern.takes(&found.relative)) {
                continue;
            }
            taken += 1;
            let destination = join(destination, &found.relative);
            self.add_found(&destination, found, rule, source)?;
        }
        Ok(taken)
    }

    fn add_found(
        &mut self,
        destination: &str,
        found: Found,
        rule: &FileRule,
        source: &SourceRule,
    ) -> Result<(), ManifestProblem> {
        let mode = match &found.kind {
            EntryKind::File(_) => {
                self.newest = self.newest.max(found.mtime);
                // As debhelper does; lintian calls a file in /etc that is none an error.
                if source.conffile.unwrap_or_else(|| destination.starts_with("etc/")) {
                    self.conffiles.push(format!("/{destination}"));
                }
                // Whoever checked the source out, only the owner's execute bit is part of it.
                rule.mode.unwrap_or(if found.mode & 0o100 == 0 { 0o644 } else { 0o755 })
            }
            EntryKind::Directory => 0o755,
            EntryKind::Symlink(_) => 0o777,
        };
        Ok(self.entries.add(destination, Entry { kind: found.kind, mode, owner: rule.owner.clone() })?)
    }

    /// The changelog's text; its newest entry must be the one of this version.
    fn changelog(&mut self, rule: &ChangelogRule) -> Result<String, ManifestProblem> {
        // Before its first bump a source may have none.
        if let Some(entry) = &self.manifest.snapshot
            && !self.manifest.folder().join(&rule.source).exists()
        {
            return Ok(entry.to_string());
        }
        let path = self.file("changelog", &rule.source)?;
        let text = std::fs::read_to_string(&path).map_err(WalkError::io(&path))?;
        let package = &self.manifest.package;
        let problem = match changelog::newest(&text) {
            Err(error) => error.to_string(),
            Ok(heading) if self.manifest.snapshot.is_none() && heading.version != *package.debian_version() => format!(
                "its newest entry is of version {}, and the package's is {}; add an entry (`debfleet bump` does)",
                heading.version,
                package.debian_version()
            ),
            Ok(_) => {
                let snapshot = self.manifest.snapshot.as_ref().map(|entry| format!("{entry}\n"));
                return Ok(snapshot.unwrap_or_default() + &text);
            }
        };
        Err(ManifestProblem::Changelog { path, problem })
    }

    /// A file that a key names.
    pub(super) fn file(&mut self, what: &'static str, source: &str) -> Result<PathBuf, ManifestProblem> {
        let (path, found) = self.look(what, source)?;
        if !matches!(found.kind, EntryKind::File(_)) {
            return Err(ManifestProblem::Kind { what, path, found: "a folder", next: "name a file" });
        }
        self.newest = self.newest.max(found.mtime);
        self.read.push(path.clone());
        Ok(path)
    }

    fn look(&self, what: &'static str, path: &str) -> Result<(PathBuf, Found), ManifestProblem> {
        let path =
            resolve_inside(self.manifest.folder(), path).map_err(|source| ManifestProblem::Path { what, source })?;
        let found = walk::look(&path, String::new())?;
        Ok((path, found))
    }

    fn fill(&self, key: &'static str, text: &str) -> Result<String, ManifestProblem> {
        placeholders::fill(key, text, &self.manifest.package, self.architecture)
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
