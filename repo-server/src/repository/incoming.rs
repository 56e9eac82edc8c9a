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
use durable_files::{DurableError, Replacement, Unplaced};
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

/// What is demanded of an upload, and where it goes.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) package_keys: Arc<Keyring>,
    pub(super) limits: Limits,
    pub(super) component: ComponentName,
    /// An admin takes in packages of others; an updater installs them only as its policy for such says.
    pub(super) takes_unsigned: bool,
}

/// An upload that arrived whole and is not checked yet. Dropped, its file is gone.
pub(super) struct Received {
    file: Replacement,
    checksums: Checksums,
}

/// Writes an upload to a file in `folder`. Blocks.
pub(super) fn receive(folder: &Path, limit: u64, mut pieces: Pieces) -> Result<Received, PublishError> {
    let mut receiving = Receiving::new(folder, limit)?;
    while let Some(piece) = next_piece(&mut pieces)? {
        receiving.write(&piece)?;
    }
    Ok(receiving.finish())
}

/// The next bytes; none when all were given. Blocks.
pub(super) fn next_piece(pieces: &mut Pieces) -> Result<Option<Bytes>, PublishError> {
    match pieces.blocking_recv() {
        Some(Piece::Data(piece)) => Ok(Some(piece)),
        Some(Piece::End) => Ok(None),
        Some(Piece::BrokenOff(reason)) => Err(PublishError::BrokenOff(reason)),
        None => Err(PublishError::BrokenOff("the connection was closed".to_owned())),
    }
}

/// An upload that is being written.
pub(super) struct Receiving {
    file: Replacement,
    hasher: Hasher,
    size: u64,
    limit: u64,
}

impl Receiving {
    pub(super) fn new(folder: &Path, limit: u64) -> Result<Self, PublishError> {
        Ok(Self { file: Replacement::new(&folder.join("upload"))?, hasher: Hasher::default(), size: 0, limit })
    }

    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), PublishError> {
        self.size = self.size.saturating_add(piece.len() as u64);
        if self.size > self.limit {
            return Err(PublishError::TooLarge { limit: self.limit });
        }
        self.hasher.update(piece);
        let written = self.file.write_all(piece);
        let failed = |cause| DurableError::Io { action: "write", path: self.file.path().to_owned(), cause };
        Ok(written.map_err(failed)?)
    }

    pub(super) fn finish(self) -> Received {
        Received { file: self.file, checksums: self.hasher.finish() }
    }
}

/// An upload whose content and signature were found good.
pub(super) struct Checked {
    pub(super) file: Replacement,
    pub(super) package: Arc<Package>,
}

impl Received {
    pub(super) fn checksums(&self) -> &Checksums {
        &self.checksums
    }

    /// Reads the package through and demands a signature by a known package key. Blocks.
    pub(super) fn check(self, rules: &Rules) -> Result<Checked, PublishError> {
        let Self { file, checksums } = self;
        let refused = |problem| match problem {
            DebProblem::Io(source) => {
                PublishError::Disk(DurableError::Io { action: "read", path: file.path().to_owned(), cause: source })
            }
            problem => PublishError::Refused(problem),
        };
        let deb = Deb::open(file.path(), rules.limits).map_err(|error| refused(error.problem))?;
        let verified;
        let (deb, signers): (&Deb, Vec<String>) = if rules.takes_unsigned {
            (&deb, Vec::new())
        } else {
            verified =
                deb.verify(&rules.package_keys, &[SignatureRole::origin()]).map_err(|error| refused(error.problem))?;
            (&verified, verified.signers().iter().map(|signer| signer.key.to_string()).collect())
        };
        let control = deb.control();
        let filename = pool::path_of(control, &rules.component).map_err(PublishError::SourceName)?;
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

/// A [`Checked`] upload whose file is closed.
pub(super) struct Waiting {
    pub(super) file: Unplaced,
    pub(super) package: Arc<Package>,
}

/// The files and links that a package installs, one on each line, for Contents.
fn paths_of(entries: &[TarEntry]) -> String {
    let installed = entries.iter().filter(|entry| entry.kind != EntryKind::Directory);
    installed.map(|entry| format!("{}\n", entry.path)).collect()
}

impl Checked {
    /// Closes its file, so that very many can wait.
    pub(super) fn close(self) -> Waiting {
        Waiting { file: self.file.close(), package: self.package }
    }
}
