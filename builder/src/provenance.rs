//! Where a package comes from: a signed `.buildinfo` beside it.

use crate::build::Built;
use crate::git::{GitError, Repository};
use crate::signed_text::{self, SignedTextError};
use crate::time;
use crate::write::InputFile;
use crate::{installed, machine};
use debian_formats::buildinfo::{BuildInfo, Commit, Input, Installed};
use debian_formats::listed_file::ListedFile;
use debian_formats::openpgp::SigningKey;
use debian_formats::{Architecture, Version};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Where a system says which distribution it is (os-release(5)), the first that is there.
const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

/// What a finished package does not say of how it was built.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// The source folder.
    pub folder: PathBuf,
    /// The version of debfleet.
    pub debfleet_version: String,
    /// The commit that is checked out there.
    pub commit: Option<Commit>,
    /// The distribution that the machine runs, such as `debian`.
    pub build_origin: Option<String>,
    /// The machine's architecture.
    pub build_architecture: Architecture,
}

impl Circumstances {
    /// Looks at the machine, and at the history of the source folder. What was built into `out` is no change of it.
    pub fn look(folder: &Path, out: &Path, debfleet_version: &str) -> Result<Self, ProvenanceError> {
        let commit = match Repository::find(folder)? {
            Some(repository) => {
                Some(Commit { id: repository.head()?.id, is_clean: repository.first_change_besides(out)?.is_none() })
            }
            None => None,
        };
        Ok(Self {
            folder: folder.to_owned(),
            debfleet_version: debfleet_version.to_owned(),
            commit,
            build_origin: build_origin(),
            build_architecture: machine::own().unwrap_or_else(Architecture::all),
        })
    }
}

/// A provenance that was not written.
#[derive(Debug, thiserror::Error)]
pub enum ProvenanceError {
    /// The package cannot be read back.
    #[error("could not read back {path} for its .buildinfo: {cause}")]
    Read {
        /// The .deb.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The source's history cannot be read.
    #[error("could not say from which commit the package is: {0}")]
    Git(#[from] GitError),
    /// It could not be signed or written.
    #[error(transparent)]
    Text(#[from] SignedTextError),
}

/// Writes the `.buildinfo` of a package beside it, signed if there is a key.
pub fn write(
    built: &Built,
    circumstances: &Circumstances,
    key: Option<&SigningKey>,
) -> Result<PathBuf, ProvenanceError> {
    let deb = list(&built.path).map_err(|cause| ProvenanceError::Read { path: built.path.clone(), cause })?;
    let info = describe(built, deb, circumstances);
    let path = built.path.with_file_name(info.file_name());
    signed_text::write(&path, &info.to_stanza(), key, built.time)?;
    Ok(path)
}

fn describe(built: &Built, deb: ListedFile, circumstances: &Circumstances) -> BuildInfo {
    let control = &built.control;
    BuildInfo {
        source: source_of(built),
        package: control.package().clone(),
        architecture: control.architecture().clone(),
        version: control.version().clone(),
        files: vec![deb],
        build_origin: circumstances.build_origin.clone(),
        build_architecture: circumstances.build_architecture.clone(),
        build_date: built.time,
        installed: installed(built, circumstances),
        // The one variable that has a part in the bytes: set so, the same source gives them again.
        environment: vec![(time::VARIABLE.to_owned(), built.time.as_second().to_string())],
        debfleet_version: circumstances.debfleet_version.clone(),
        commit: circumstances.commit.clone(),
        inputs: inputs(&built.inputs, &circumstances.folder),
    }
}

/// The builder itself, as the package of that name, because the field must not be empty and whoever builds again needs
/// it; and what else of the system had a part in the package.
fn installed(built: &Built, circumstances: &Circumstances) -> Vec<Installed> {
    let version = circumstances.debfleet_version.parse().ok().and_then(|it| Version::from_semver(&it, 1).ok());
    let debfleet =
        "debfleet".parse().ok().zip(version).map(|(name, version)| Installed { name, foreign: None, version });
    let own = &circumstances.build_architecture;
    debfleet.into_iter().chain(installed::versions(&built.installed, own, built.control.architecture())).collect()
}

/// Each file once, by its path below the source folder: one file may be packed in two places.
fn inputs(files: &[InputFile], folder: &Path) -> Vec<Input> {
    let real = folder.canonicalize();
    let relative = |path: &Path| {
        let below = path.strip_prefix(folder).ok().or_else(|| path.strip_prefix(real.as_deref().ok()?).ok());
        // Nothing outside the folder is packed; a whole path would tell of the machine.
        below.unwrap_or(Path::new(path.file_name().unwrap_or_default())).to_string_lossy().into_owned()
    };
    let by_path: BTreeMap<String, &InputFile> = files.iter().map(|file| (relative(&file.path), file)).collect();
    let input = |(path, file): (String, &InputFile)| Input { path, size: file.size, sha256: file.sha256.clone() };
    by_path.into_iter().map(input).collect()
}

/// The source as both `.buildinfo` and `.changes` name it.
pub(crate) fn source_of(built: &Built) -> String {
    let control = &built.control;
    control.stanza().get("Source").unwrap_or(control.package().as_str()).to_owned()
}

/// Reads a file for its line in `.buildinfo` and `.changes`.
pub(crate) fn list(path: &Path) -> io::Result<ListedFile> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ListedFile::of_reader(&name, File::open(path)?)
}

/// The distribution that this system is, by its own word.
fn build_origin() -> Option<String> {
    OS_RELEASE.iter().find_map(|path| std::fs::read_to_string(path).ok()).and_then(|text| id_of(&text))
}

/// The value of ID in an os-release file: lower-case letters, digits and `._-`, perhaps in quotes (os-release(5)).
fn id_of(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.trim().strip_prefix("ID="))?;
    let value = value.trim().trim_matches(['"', '\'']);
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    (!value.is_empty() && value.chars().all(allowed)).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_told_by_their_place_below_the_source_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let link = real.with_extension("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let file = |path: PathBuf| InputFile { path, size: 1, sha256: "00".into() };
        let files = [file(real.join("b/c")), file(link.join("a")), file(real.join("a")), file("/etc/passwd".into())];
        let paths: Vec<String> = inputs(&files, &link).into_iter().map(|input| input.path).collect();
        std::fs::remove_file(&link).unwrap();
        assert_eq!(paths, ["a", "b/c", "passwd"]);
    }

    #[test]
    fn the_distribution_is_read_as_os_release_writes_it() {
        assert_eq!(id_of("NAME=\"Debian\"\nID=debian\nVERSION_ID=12\n").as_deref(), Some("debian"));
        assert_eq!(id_of("ID=\"opensuse-leap\"\n").as_deref(), Some("opensuse-leap"));
        for text in ["", "VERSION_ID=12\n", "ID=\n", "ID=a b\n", "ID=$(rm)\n"] {
            assert_eq!(id_of(text), None, "{text:?}");
        }
    }
}
