//! Fetching packages ahead of sending them on, a few at once. None is given on before its content was found to be what
//! the archive's signed index says.

use super::source::{Found, Source};
use anyhow::{Context as _, Result, bail};
use debian_formats::checksums::Sha256Hasher;
use debian_formats::upstream::UpstreamPackage;
use std::collections::VecDeque;
use std::io::{Read, Seek as _, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use tempfile::SpooledTempFile;

/// Packages that are fetched at the same time.
const AT_ONCE: usize = 4;
/// Packages that were fetched and wait to be sent.
const WAITING: usize = 4;
/// A larger package waits on the disk.
const IN_MEMORY: usize = 4 << 20;
/// How often a file is fetched whose connection breaks.
const ATTEMPTS: usize = 3;
/// After so many failures one after the other nothing more is tried: the archive is away.
const FAILURES: usize = 20;

/// A package that was fetched, from its beginning; or why it was not.
pub(crate) type Fetched = (UpstreamPackage, Result<SpooledTempFile>);

/// Work that several threads share.
struct Shared<'a> {
    source: &'a Source,
    waiting: Mutex<VecDeque<UpstreamPackage>>,
    failures: Mutex<usize>,
}

/// Fetches packages on threads of this scope. They come in any order, and threads end when nobody takes them any more.
pub(crate) fn fetch_all<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    source: &'env Source,
    packages: Vec<UpstreamPackage>,
) -> Receiver<Fetched> {
    let (sender, receiver) = sync_channel(WAITING);
    let shared = Shared { source, waiting: Mutex::new(packages.into()), failures: Mutex::new(0) };
    let shared = std::sync::Arc::new(shared);
    for _ in 0..AT_ONCE {
        let (shared, sender) = (shared.clone(), sender.clone());
        scope.spawn(move || fetch_each(&shared, &sender));
    }
    receiver
}

fn fetch_each(shared: &Shared<'_>, sender: &SyncSender<Fetched>) {
    loop {
        let next = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(package) = next else { return };
        let failures = *shared.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let fetched = if failures < FAILURES {
            fetch(shared.source, &package)
        } else {
            Err(anyhow::anyhow!("it was not tried after {FAILURES} failures one after the other"))
        };
        let mut failures = shared.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures = if fetched.is_ok() { 0 } else { *failures + 1 };
        drop(failures);
        if sender.send((package, fetched)).is_err() {
            return;
        }
    }
}

fn fetch(source: &Source, package: &UpstreamPackage) -> Result<SpooledTempFile> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match fetch_once(source, package) {
            Ok(Some(file)) => return Ok(file),
            Ok(None) => bail!("it is not there, though the index names it; run the command again in a while"),
            Err(error) if error.is::<Other>() || attempt == ATTEMPTS => return Err(error),
            Err(_) => {}
        }
    }
}

/// Something else than the index says; another attempt would give the same.
#[derive(Debug, thiserror::Error)]
#[error("its {0} is not what the archive's signed index says; the archive's file is damaged or was exchanged")]
struct Other(&'static str);

fn fetch_once(source: &Source, package: &UpstreamPackage) -> Result<Option<SpooledTempFile>> {
    let Found::Content(content) = source.open(&package.filename, package.size)? else { return Ok(None) };
    let mut content = content.take(package.size.saturating_add(1));
    let mut file = SpooledTempFile::new(IN_MEMORY);
    let (mut hasher, mut size, mut buffer) = (Sha256Hasher::default(), 0, vec![0; 1 << 16]);
    loop {
        let got = content.read(&mut buffer).context("the connection broke")?;
        if got == 0 {
            break;
        }
        hasher.update(&buffer[..got]);
        size += got as u64;
        file.write_all(&buffer[..got]).context("could not write a temporary file; is there room in TMPDIR?")?;
    }
    if size < package.size {
        bail!("it ended after {size} of {} bytes", package.size);
    }
    if size > package.size {
        return Err(Other("size").into());
    }
    if hasher.finish() != package.sha256 {
        return Err(Other("SHA-256").into());
    }
    file.rewind().context("could not read a temporary file")?;
    Ok(Some(file))
}
