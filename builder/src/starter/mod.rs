//! The beginning of a project: a name, or what another tool's file says, becomes a `debfleet.toml`.
//!
//! Each kind of file has a module that reads it into a draft, and the draft writes the manifest. What a file says and a
//! manifest cannot hold is never passed over in silence: it becomes a [`Note`].

mod cargo;
mod draft;
mod error;
mod nfpm;
mod node;
mod project_folder;
mod python;
mod recognise;
mod template;
mod toml_text;
mod words;
mod yaml;

pub use error::StarterError;
pub use recognise::{Kind, find_in, recognise};
pub use template::from_name;

use crate::manifest::{FILE_NAME, Manifest};
use draft::Draft;
use durable_files::DurableError;
use project_folder::ProjectFolder;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What the machine knows and a file may not say.
pub struct Surroundings<'a> {
    /// The maintainer that somebody named for this package; it comes before what a file says.
    pub maintainer: Option<&'a str>,
    /// Whom this machine knows as its user, as `Name <mail>`.
    pub user: Option<&'a str>,
    /// The value of an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

/// Something that a person should know about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Of the file that was read.
    pub key: String,
    /// What became of it, and what to do.
    pub text: String,
}

/// A file of the new project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StarterFile {
    /// Below the project's folder.
    pub path: String,
    /// Its content.
    pub content: String,
    /// Whether it is a program.
    pub executable: bool,
}

/// A project worked out and not yet written.
#[derive(Debug)]
pub struct Starter {
    folder: PathBuf,
    files: Vec<StarterFile>,
    changed: Vec<Note>,
    dropped: Vec<Note>,
    first: Vec<String>,
}

/// Works out the manifest for what another tool's file says.
pub fn from_file(file: &Path, surroundings: &Surroundings) -> Result<Starter, StarterError> {
    let folder = ProjectFolder::of(file);
    let text = project_folder::read(file)?;
    let kind = recognise(file, &text)?;
    let draft = match kind {
        Kind::Cargo => cargo::draft(file, &text, &folder, surroundings)?,
        Kind::Node => node::draft(file, &text, &folder, surroundings)?,
        Kind::Python => python::draft(file, &text, &folder, surroundings)?,
        Kind::Nfpm => nfpm::draft(file, &text, &folder, surroundings)?,
    };
    Starter::of_draft(folder.path().to_owned(), draft)
}

impl Starter {
    fn of_draft(folder: PathBuf, draft: Draft) -> Result<Self, StarterError> {
        let text = draft.to_toml();
        let file = below(&folder, FILE_NAME);
        // What is written must be what a build reads.
        Manifest::parse(&text, &file)
            .map_err(|cause| StarterError::Refused { from: draft.from.clone(), cause: Box::new(cause) })?;
        let mut files = vec![StarterFile { path: FILE_NAME.to_owned(), content: text, executable: false }];
        files.extend(draft.extra_files);
        Ok(Self { folder, files, changed: draft.changed, dropped: draft.dropped, first: draft.first })
    }

    /// The project's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What will be written.
    #[must_use]
    pub fn files(&self) -> &[StarterFile] {
        &self.files
    }

    /// What was carried over in another form.
    #[must_use]
    pub fn changed(&self) -> &[Note] {
        &self.changed
    }

    /// What was not carried over.
    #[must_use]
    pub fn dropped(&self) -> &[Note] {
        &self.dropped
    }

    /// Commands that come before the first build.
    #[must_use]
    pub fn first(&self) -> &[String] {
        &self.first
    }

    /// Writes all files, or none; a file that is there already is never overwritten.
    pub fn write(&self) -> Result<Vec<PathBuf>, StarterError> {
        let paths: Vec<PathBuf> = self.files.iter().map(|file| below(&self.folder, &file.path)).collect();
        if let Some(path) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
            return Err(StarterError::Exists(path.clone()));
        }
        let folders: BTreeSet<PathBuf> = paths.iter().filter_map(|path| path.parent()).flat_map(missing).collect();
        for (index, (path, file)) in paths.iter().zip(&self.files).enumerate() {
            if let Err(error) = write_one(path, file) {
                // Half a project would be in the way of the next attempt.
                paths[..index].iter().for_each(|path| drop(durable_files::remove(path)));
                // The deepest first; one that holds something else by now stays.
                folders.iter().rev().for_each(|folder| drop(std::fs::remove_dir(folder)));
                return Err(error.into());
            }
        }
        Ok(paths)
    }
}

/// As people write it: `debfleet.toml`, not `./debfleet.toml`.
fn below(folder: &Path, path: &str) -> PathBuf {
    if folder == Path::new(".") { PathBuf::from(path) } else { folder.join(path) }
}

/// This folder and those above it, as far as they do not exist.
fn missing(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let above = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    above.map(Path::to_owned)
}

fn write_one(path: &Path, file: &StarterFile) -> Result<(), DurableError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        durable_files::create_dir(folder, 0o755)?;
    }
    durable_files::replace(path, file.content.as_bytes(), if file.executable { 0o755 } else { 0o644 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_that_cannot_be_written_whole_leaves_no_folder_in_the_way() {
        let scratch = tempfile::tempdir().unwrap();
        let file = |path: &str| StarterFile { path: path.to_owned(), content: String::new(), executable: false };
        // No file can lie below a file.
        let files = vec![file("bin/hi"), file("hi"), file("hi/there")];
        let folder = scratch.path().join("new/hi");
        let starter = Starter { folder, files, changed: Vec::new(), dropped: Vec::new(), first: Vec::new() };
        assert!(matches!(starter.write(), Err(StarterError::Write(_))));
        assert_eq!(scratch.path().read_dir().unwrap().count(), 0);
    }
}
