//! The version bump: one semver in the source becomes the next one, everywhere it stands, or nowhere.
//!
//! [`step`] says which version comes next, [`snapshot`] which one a commit between two has, and `order` whether it is
//! above the present one. The new texts of all files are worked out in `edits` before the first is written.

mod changelog;
mod edits;
mod error;
mod order;
mod pattern;
mod record;
pub mod snapshot;
mod step;
mod version_line;

pub use edits::Change;
pub use error::BumpError;
pub use order::OrderError;
pub use record::Record;
pub use step::{PrereleaseWord, Step, StepError};

use crate::confine::{ConfineError, resolve_inside};
use crate::git::Commit;
use crate::manifest::{self, BumpFile, Manifest, Package, VERSION_MARK};
use crate::source::{Source, SourceError};
use crate::tree::{self, Tree};
use changelog::Release;
use debian_formats::changelog::Entry;
use debian_formats::{PackageName, Version};
use edits::Edits;
use jiff::Timestamp;
use order::Forms;
use record::Recording;
use std::path::{Path, PathBuf};

/// Which version comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// By a step from the present one.
    Step(Step),
    /// That of the commit which is checked out.
    Snapshot,
}

/// How to bump.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What becomes of it in git.
    pub record: Record,
    /// The date of the changelog's entry.
    pub time: Timestamp,
}

/// A bump worked out and not yet written.
#[derive(Debug)]
pub struct Bump {
    package: PackageName,
    old: String,
    new: Forms,
    edits: Edits,
    recording: Option<Recording>,
}

impl Bump {
    /// Works out the bump of a source folder; nothing is written yet.
    pub fn plan(folder: &Path, target: &Target, options: Options) -> Result<Self, BumpError> {
        let mut bump = match Source::open(folder)? {
            Source::Manifest(manifest) => Self::of_manifest(&manifest, target, options.time)?,
            Source::Tree(tree) => Self::of_tree(&tree, target)?,
        };
        let (message, version) = (bump.message(), bump.new.semver.to_string());
        bump.recording = Recording::plan(options.record, folder, message, &version, &bump.edits)?;
        Ok(bump)
    }

    /// The package.
    #[must_use]
    pub fn package(&self) -> &PackageName {
        &self.package
    }

    /// The version now.
    #[must_use]
    pub fn old(&self) -> &str {
        &self.old
    }

    /// The version then.
    #[must_use]
    pub fn new_version(&self) -> &semver::Version {
        &self.new.semver
    }

    /// The version then, as the package will carry it.
    #[must_use]
    pub fn debian_version(&self) -> &Version {
        &self.new.debian
    }

    /// What changes where.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        self.edits.changes()
    }

    /// The tag that will be made.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.recording.as_ref().and_then(Recording::tag)
    }

    /// Writes all files, and commits them if asked: all of it, or nothing is changed.
    pub fn apply(&self) -> Result<Option<Commit>, BumpError> {
        self.edits.apply()?;
        self.recording.as_ref().map(|recording| recording.perform(&self.edits)).transpose()
    }

    fn message(&self) -> String {
        format!("Release {} {}", self.package, self.new.semver)
    }

    fn of_manifest(manifest: &Manifest, target: &Target, time: Timestamp) -> Result<Self, BumpError> {
        let package = manifest.package();
        let old = forms_of_package(package);
        let new = next(manifest.folder(), &old, target)?;
        let (file, mut edits) = (manifest.file(), Edits::default());
        let text = edits.read(file)?;
        let text = version_line::in_manifest(&text, &new.semver, package.revision() != 1)
            .ok_or_else(|| BumpError::NoVersionLine { path: file.to_owned() })?;
        edits.write(file, text)?;
        let mut bump =
            Self { package: package.name().clone(), old: old.semver.to_string(), new, edits, recording: None };
        bump.edit_patterns(manifest.folder(), manifest.bump_files())?;
        if let Some(path) = package.changelog() {
            let release = Release {
                folder: manifest.folder(),
                version_file: file,
                package: &package.source_name()?,
                maintainer: package.maintainer(),
                old: &bump.old,
                new: &bump.new.debian,
                time,
                otherwise: if *target == Target::Snapshot { "Snapshot between two releases." } else { "New release." },
            };
            let path = inside_or_new(manifest.folder(), path)?;
            let text = bump.edits.read_or_new(&path)?;
            let text = changelog::with_entry(text.as_deref(), &path, &release)?;
            bump.edits.write(&path, text)?;
        }
        Ok(bump)
    }

    fn of_tree(tree: &Tree, target: &Target) -> Result<Self, BumpError> {
        let path = tree.folder().join("DEBIAN").join("control");
        let debian = tree.control().version();
        let (old, new) = match (forms_of_tree(tree), target) {
            (Ok(old), target) => {
                let new = next(tree.folder(), &old, target)?;
                (old.semver.to_string(), new)
            }
            (Err(_), Target::Step(Step::To(new))) => {
                let new = Forms::like(debian, new.clone())?;
                if new.debian <= *debian {
                    return Err(OrderError::NotAbove { old: debian.to_string(), new: new.debian.to_string() }.into());
                }
                (debian.upstream().to_owned(), new)
            }
            (Err(error), _) => return Err(error),
        };
        let mut edits = Edits::default();
        let text = version_line::in_control_file(&edits.read(&path)?, new.debian.as_str())
            .ok_or_else(|| BumpError::NoVersionLine { path: path.clone() })?;
        edits.write(&path, text)?;
        let mut bump = Self { package: tree.control().package().clone(), old, new, edits, recording: None };
        let table = tree.folder().join("DEBIAN").join(tree::BUMP_FILE);
        if table.exists() {
            let files = manifest::load_bump_table(&table).map_err(SourceError::from)?;
            bump.edit_patterns(tree.folder(), &files)?;
        }
        Ok(bump)
    }

    fn edit_patterns(&mut self, folder: &Path, files: &[BumpFile]) -> Result<(), BumpError> {
        for BumpFile { path, pattern } in files {
            // Shown as the user wrote it; the real place is what must stay inside.
            resolve_inside(folder, path).map_err(|cause| BumpError::Path { key: "[bump]", cause })?;
            let shown = folder.join(path);
            let wanted = pattern.replace(VERSION_MARK, &self.old);
            let wished = pattern.replace(VERSION_MARK, &self.new.semver.to_string());
            let text = self.edits.read(&shown)?;
            let after = pattern::replace_whole(&text, &wanted, &wished)
                .ok_or_else(|| BumpError::PatternMissing { path: shown.clone(), wanted })?;
            self.edits.write(&shown, after)?;
        }
        Ok(())
    }
}

/// A source with the version of the commit that is checked out; nothing is written. What lies in the folder of outputs
/// is no change of the commit.
pub(crate) fn at_snapshot(source: Source, folder: &Path, outputs: &Path) -> Result<Source, BumpError> {
    let snapshot = |old: &Forms| -> Result<(Forms, Commit), BumpError> {
        let (semver, commit) = snapshot::of_commit(folder, Some(outputs), &old.semver, &old.debian)?;
        Ok((Forms::like(&old.debian, semver)?, commit))
    };
    Ok(match source {
        Source::Manifest(manifest) => {
            let package = manifest.package();
            let (new, commit) = snapshot(&forms_of_package(package))?;
            let entry = Entry {
                package: package.source_name()?,
                version: new.debian,
                distribution: "stable".to_owned(),
                changes: vec![format!("Snapshot of commit {}.", commit.id)],
                maintainer: package.maintainer().to_owned(),
                date: commit.date,
            };
            Source::Manifest(Box::new(manifest.with_snapshot(new.semver, entry)))
        }
        Source::Tree(tree) => {
            let (new, _) = snapshot(&forms_of_tree(&tree)?)?;
            Source::Tree(tree.with_version(&new.debian).map_err(SourceError::from)?)
        }
    })
}

fn forms_of_package(package: &Package) -> Forms {
    Forms { semver: package.version().clone(), debian: package.debian_version().clone() }
}

/// The way back from Debian's form: `1.3.0~rc.1` was `1.3.0-rc.1`.
fn forms_of_tree(tree: &Tree) -> Result<Forms, BumpError> {
    let debian = tree.control().version();
    let semver = debian.upstream().replacen('~', "-", 1).parse();
    semver.map(|semver| Forms { semver, debian: debian.clone() }).map_err(|_| BumpError::NotSemver {
        path: tree.folder().join("DEBIAN").join("control"),
        version: debian.to_string(),
    })
}

/// The next version, which is above the present one by both orders.
fn next(folder: &Path, old: &Forms, target: &Target) -> Result<Forms, BumpError> {
    let semver = match target {
        Target::Step(step) => step.apply(&old.semver)?,
        // Above the last release it is by itself; the version that the source names may be the one to come.
        Target::Snapshot => {
            let (semver, _) = snapshot::of_commit(folder, None, &old.semver, &old.debian)?;
            return Ok(Forms::like(&old.debian, semver)?);
        }
    };
    let new = Forms::like(&old.debian, semver)?;
    new.check_above(old)?;
    Ok(new)
}

/// A file's place as people named it, below the folder, whether it is there or not.
fn inside_or_new(folder: &Path, path: &str) -> Result<PathBuf, BumpError> {
    let failed = |cause| BumpError::Path { key: "changelog", cause };
    match resolve_inside(folder, path) {
        Err(ConfineError::Missing { .. }) => {
            let parent = Path::new(path).parent().and_then(Path::to_str).filter(|parent| !parent.is_empty());
            resolve_inside(folder, parent.unwrap_or(".")).map_err(failed)?;
        }
        resolved => drop(resolved.map_err(failed)?),
    }
    Ok(folder.join(path))
}
