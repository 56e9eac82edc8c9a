//! Finding the files that a manifest names.

use super::files::FileRule;
use super::maintainer_scripts::ScriptRule;
use super::{Manifest, ManifestError, ManifestProblem};
use crate::confine::resolve_inside;
use crate::entries::{Entries, Entry, EntryKind, generated};
use crate::gathered::{Documents, Gathered};
use crate::scripts;
use crate::walk::{self, Found};
use fleet_protocol::update_policy::path_in_package;
use std::collections::BTreeMap;
use std::path::Path;

impl Manifest {
    /// Finds all files that belong to the package.
    pub fn gather(&self) -> Result<Gathered, ManifestError> {
        let at = |line: usize| move |problem| ManifestError::new(&self.file, Some(line), problem);
        let manifest = walk::look(&self.file, String::new())
            .map_err(|error| ManifestError::new(&self.file, None, error.into()))?;
        let mut found = Finding { newest: manifest.mtime, entries: Entries::default(), conffiles: Vec::new() };
        for rule in &self.files {
            found.add(self.folder(), rule).map_err(at(rule.line))?;
        }
        let mut control_files = BTreeMap::new();
        for rule in &self.scripts {
            let bytes = found.script(self.folder(), rule).map_err(at(rule.line))?;
            control_files.insert(rule.name.to_owned(), bytes);
        }
        if let Some(update) = &self.update {
            let path = path_in_package(self.package.name().as_str());
            let text = update.to_toml().map_err(ManifestProblem::from);
            text.and_then(|text| Ok(found.entries.add(&path, generated(text.into_bytes()))?))
                .map_err(|problem| ManifestError::new(&self.file, None, problem))?;
        }
        found.conffiles.sort_unstable();
        Ok(Gathered {
            stanza: self.package.stanza().clone(),
            entries: found.entries,
            control_files,
            conffiles: found.conffiles,
            documents: Some(Documents {
                maintainer: self.package.maintainer().to_owned(),
                license: self.package.license().map(str::to_owned),
                homepage: self.package.homepage().map(str::to_owned),
            }),
            newest: found.newest,
        })
    }
}

struct Finding {
    newest: i64,
    entries: Entries,
    conffiles: Vec<String>,
}

impl Finding {
    fn add(&mut self, folder: &Path, rule: &FileRule) -> Result<(), ManifestProblem> {
        let path =
            resolve_inside(folder, &rule.source).map_err(|source| ManifestProblem::Path { what: "source", source })?;
        let root = walk::look(&path, String::new())?;
        if root.kind == EntryKind::Directory {
            for found in walk::below(&path, "")? {
                let destination = join(&rule.destination, &found.relative);
                self.add_found(&destination, found, rule)?;
            }
            return Ok(());
        }
        let own_name = Path::new(&rule.source).file_name().unwrap_or_default().to_string_lossy();
        let destination = if rule.into_folder { join(&rule.destination, &own_name) } else { rule.destination.clone() };
        self.add_found(&destination, root, rule)
    }

    fn add_found(&mut self, destination: &str, found: Found, rule: &FileRule) -> Result<(), ManifestProblem> {
        let mode = match &found.kind {
            EntryKind::File(_) => {
                self.newest = self.newest.max(found.mtime);
                if rule.conffile {
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

    fn script(&mut self, folder: &Path, rule: &ScriptRule) -> Result<Vec<u8>, ManifestProblem> {
        let path =
            resolve_inside(folder, &rule.source).map_err(|source| ManifestProblem::Path { what: rule.name, source })?;
        let found = walk::look(&path, String::new())?;
        if !matches!(found.kind, EntryKind::File(_)) {
            let next = "name the script's file";
            return Err(ManifestProblem::Kind { what: rule.name, path, found: "a folder", next });
        }
        self.newest = self.newest.max(found.mtime);
        Ok(scripts::read(&path)?)
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
