//! The bytes of a package: data.tar.xz streams into a nameless file, so memory does not grow with the payload,
//! and the .deb appears under its name whole or not at all.

use crate::entries::{Content, Entry, EntryKind};
use crate::plan::{Plan, plain};
use debian_formats::checksums::{Checksums, Hasher};
use debian_formats::deb::{
    self, Compression, DebError, DebParts, DebProblem, SignatureRole, TarEntry, TarWriter, XzTarWriter,
};
use debian_formats::openpgp::{OpenPgpError, SigningKey};
use durable_files::{DurableError, Replacement, is_full};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
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
    #[error("could not write the package into {folder}: {source}")]
    Output {
        /// Where the package should go.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A source file cannot be read, or changed while it was packed.
    #[error("could not pack {path}: {source}")]
    SourceFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An entry that tar cannot hold.
    #[error("could not pack /{path}: {source}")]
    Entry {
        /// On the device.
        path: String,
        /// Why.
        source: io::Error,
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
    /// Of the whole file.
    pub checksums: Checksums,
    /// The source files that are in it, each as it was packed.
    pub inputs: Vec<InputFile>,
}

/// A source file, hashed while it was packed.
#[derive(Debug, Clone, PartialEq, Eq)]
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
            Err(source) => Err(WriteError::SourceFile { path, source }),
        }
    }
}

/// How the members are packed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Packing {
    /// The compressor.
    pub compression: Compression,
    /// How many threads compress; the bytes do not depend on it. None: one for each core.
    pub threads: Option<NonZeroUsize>,
}

/// Writes the package into a folder, which is created if it is absent; signed by every key in its role.
pub fn write(
    plan: &Plan,
    folder: &Path,
    signers: &[(SignatureRole, SigningKey)],
    packing: Packing,
) -> Result<Written, WriteError> {
    let told = |error: WriteError| match error {
        WriteError::Output { source, .. } | WriteError::Entry { source, .. } if is_full(&source) => {
            WriteError::DiskFull { folder: folder.to_owned() }
        }
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
    let output = |source| WriteError::Output { folder: folder.to_owned(), source };
    durable_files::create_dir(folder, 0o755)?;
    let data = tempfile::tempfile_in(folder).map_err(output)?;
    let Data { file: mut data, md5sums, inputs } = write_data(plan, data, folder, packing)?;
    let control = write_control(plan, &md5sums).map_err(output)?;
    let mut parts = DebParts { control_tar_xz: &control, data_tar_xz: &mut data, time: plan.time() };
    let sign = |(role, key): &(SignatureRole, SigningKey)| {
        parts.sign(role.clone(), key).map_err(|error| match error {
            OpenPgpError::Io(source) => output(source),
            error => WriteError::Sign(error),
        })
    };
    let signatures = signers.iter().map(sign).collect::<Result<Vec<_>, _>>()?;
    let path = folder.join(plan.control().file_name());
    let mut out = Tee { file: BufWriter::with_capacity(BUFFER, Replacement::new(&path)?), hasher: Hasher::default() };
    parts.write(&mut out, &path, &signatures).map_err(|DebError { problem, .. }| match problem {
        DebProblem::Io(source) => output(source),
        other => output(io::Error::other(other.to_string())),
    })?;
    let replacement = out.file.into_inner().map_err(|error| output(error.into_error()))?;
    replacement.commit(0o644)?;
    Ok(Written { path, checksums: out.hasher.finish(), inputs })
}

/// data.tar.xz, and what was seen while it was written.
struct Data {
    file: File,
    /// The text of that file.
    md5sums: String,
    inputs: Vec<InputFile>,
}

fn write_data(plan: &Plan, file: File, folder: &Path, _packing: Packing) -> Result<Data, WriteError> {
    let output = |source| WriteError::Output { folder: folder.to_owned(), source };
    let mut tar = XzTarWriter::xz(BufWriter::with_capacity(BUFFER, file));
    let (mut md5sums, mut inputs) = (String::new(), Vec::new());
    let mut append = |path: &str, entry: &Entry| -> Result<(), WriteError> {
        let mut header = TarEntry {
            path: path.to_owned(),
            kind: deb::EntryKind::Directory,
            mode: entry.mode,
            size: 0,
            mtime: mtime(plan),
        };
        let owner = (entry.owner.user.as_str(), entry.owner.group.as_str());
        let failed = |source| WriteError::Entry { path: path.to_owned(), source };
        let content = match &entry.kind {
            EntryKind::Directory => return tar.append(&header, owner, &mut io::empty()).map_err(failed),
            EntryKind::Symlink(target) => {
                header.kind = deb::EntryKind::Symlink(target.clone());
                return tar.append(&header, owner, &mut io::empty()).map_err(failed);
            }
            EntryKind::File(content) => content,
        };
        header.kind = deb::EntryKind::File;
        header.size = content.size();
        let md5 = match content {
            Content::Bytes(bytes) => {
                let mut reader = Watched::new(bytes.as_slice());
                tar.append(&header, owner, &mut reader).map_err(failed)?;
                reader.hasher.finish().md5
            }
            Content::File { path: source_path, .. } => {
                let of_source = |source| WriteError::SourceFile { path: source_path.clone(), source };
                let mut reader = Watched::new(File::open(source_path).map_err(of_source)?);
                match tar.append(&header, owner, &mut reader) {
                    Ok(()) => {
                        let Checksums { size, md5, sha256 } = reader.hasher.finish();
                        inputs.push(InputFile { path: source_path.clone(), size, sha256 });
                        md5
                    }
                    Err(error) if reader.failed || error.kind() == io::ErrorKind::Other => {
                        return Err(of_source(error));
                    }
                    Err(error) => return Err(failed(error)),
                }
            }
        };
        if !plan.is_conffile(path) {
            md5sums.push_str(&format!("{md5}  {path}\n"));
        }
        Ok(())
    };
    append("", &crate::entries::folder())?;
    for (path, entry) in plan.entries().iter() {
        append(path, entry)?;
    }
    let file = tar.finish().and_then(|buffer| buffer.into_inner().map_err(|error| error.into_error()));
    Ok(Data { file: file.map_err(output)?, md5sums, inputs })
}

fn write_control(plan: &Plan, md5sums: &str) -> io::Result<Vec<u8>> {
    let mut files = plan.control_files().clone();
    if !md5sums.is_empty() {
        files.insert("md5sums".into(), plain(md5sums.to_owned()));
    }
    let mut tar = TarWriter::xz(Vec::new());
    let header =
        |path: &str, kind, mode, size| TarEntry { path: path.to_owned(), kind, mode, size, mtime: mtime(plan) };
    let root = ("root", "root");
    tar.append(&header("", deb::EntryKind::Directory, 0o755, 0), root, &mut io::empty())?;
    for (name, file) in &files {
        let header = header(name, deb::EntryKind::File, file.mode, file.bytes.len() as u64);
        tar.append(&header, root, &mut file.bytes.as_slice())?;
    }
    tar.finish()
}

fn mtime(plan: &Plan) -> u64 {
    u64::try_from(plan.time().as_second()).unwrap_or(0)
}

/// Hashes what is read through it, and remembers whether reading was what failed.
struct Watched<R> {
    inner: R,
    hasher: Hasher,
    failed: bool,
}

impl<R> Watched<R> {
    fn new(inner: R) -> Self {
        Self { inner, hasher: Hasher::default(), failed: false }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer).inspect_err(|_| self.failed = true)?;
        self.hasher.update(&buffer[..got]);
        Ok(got)
    }
}

/// Hashes what is written through it.
struct Tee {
    file: BufWriter<Replacement>,
    hasher: Hasher,
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
