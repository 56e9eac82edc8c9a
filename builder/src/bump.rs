//! The version bump: one semver in the source becomes the next one, everywhere it stands, or nowhere.

use crate::confine::{ConfineError, resolve_inside};
use crate::manifest::{self, BumpFile, Manifest, ManifestError, VERSION_MARK};
use crate::source::{Source, SourceError};
use crate::tree::{self, Tree};
use debian_formats::Version;
use debian_formats::version::VersionError;
use durable_files::DurableError;
use semver::{BuildMetadata, Prerelease};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use toml_edit::{DocumentMut, Value};

/// How far to bump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// 1.2.3 becomes 1.2.4; 1.2.4-rc.1 becomes 1.2.4.
    Patch,
    /// 1.2.3 becomes 1.3.0; 1.3.0-rc.1 becomes 1.3.0.
    Minor,
    /// 1.2.3 becomes 2.0.0; 2.0.0-rc.1 becomes 2.0.0.
    Major,
    /// Exactly this version.
    To(semver::Version),
}

/// A word that is neither a step nor a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither patch, minor, major nor a version such as 1.4.0 (semver)")]
pub struct StepError(String);

impl FromStr for Step {
    type Err = StepError;

    fn from_str(text: &str) -> Result<Self, StepError> {
        match text {
            "patch" => Ok(Self::Patch),
            "minor" => Ok(Self::Minor),
            "major" => Ok(Self::Major),
            _ => text.parse().map(Self::To).map_err(|_| StepError(text.chars().take(60).collect())),
        }
    }
}

impl Step {
    /// The next version. A pre-release's own release counts as the next one.
    #[must_use]
    pub fn apply(&self, old: &semver::Version) -> semver::Version {
        let mut new = semver::Version { pre: Prerelease::EMPTY, build: BuildMetadata::EMPTY, ..old.clone() };
        let is_prerelease = !old.pre.is_empty();
        match self {
            Self::To(version) => return version.clone(),
            Self::Patch if is_prerelease => {}
            Self::Minor if is_prerelease && old.patch == 0 => {}
            Self::Major if is_prerelease && (old.minor, old.patch) == (0, 0) => {}
            Self::Patch => new.patch += 1,
            Self::Minor => (new.minor, new.patch) = (old.minor + 1, 0),
            Self::Major => (new.major, new.minor, new.patch) = (old.major + 1, 0, 0),
        }
        new
    }
}

/// A version that was not bumped. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum BumpError {
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A tree whose version people did not write as semver.
    #[error("{path}: the version {version} is not three numbers such as 1.4.0; bump to a whole version instead")]
    NotSemver {
        /// DEBIAN/control.
        path: PathBuf,
        /// As written.
        version: String,
    },
    /// Devices would never take it.
    #[error("{new} is not above the present version {old}; name a higher one")]
    NotAbove {
        /// The version now.
        old: String,
        /// The one asked for.
        new: String,
    },
    /// A version that Debian's form cannot hold.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The manifest cannot be edited.
    #[error("{path}: could not find the line of the version to edit; write `version = \"…\"` below [package]")]
    NoVersionLine {
        /// debfleet.toml or DEBIAN/control.
        path: PathBuf,
    },
    /// A file of `[bump]`.
    #[error("[bump]: {0}")]
    Path(#[from] ConfineError),
    /// A file cannot be read.
    #[error("could not read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what its pattern says.
    #[error("{path} does not hold {wanted:?}, so no file was changed; correct the file or its pattern in [bump]")]
    PatternMissing {
        /// The file.
        path: PathBuf,
        /// The pattern with the old version in it.
        wanted: String,
    },
    /// Writing failed; files written before were put back.
    #[error(transparent)]
    Write(#[from] DurableError),
}

/// One change in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file.
    pub path: PathBuf,
    /// The text that stood there.
    pub old: String,
    /// The text that stands there after [`Bump::apply`].
    pub new: String,
}

/// A bump worked out and not yet written.
#[derive(Debug)]
pub struct Bump {
    old: String,
    new: String,
    changes: Vec<Change>,
    files: BTreeMap<PathBuf, Edited>,
}

#[derive(Debug)]
struct Edited {
    before: String,
    after: String,
    mode: u32,
}

impl Bump {
    /// Works out the bump of a source folder; nothing is written yet.
    pub fn plan(folder: &Path, step: &Step) -> Result<Self, BumpError> {
        match Source::open(folder)? {
            Source::Manifest(manifest) => Self::of_manifest(&manifest, step),
            Source::Tree(tree) => Self::of_tree(&tree, step),
        }
    }

    /// The version now.
    #[must_use]
    pub fn old(&self) -> &str {
        &self.old
    }

    /// The version then.
    #[must_use]
    pub fn new_version(&self) -> &str {
        &self.new
    }

    /// What changes where.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Writes all files. If one cannot be written, those before it are put back.
    pub fn apply(&self) -> Result<(), BumpError> {
        let mut done: Vec<(&Path, &Edited)> = Vec::new();
        for (path, edited) in &self.files {
            if let Err(error) = durable_files::replace(path, edited.after.as_bytes(), edited.mode) {
                for (path, edited) in done {
                    durable_files::replace(path, edited.before.as_bytes(), edited.mode)?;
                }
                return Err(error.into());
            }
            done.push((path, edited));
        }
        Ok(())
    }

    fn of_manifest(manifest: &Manifest, step: &Step) -> Result<Self, BumpError> {
        let package = manifest.package();
        let old = package.version();
        let new = step.apply(old);
        Version::from_semver(&new, 1)?;
        if new.cmp_precedence(old).is_le() {
            return Err(BumpError::NotAbove { old: old.to_string(), new: new.to_string() });
        }
        let mut bump = Self::between(old.to_string(), new.to_string());
        let file = manifest.file();
        let before = bump.read(file)?;
        let no_line = || BumpError::NoVersionLine { path: file.to_owned() };
        let mut document: DocumentMut = before.parse().map_err(|_| no_line())?;
        set(&mut document, "version", Value::from(new.to_string())).ok_or_else(no_line)?;
        bump.note(file, &old.to_string(), &new.to_string());
        // The revision counts anew for every version.
        if package.revision() != 1 {
            set(&mut document, "revision", Value::from(1)).ok_or_else(no_line)?;
            bump.note(file, &format!("revision {}", package.revision()), "revision 1");
        }
        bump.edit(file, document.to_string());
        bump.edit_patterns(manifest.folder(), manifest.bump_files())?;
        Ok(bump)
    }

    fn of_tree(tree: &Tree, step: &Step) -> Result<Self, BumpError> {
        let path = tree.folder().join("DEBIAN").join("control");
        let version = tree.control().version();
        // The way back from Debian's form: `1.3.0~rc.1` was `1.3.0-rc.1`.
        let old = version.upstream().replacen('~', "-", 1);
        let (old, new) = match (old.parse::<semver::Version>(), step) {
            (Ok(old), step) => (old.to_string(), step.apply(&old)),
            (Err(_), Step::To(new)) => (version.upstream().to_owned(), new.clone()),
            (Err(_), _) => return Err(BumpError::NotSemver { path, version: version.to_string() }),
        };
        let has_revision = version.without_epoch().contains('-');
        let debian = Version::from_semver(&new, 1)?;
        let debian = if has_revision { debian.as_str() } else { debian.upstream() };
        let epoch = version.as_str().strip_suffix(version.without_epoch()).unwrap_or_default();
        let debian: Version = format!("{epoch}{debian}").parse()?;
        if debian <= *version {
            return Err(BumpError::NotAbove { old: version.to_string(), new: debian.to_string() });
        }
        let mut bump = Self::between(old, new.to_string());
        let before = bump.read(&path)?;
        let after = with_version_line(&before, debian.as_str())
            .ok_or_else(|| BumpError::NoVersionLine { path: path.clone() })?;
        bump.note(&path, version.as_str(), debian.as_str());
        bump.edit(&path, after);
        let table = tree.folder().join("DEBIAN").join(tree::BUMP_FILE);
        if table.exists() {
            let files = manifest::load_bump_table(&table).map_err(SourceError::from)?;
            bump.edit_patterns(tree.folder(), &files)?;
        }
        Ok(bump)
    }

    fn between(old: String, new: String) -> Self {
        Self { old, new, changes: Vec::new(), files: BTreeMap::new() }
    }

    fn note(&mut self, path: &Path, old: &str, new: &str) {
        self.changes.push(Change { path: path.to_owned(), old: old.to_owned(), new: new.to_owned() });
    }

    /// The text as edited so far; the file is read the first time.
    fn read(&mut self, path: &Path) -> Result<String, BumpError> {
        if let Some(edited) = self.files.get(path) {
            return Ok(edited.after.clone());
        }
        let failed = |source| BumpError::Read { path: path.to_owned(), source };
        let before = std::fs::read_to_string(path).map_err(failed)?;
        let mode = path.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        self.files.insert(path.to_owned(), Edited { after: before.clone(), before: before.clone(), mode });
        Ok(before)
    }

    fn edit(&mut self, path: &Path, after: String) {
        if let Some(edited) = self.files.get_mut(path) {
            edited.after = after;
        }
    }

    fn edit_patterns(&mut self, folder: &Path, files: &[BumpFile]) -> Result<(), BumpError> {
        for BumpFile { path, pattern } in files {
            // Shown as the user wrote it; the real place is what must stay inside.
            resolve_inside(folder, path)?;
            let shown = folder.join(path);
            let wanted = pattern.replace(VERSION_MARK, &self.old);
            let wished = pattern.replace(VERSION_MARK, &self.new);
            let text = self.read(&shown)?;
            let after = replace_whole(&text, &wanted, &wished)
                .ok_or_else(|| BumpError::PatternMissing { path: shown.clone(), wanted: wanted.clone() })?;
            self.edit(&shown, after);
            self.note(&shown, &wanted, &wished);
        }
        Ok(())
    }
}

/// Sets a value in `[package]`, its comment and blanks kept.
fn set(document: &mut DocumentMut, key: &str, mut value: Value) -> Option<()> {
    let old = document.get_mut("package")?.get_mut(key)?.as_value_mut()?;
    *value.decor_mut() = old.decor().clone();
    *old = value;
    Some(())
}

/// The control file with another Version, every other byte kept.
fn with_version_line(text: &str, version: &str) -> Option<String> {
    const FIELD: &str = "Version:";
    let starts = |line: &str| line.get(..FIELD.len()).is_some_and(|name| name.eq_ignore_ascii_case(FIELD));
    let lines = text.split_inclusive('\n');
    let found = lines.clone().any(starts);
    let edit = |line: &str| {
        let end = if line.ends_with('\n') { "\n" } else { "" };
        if starts(line) { format!("{} {version}{end}", &line[..FIELD.len()]) } else { line.to_owned() }
    };
    found.then(|| lines.map(edit).collect())
}

/// Replaces every `old` that is not part of a longer word or number (0.1.0 does not stand in 10.1.0, nor in 0.1.0.5);
/// none if there is none.
fn replace_whole(text: &str, old: &str, new: &str) -> Option<String> {
    let in_version = |c: char| c.is_ascii_alphanumeric();
    let mut replaced = String::with_capacity(text.len());
    let mut rest_at = 0;
    for (at, _) in text.match_indices(old) {
        let before = &text[..at];
        let after = &text[at + old.len()..];
        let begins_inside = old.starts_with(in_version)
            && (before.ends_with(in_version)
                || before.strip_suffix('.').is_some_and(|b| b.ends_with(|c: char| c.is_ascii_digit())));
        let ends_inside = old.ends_with(in_version)
            && (after.starts_with(in_version)
                || after.strip_prefix('.').is_some_and(|a| a.starts_with(|c: char| c.is_ascii_digit())));
        // `v0.1.0` is a version behind its usual letter.
        let behind_v = before.strip_suffix(['v', 'V']).is_some_and(|b| !b.ends_with(in_version));
        if ends_inside || (begins_inside && !behind_v) {
            continue;
        }
        replaced.push_str(&text[rest_at..at]);
        replaced.push_str(new);
        rest_at = at + old.len();
    }
    if rest_at == 0 {
        return None;
    }
    replaced.push_str(&text[rest_at..]);
    Some(replaced)
}

impl From<ManifestError> for BumpError {
    fn from(error: ManifestError) -> Self {
        Self::Source(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_semvers() {
        let step = |step: &str, old: &str| step.parse::<Step>().unwrap().apply(&old.parse().unwrap()).to_string();
        assert_eq!(step("patch", "1.2.3"), "1.2.4");
        assert_eq!(step("minor", "1.2.3"), "1.3.0");
        assert_eq!(step("major", "1.2.3+build"), "2.0.0");
        assert_eq!(step("patch", "1.2.4-rc.1"), "1.2.4");
        assert_eq!(step("minor", "1.2.4-rc.1"), "1.3.0");
        assert_eq!(step("major", "2.0.0-rc.1"), "2.0.0");
        assert_eq!(step("3.0.0-beta.1", "1.2.3"), "3.0.0-beta.1");
        assert!("big".parse::<Step>().is_err());
        assert!("1.2".parse::<Step>().is_err());
    }

    #[test]
    fn a_version_inside_a_longer_one_is_left_alone() {
        let replace = |text: &str| replace_whole(text, "0.1.0", "0.2.0");
        assert_eq!(replace("0.1.0\n").unwrap(), "0.2.0\n");
        assert_eq!(replace("v0.1.0, 10.1.0, 0.1.0.5, 0.1.0.").unwrap(), "v0.2.0, 10.1.0, 0.1.0.5, 0.2.0.");
        assert_eq!(replace("10.1.0 1.0.1.0 0.1.01 0.1.0rc"), None);
    }

    #[test]
    fn the_version_line_alone_changes() {
        let text = "Package: hi\nversion:  0.1.0-3 \nDescription: x\n Version: no\n";
        let edited = with_version_line(text, "0.2.0-1").unwrap();
        assert_eq!(edited, "Package: hi\nversion: 0.2.0-1\nDescription: x\n Version: no\n");
        assert_eq!(with_version_line("Package: hi\n", "1"), None);
    }
}
