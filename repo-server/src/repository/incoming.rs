//! An upload on its way in: from the network to a file, and from a file to a checked package.

use super::error::PublishError;
use super::pool;
use super::store::Package;
use bytes::Bytes;
use debian_formats::checksums::{Checksums, Hasher};
use debian_formats::deb::{Deb, DebProblem, EntryKind, SignatureRole, TarEntry};
use debian_formats::limits::Limits;
use debian_formats::names::ComponentName;
use debian_formats::openpgp::Keyring;
use debian_formats::packages::PackageEntry;
use durable_files::{DurableError, Replacement};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A piece of an upload, in order.
#[derive(Debug)]
pub(crate) enum Piece {
    /// The next bytes.
    Data(Bytes),
    /// All bytes were given. Without this the upload counts as broken off.
    End,
    /// The sender's connection failed.
    BrokenOff(String),
}

/// An upload, piece by piece.
pub(crate) type Pieces = mpsc::Receiver<Piece>;

/// An upload that arrived whole and is not checked yet. Dropped, its file is gone.
pub(super) struct Received {
    file: Replacement,
    checksums: Checksums,
}

/// Writes an upload to a file in `folder`. Blocks.
pub(super) fn receive(folder: &Path, limit: u64, mut pieces: Pieces) -> Result<Received, PublishError> {
    let mut file = Replacement::new(&folder.join("upload"))?;
    let (mut hasher, mut size) = (Hasher::default(), 0u64);
    loop {
        let piece = match pieces.blocking_recv() {
            Some(Piece::Data(piece)) => piece,
            Some(Piece::End) => return Ok(Received { file, checksums: hasher.finish() }),
            Some(Piece::BrokenOff(reason)) => return Err(PublishError::BrokenOff(reason)),
            None => return Err(PublishError::BrokenOff("the connection was closed".to_owned())),
        };
        size = size.saturating_add(piece.len() as u64);
        if size > limit {
            return Err(PublishError::TooLarge { limit });
        }
        hasher.update(&piece);
        file.write_all(&piece).map_err(|source| DurableError::Io {
            action: "write",
            path: file.path().to_owned(),
            cause: source,
        })?;
    }
}

/// An upload whose content and signature were found good.
pub(super) struct Checked {
    pub(super) file: Replacement,
    pub(super) package: Arc<Package>,
}

impl Received {
    /// Reads the package through and demands a signature by a known package key. Blocks.
    pub(super) fn check(
        self,
        package_keys: &Keyring,
        limits: Limits,
        component: &ComponentName,
    ) -> Result<Checked, PublishError> {
        let Self { file, checksums } = self;
        let refused = |problem| match problem {
            DebProblem::Io(source) => {
                PublishError::Disk(DurableError::Io { action: "read", path: file.path().to_owned(), cause: source })
            }
            problem => PublishError::Refused(problem),
        };
        let deb = Deb::open(file.path(), limits).map_err(|error| refused(error.problem))?;
        let deb = deb.verify(package_keys, &[SignatureRole::origin()]).map_err(|error| refused(error.problem))?;
        let control = deb.control();
        let filename = pool::path_of(control, component).map_err(PublishError::SourceName)?;
        let signers: Vec<String> = deb.signers().iter().map(|signer| signer.key.to_string()).collect();
        let package = Package {
            name: control.package().to_string(),
            version: control.version().clone(),
            architecture: control.architecture().to_string(),
            size: checksums.size,
            stanza: PackageEntry::stanza_for(control, &filename, &checksums).to_string(),
            signed_by: signers.join(" "),
            sha256: checksums.sha256,
            filename,
            paths: paths_of(deb.entries()),
        };
        Ok(Checked { file, package: Arc::new(package) })
    }
}

/// The files and links that a package installs, one on each line, for Contents.
fn paths_of(entries: &[TarEntry]) -> String {
    let installed = entries.iter().filter(|entry| entry.kind != EntryKind::Directory);
    installed.map(|entry| format!("{}\n", entry.path)).collect()
}
