//! A repository in a folder, such as a USB stick: no network, the same signatures.

use super::transfer::{FetchError, Target, read_bounded};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How much to read at once.
const BUFFER: usize = 128 << 10;

/// A folder that holds `dists/` and `pool/`.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    base: PathBuf,
}

impl Folder {
    pub(super) fn open(folder: &Path, suite: &str) -> Result<Self, FetchError> {
        let read_error = |cause| FetchError::Read { path: folder.to_owned(), cause };
        let folder = folder.canonicalize().map_err(read_error)?;
        let bases = [folder.clone(), folder.join("debian")].map(|base| Self { base });
        let release = format!("dists/{suite}/InRelease");
        for base in bases {
            match base.locate(&release) {
                Ok(_) => return Ok(base),
                Err(error) if error.is_absence() => {}
                Err(error) => return Err(error),
            }
        }
        Err(FetchError::NoSuite { folder, suite: suite.to_owned() })
    }

    pub(super) fn describe(&self, path: &str) -> String {
        self.base.join(path).display().to_string()
    }

    pub(super) fn fetch(&self, path: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        let (file, full) = self.file(path)?;
        read_bounded(file, &full.to_string_lossy(), limit)
    }

    pub(super) fn download(&self, path: &str, target: &mut Target) -> Result<(), FetchError> {
        // A part may be of another origin; copying is cheap.
        target.restart()?;
        let (file, full) = self.file(path)?;
        target.append(file, &full.to_string_lossy(), BUFFER, |_| Ok(()))
    }

    /// The file behind a path, wherever links within the folder lead.
    fn locate(&self, path: &str) -> Result<PathBuf, FetchError> {
        let asked = self.base.join(path);
        let full = asked.canonicalize().map_err(|cause| FetchError::Read { path: asked.clone(), cause })?;
        if full.starts_with(&self.base) {
            Ok(full)
        } else {
            Err(FetchError::Place { path: asked, problem: "it is a link that leads out of the folder" })
        }
    }

    /// Looks before it opens: to open a pipe waits, and to open a device may do something.
    fn file(&self, path: &str) -> Result<(File, PathBuf), FetchError> {
        let full = self.locate(path)?;
        let read_error = |cause: io::Error| FetchError::Read { path: full.clone(), cause };
        let no_file = || FetchError::Place { path: full.clone(), problem: "it is no plain file" };
        if !full.symlink_metadata().map_err(read_error)?.is_file() {
            return Err(no_file());
        }
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let flags = i32::try_from(flags).map_err(|_| read_error(ErrorKind::InvalidInput.into()))?;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&full).map_err(read_error)?;
        if !file.metadata().map_err(read_error)?.is_file() {
            return Err(no_file());
        }
        Ok((file, full))
    }
}
