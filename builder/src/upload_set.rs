//! A `.changes`: packages, built from one source in one version, ready to be uploaded together by dput.

use crate::build::Built;
use crate::provenance::{list, source_of};
use crate::signed_text::{self, SignedTextError};
use debian_formats::changes::{ChangelogEntry, Changes, UploadedFile};
use debian_formats::control::Control;
use debian_formats::deb::{Deb, DebError};
use debian_formats::limits::Limits;
use debian_formats::names::SuiteName;
use debian_formats::openpgp::SigningKey;
use flate2::read::MultiGzDecoder;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A changelog longer than this is not looked at.
const MAX_CHANGELOG_BYTES: u64 = 8 << 20;

/// An upload that was not written.
#[derive(Debug, thiserror::Error)]
pub enum UploadSetError {
    /// There is nothing to upload.
    #[error("no package was built, so there is nothing to list in a .changes")]
    Empty,
    /// The packages do not belong together.
    #[error("{first} and {other} differ in name, source or version, and one .changes holds one version of one source")]
    Mixed {
        /// One package.
        first: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// A file cannot be read back.
    #[error("could not read back {path} for the .changes: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A package cannot be read back.
    #[error("could not read back the package for its .changes: {0}")]
    Deb(#[from] DebError),
    /// It could not be signed or written.
    #[error(transparent)]
    Text(#[from] SignedTextError),
}

/// Writes the `.changes` beside the packages: one package, perhaps for several architectures, each with its
/// `.buildinfo`.
pub fn write(
    packages: &[Built],
    buildinfos: &[PathBuf],
    distribution: &SuiteName,
    key: Option<&SigningKey>,
) -> Result<PathBuf, UploadSetError> {
    let first = packages.first().ok_or(UploadSetError::Empty)?;
    let identity = |it: &Built| (it.control.package().clone(), source_of(it), it.control.version().as_str().to_owned());
    if let Some(other) = packages.iter().find(|other| identity(other) != identity(first)) {
        return Err(UploadSetError::Mixed { first: first.path.clone(), other: other.path.clone() });
    }
    let mut files = Vec::new();
    for (built, buildinfo) in packages.iter().zip(buildinfos) {
        for path in [&built.path, buildinfo] {
            let file = list(path).map_err(|cause| UploadSetError::Read { path: path.clone(), cause })?;
            let field = |name| built.control.stanza().get(name).unwrap_or("-").to_owned();
            files.push(UploadedFile { file, section: field("Section"), priority: field("Priority") });
        }
    }
    let control = &first.control;
    let changes = Changes {
        date: first.time,
        source: source_of(first),
        packages: vec![(control.package().clone(), synopsis(control).to_owned())],
        architectures: packages.iter().map(|built| built.control.architecture().clone()).collect(),
        version: control.version().clone(),
        distribution: distribution.clone(),
        maintainer: control.stanza().get("Maintainer").unwrap_or_default().to_owned(),
        entry: entry(&first.path, control, distribution)?,
        files,
    };
    let path = first.path.with_file_name(changes.file_name(control.package()));
    signed_text::write(&path, &changes.to_stanza(), key, first.time)?;
    Ok(path)
}

fn synopsis(control: &Control) -> &str {
    control.stanza().get("Description").unwrap_or_default().lines().next().unwrap_or_default()
}

/// The newest entry of the changelog in the package (Policy 12.7). A package that has none for this version, as a
/// `DEBIAN/` tree may, gets the plainest one.
fn entry(deb: &Path, control: &Control, distribution: &SuiteName) -> Result<ChangelogEntry, UploadSetError> {
    let deb = Deb::open(deb, Limits { policy_file_bytes: MAX_CHANGELOG_BYTES, ..Limits::DEFAULT })?;
    for name in ["changelog.Debian.gz", "changelog.gz"] {
        let Some(packed) = deb.read_file(&format!("usr/share/doc/{}/{name}", control.package()))? else { continue };
        let mut text = String::new();
        // What is no text in gzip is no changelog.
        if MultiGzDecoder::new(packed.as_slice()).take(MAX_CHANGELOG_BYTES).read_to_string(&mut text).is_err() {
            continue;
        }
        let newest = ChangelogEntry::newest_of(&text);
        if let Some(entry) = newest.filter(|entry| entry.text.contains(&format!("({})", control.version()))) {
            return Ok(entry);
        }
    }
    let headline = format!("{} ({}) {distribution}; urgency=medium", control.source(), control.version());
    Ok(ChangelogEntry { urgency: "medium".to_owned(), text: format!("{headline}\n\n  * New release.") })
}
