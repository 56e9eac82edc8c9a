//! What is fetched, and why it was not: within bounds, whether it comes over HTTP or from a folder.

use crate::progress;
use indicatif::ProgressBar;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::StatusCode;

/// Something that was not fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("could not read the authorities in {path}: {reason}")]
    Authorities { path: PathBuf, reason: String },
    #[error(
        "could not use the proxy {proxy}: {reason}; check `proxy` in the configuration, or http_proxy and https_proxy in the environment"
    )]
    Proxy { proxy: String, reason: String },
    #[error("could not fetch {url}: {reason}")]
    Transport { url: String, reason: String },
    #[error("could not use {path}, which shows the server who asks: {reason}")]
    Credentials { path: PathBuf, reason: String },
    #[error("could not fetch {url}: the server answered {status}{}", advice(*status))]
    Status { url: String, status: StatusCode, retry_after: Option<Duration> },
    #[error("refused {url}: the server sends more than the {limit} bytes that were promised")]
    TooLong { url: String, limit: u64 },
    #[error("could not fetch {url}: it ended after {got} of {wanted} bytes; the next attempt continues there")]
    TooShort { url: String, got: u64, wanted: u64 },
    #[error("could not write {path}: {cause}")]
    Write { path: PathBuf, cause: io::Error },
    #[error("could not read {path}: {cause}")]
    Read { path: PathBuf, cause: io::Error },
    #[error("refused {path}: {problem}")]
    Place { path: PathBuf, problem: &'static str },
    #[error("{folder} holds no suite {suite}: there is no dists/{suite}/InRelease in it, nor in a folder debian/")]
    NoSuite { folder: PathBuf, suite: String },
}

impl FetchError {
    /// How long the server asks to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the repository says that there is no such file.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status == StatusCode::NOT_FOUND,
            Self::Read { cause, .. } => cause.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; check `token-file`, or `client-certificate` and `client-key`, in the configuration"
        }
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => "; check the user and the password in `proxy`",
        _ => "",
    }
}

/// What a server said of a file's version, to be shown to it when asking again (RFC 9110 §8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Validators {
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

/// The answer to "has it changed?".
pub(super) enum Answer {
    NotModified,
    New(Vec<u8>, Validators),
}

/// A file that grows to a known size.
pub(super) struct Target {
    path: PathBuf,
    file: File,
    pub(super) have: u64,
    pub(super) size: u64,
    bar: ProgressBar,
}

impl Target {
    pub(super) fn open(path: &Path, size: u64) -> Result<Self, FetchError> {
        let write_error = |cause| FetchError::Write { path: path.to_owned(), cause };
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(write_error)?;
        let have = file.seek(SeekFrom::End(0)).map_err(write_error)?;
        let mut target = Self { path: path.to_owned(), file, have, size, bar: progress::download(size, have) };
        if have > size {
            target.restart()?;
        }
        Ok(target)
    }

    pub(super) fn restart(&mut self) -> Result<(), FetchError> {
        let cut = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        self.have = cut.map_err(|cause| FetchError::Write { path: self.path.clone(), cause })?;
        Ok(())
    }

    /// Adds what a reader gives, up to the promised size. What arrived before it broke off is kept, so that the next
    /// attempt continues there.
    pub(super) fn append(
        &mut self,
        mut body: impl Read,
        url: &str,
        buffer: usize,
        mut after_each: impl FnMut(usize) -> io::Result<()>,
    ) -> Result<(), FetchError> {
        let mut buffer = vec![0; buffer];
        let before = self.have;
        loop {
            let got = match body.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if self.have > before && self.have < self.size => {
                    tracing::debug!("{url} broke off: {error}");
                    return Ok(());
                }
                Err(error) => return Err(FetchError::Transport { url: url.to_owned(), reason: error.to_string() }),
            };
            if self.have + got as u64 > self.size {
                return Err(FetchError::TooLong { url: url.to_owned(), limit: self.size });
            }
            self.file
                .write_all(&buffer[..got])
                .map_err(|cause| FetchError::Write { path: self.path.clone(), cause })?;
            self.have += got as u64;
            self.bar.set_position(self.have);
            after_each(got)
                .map_err(|error| FetchError::Transport { url: url.to_owned(), reason: error.to_string() })?;
        }
    }

    pub(super) fn finish(self, url: &str) -> Result<(), FetchError> {
        self.bar.finish_and_clear();
        self.file.sync_all().map_err(|cause| FetchError::Write { path: self.path, cause })?;
        if self.have < self.size {
            return Err(FetchError::TooShort { url: url.to_owned(), got: self.have, wanted: self.size });
        }
        Ok(())
    }
}

/// All that a reader gives, refused above `limit` bytes.
pub(super) fn read_bounded(body: impl Read, url: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    let mut body = body.take(limit.saturating_add(1));
    body.read_to_end(&mut bytes)
        .map_err(|error| FetchError::Transport { url: url.to_owned(), reason: error.to_string() })?;
    if bytes.len() as u64 > limit {
        return Err(FetchError::TooLong { url: url.to_owned(), limit });
    }
    Ok(bytes)
}
