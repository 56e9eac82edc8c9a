//! The bytes of a package: data.tar streams into a nameless file, so memory does not grow with the payload, and the
//! .deb appears under its name whole or not at all.

mod data;
mod hashing;
mod threads;

use crate::plan::{ControlFile, Plan, plain};
use data::Data;
use debian_formats::checksums::Checksums;
use debian_formats::deb::{
    self, Compression, Compressor, DebError, DebParts, DebProblem, SignatureRole, TarEntry, TarWriteError, TarWriter,
    tar_size,
};
use debian_formats::openpgp::{OpenPgpError, SigningKey};
use durable_files::{DurableError, Nameless, is_full};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Bytes held between the compressor and the disk.
const BUFFER: usize = 1 << 18;

/// A package that was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// No room.
    #[error("the disk that holds {folder} is full; nothing was left there. Free some space or name another --out")]
    DiskFull {
        /// Where the package should go.
        folder: PathBuf,
    },
    /// The folder cannot be written to.
    #[error("could not write the package into {folder}: {cause}")]
    Output {
        /// Where the package should go.
        folder: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A source file cannot be read, or changed while it was packed.
    #[error("could not pack {path}: {cause}")]
    SourceFile {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The finished package cannot be read.
    #[error("could not read back the package {path}: {cause}")]
    ReadBack {
        /// The .deb.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// An entry that tar cannot hold.
    #[error("could not pack /{path}: {cause}")]
    Entry {
        /// On the device.
        path: String,
        /// Why.
        cause: io::Error,
    },
    /// The finished file could not be put in place.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The key failed.
    #[error("could not sign the package: {0}")]
    Sign(#[from] OpenPgpError),
}

/// A package on disk.
#[derive(Debug, Clone)]
pub struct Written {
    /// Where it is.
    pub path: PathBuf,
    /// The source files that are in it, each once, as it was packed; by path. Empty if they are not recorded.
    pub inputs: Vec<InputFile>,
}

/// A source file, hashed while it was packed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputFile {
    /// Where it was read.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
}

impl InputFile {
    /// Hashes one that is not packed as it is.
    pub(crate) fn read(path: PathBuf) -> Result<Self, WriteError> {
        match File::open(&path).and_then(Checksums::of_reader) {
            Ok(Checksums { size, sha256, .. }) => Ok(Self { path, size, sha256 }),
            Err(cause) => Err(WriteError::SourceFile { path, cause }),
        }
    }
}

/// How the members are packed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Packing {
    /// The compressor.
    pub compression: Compression,
    /// How many threads compress; the bytes do not depend on it. None: as many as the machine has cores and memory for.
    pub threads: Option<NonZeroUsize>,
    /// Whether the source files are hashed for a `.buildinfo`.
    pub record_inputs: bool,
}

/// Writes the package into a folder, which is created if it is absent; signed by every key in its role.
pub fn write(
    plan: &Plan,
    folder: &Path,
    signers: &[(SignatureRole, SigningKey)],
    packing: Packing,
) -> Result<Written, WriteError> {
    let told = |error: WriteError| match error {
        WriteError::Output { cause, .. } if is_full(&cause) => WriteError::DiskFull { folder: folder.to_owned() },
        WriteError::Durable(error) if error.is_full() => WriteError::DiskFull { folder: folder.to_owned() },
        error => error,
    };
    write_into(plan, folder, signers, packing).map_err(told)
}

fn write_into(
    plan: &Plan,
    folder: &Path,
    signers: &[(SignatureRole, SigningKey)],
    packing: Packing,
) -> Result<Written, WriteError> {
    let output = |cause| WriteError::Output { folder: folder.to_owned(), cause };
    durable_files::create_dir(folder, 0o755)?;
    let data = tempfile::tempfile_in(folder).map_err(output)?;
    let Data { file, md5sums, inputs } = data::write(plan, data, packing, &output)?;
    let control = write_control(plan, md5sums, packing).map_err(|error| output(io::Error::other(error)))?;
    let parts =
        DebParts { compression: packing.compression, control_tar: &control, data_tar: &file, time: plan.time() };
    let path = folder.join(plan.control().file_name());
    let signers: Vec<_> = signers.iter().map(|(role, key)| (role, key)).collect();
    let package = Nameless::new(&path)?;
    let mut out = BufWriter::with_capacity(BUFFER, package.file());
    let meanwhile = |out: &mut BufWriter<&File>| out.flush().and_then(|()| package.flush());
    parts.write(&mut out, &path, &signers, meanwhile).map_err(|DebError { problem, .. }| match problem {
        DebProblem::Io(cause) => output(cause),
        DebProblem::Signature { cause, .. } => WriteError::Sign(cause),
        other => output(io::Error::other(other.to_string())),
    })?;
    out.into_inner().map_err(|error| output(error.into_error()))?;
    package.commit(0o644)?;
    Ok(Written { path, inputs })
}

/// control.tar, compressed.
fn write_control(plan: &Plan, md5sums: String, packing: Packing) -> Result<Vec<u8>, TarWriteError> {
    let mut files = plan.control_files().clone();
    if !md5sums.is_empty() {
        files.insert("md5sums".into(), plain(md5sums));
    }
    let header =
        |path: &str, kind, mode, size| TarEntry { path: path.to_owned(), kind, mode, size, mtime: mtime(plan) };
    let of_file =
        |(name, file): (&String, &ControlFile)| header(name, deb::EntryKind::File, file.mode, file.bytes.len() as u64);
    let folder = header("", deb::EntryKind::Directory, 0o755, 0);
    let headers: Vec<TarEntry> = files.iter().map(of_file).collect();
    let size = tar_size(headers.iter().chain([&folder]));
    // It is small: one thread has it done before another would have started.
    let compressor = Compressor::new(Vec::new(), packing.compression, size, NonZeroUsize::MIN);
    let mut tar = TarWriter::new(compressor.map_err(TarWriteError::Output)?);
    let root = ("root", "root");
    tar.append(&folder, root, &mut io::empty())?;
    for (header, file) in headers.iter().zip(files.values()) {
        tar.append(header, root, &mut file.bytes.as_slice())?;
    }
    tar.finish().and_then(Compressor::finish).map_err(TarWriteError::Output)
}

/// The one time of all entries.
fn mtime(plan: &Plan) -> u64 {
    u64::try_from(plan.time().as_second()).unwrap_or(0)
}
