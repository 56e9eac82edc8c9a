//! Talks to one repository, over HTTP or in a folder, within bounds: nothing is read past the size that was promised,
//! nor waited for without end.

use super::folder::Folder;
use super::http::{Http, Remote};
use super::transfer::{Answer, FetchError, Target, Validators};
use std::path::Path;

/// Talks to one repository.
#[derive(Clone)]
pub(crate) enum Client {
    Http(Http),
    Folder(Folder),
}

impl Client {
    /// A server.
    pub(crate) fn over_http(remote: &Remote) -> Result<Self, FetchError> {
        Http::new(remote).map(Self::Http)
    }

    /// A folder with `dists/` and `pool/`, or the one above `debian/`, such as a USB stick.
    pub(crate) fn in_folder(folder: &Path, suite: &str) -> Result<Self, FetchError> {
        Folder::open(folder, suite).map(Self::Folder)
    }

    /// What tells this repository from another.
    pub(super) fn identity(&self) -> &str {
        match self {
            Self::Http(http) => http.base(),
            Self::Folder(_) => "",
        }
    }

    /// A small file whose size nobody promised, if it is another one than these validators tell of.
    pub(super) fn fetch_if_new(&self, path: &str, limit: u64, known: &Validators) -> Result<Answer, FetchError> {
        match self {
            Self::Http(http) => http.fetch_if_new(path, limit, known),
            Self::Folder(folder) => Ok(Answer::New(folder.fetch(path, limit)?, Validators::default())),
        }
    }

    /// A file of at most so many bytes, whole.
    pub(super) fn fetch(&self, path: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        match self {
            Self::Http(http) => http.fetch(path, limit),
            Self::Folder(folder) => folder.fetch(path, limit),
        }
    }

    /// Fetches a file of exactly `size` bytes to `target`, going on behind what is already there.
    pub(crate) fn download(&self, path: &str, target: &Path, size: u64) -> Result<(), FetchError> {
        let mut target = Target::open(target, size)?;
        if target.have < size {
            match self {
                Self::Http(http) => http.download(path, &mut target)?,
                Self::Folder(folder) => folder.download(path, &mut target)?,
            }
        }
        target.finish(&match self {
            Self::Http(http) => http.url(path),
            Self::Folder(folder) => folder.describe(path),
        })
    }
}
