//! Uploads of several files whose list comes last, as dput sends them: the files wait until their `.changes` has come, and
//! then all packages are published together, or none.

use super::Repository;
use super::error::PublishError;
use super::incoming::{Pieces, Received, Waiting, receive};
use super::intake::{OnConflict, published};
use super::store::Package;
use debian_formats::checksums::Checksums;
use debian_formats::names::{ComponentName, SuiteName};
use debian_formats::signed_changes::{ChangesError, ChangesFile, VerifiedChanges};
use fleet_protocol::publishing::Published;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Files of one uploader that may wait for their list.
const MOST_FILES: usize = 100;
/// They may be as large together as so many of the largest packages.
const MOST_BYTES: u64 = 2;
/// How long they wait.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

/// Who uploads, by the token's id, and to which suite if the address says so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Uploader {
    pub(crate) token: String,
    pub(crate) suite: Option<SuiteName>,
}

/// A file that waits. Dropped, it is gone.
struct Part {
    checksums: Checksums,
    /// None: not a package, so only its checksums are looked at.
    package: Option<Received>,
    arrived: Timestamp,
}

/// Files that wait for their list.
#[derive(Default)]
pub(super) struct UploadSets(Mutex<BTreeMap<Uploader, BTreeMap<String, Part>>>);

/// An upload of several files that was refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadSetError {
    #[error("{limit} files of this uploader wait for their .changes already; send that, or wait a day")]
    TooMany { limit: usize },
    #[error("the files that wait for their .changes are larger than {limit} bytes together")]
    TooLarge { limit: u64 },
    #[error("the .changes is refused: {0}")]
    Changes(#[from] ChangesError),
    #[error("the .changes lists no package (.deb); only packages are published")]
    NoPackage,
    #[error("the .changes lists packages of several components; upload those of each component by themselves")]
    Components,
    #[error("the .changes lists {0}, which was not sent before it; send all files again, the .changes last")]
    Absent(String),
    #[error("{0} is not the file that the .changes lists: its size or SHA-256 is another; send all files again")]
    Other(String),
    #[error("the .changes lists {0} twice")]
    Twice(String),
    #[error("{name}: {cause}")]
    Package { name: String, cause: PublishError },
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl UploadSets {
    /// Keeps a file until its list comes. One of the same name is replaced.
    fn keep(&self, uploader: &Uploader, name: &str, part: Part, most_bytes: u64) -> Result<(), UploadSetError> {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forget_old(&mut sets, part.arrived);
        let waiting = sets.entry(uploader.clone()).or_default();
        waiting.remove(name);
        if waiting.len() >= MOST_FILES {
            return Err(UploadSetError::TooMany { limit: MOST_FILES });
        }
        let kept = waiting.values().filter(|part| part.package.is_some()).map(|part| part.checksums.size);
        if part.package.is_some() && kept.fold(part.checksums.size, u64::saturating_add) > most_bytes {
            return Err(UploadSetError::TooLarge { limit: most_bytes });
        }
        waiting.insert(name.to_owned(), part);
        Ok(())
    }

    /// Takes the files of a list: each as the list says.
    fn take(&self, uploader: &Uploader, files: &[ChangesFile]) -> Result<Vec<(String, Received)>, UploadSetError> {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = sets.remove(uploader).unwrap_or_default();
        // Whatever is wrong with one of them, none of them waits any longer.
        let taken: Vec<Option<Part>> = files.iter().map(|file| waiting.remove(&file.name)).collect();
        if !waiting.is_empty() {
            sets.insert(uploader.clone(), waiting);
        }
        drop(sets);
        let mut packages = Vec::new();
        for (file, part) in files.iter().zip(taken) {
            let Part { checksums, package, .. } = part.ok_or_else(|| UploadSetError::Absent(file.name.clone()))?;
            if checksums.size != file.size || checksums.sha256 != file.sha256 {
                return Err(UploadSetError::Other(file.name.clone()));
            }
            packages.extend(package.map(|package| (file.name.clone(), package)));
        }
        Ok(packages)
    }

    /// Forgets files that nobody listed.
    pub(super) fn forget_old(&self, now: Timestamp) {
        forget_old(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), now);
    }
}

fn forget_old(sets: &mut BTreeMap<Uploader, BTreeMap<String, Part>>, now: Timestamp) {
    for waiting in sets.values_mut() {
        waiting.retain(|_, part| now.duration_since(part.arrived) < PATIENCE);
    }
    sets.retain(|_, waiting| !waiting.is_empty());
}

impl Repository {
    /// Takes in a file of an upload, which waits for its list. Of what is not a package only the checksums are kept.
    pub(crate) async fn keep_for_changes(
        self: &Arc<Self>,
        uploader: &Uploader,
        name: &str,
        pieces: Pieces,
    ) -> Result<(), UploadSetError> {
        let (folder, limit) = (self.dir.incoming(), self.limits.deb_bytes);
        let received = tokio::task::spawn_blocking(move || receive(&folder, limit, pieces));
        let received = received.await.map_err(PublishError::from)??;
        let checksums = received.checksums().clone();
        let package = name.ends_with(".deb").then_some(received);
        let part = Part { checksums, package, arrived: (self.clock)() };
        self.upload_sets.keep(uploader, name, part, limit.saturating_mul(MOST_BYTES))
    }

    /// Reads the list of an upload: signed by whoever may sign packages.
    pub(crate) fn read_changes(&self, message: &str) -> Result<VerifiedChanges, UploadSetError> {
        Ok(VerifiedChanges::verify(message, &self.package_keys())?)
    }

    /// Forgets the files that wait for their list.
    pub(crate) fn forget_uploads(&self, uploader: &Uploader) {
        self.upload_sets.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uploader);
    }

    /// Publishes the packages of a list in one publication, all or none.
    pub(crate) async fn publish_changes(
        self: &Arc<Self>,
        uploader: &Uploader,
        suite: &SuiteName,
        changes: &VerifiedChanges,
    ) -> Result<Vec<Published>, UploadSetError> {
        // First of all they wait no longer, whatever is wrong with the list.
        let packages = self.upload_sets.take(uploader, changes.files())?;
        let component = component_of(changes.files())?;
        let rules = self.rules(&component, false);
        let checking = tokio::task::spawn_blocking(move || {
            let check = |(name, received): (String, Received)| match received.check(&rules) {
                Ok(checked) => Ok(checked.close()),
                Err(cause) => Err(UploadSetError::Package { name, cause }),
            };
            let checked = packages.into_iter().map(check).collect::<Result<Vec<_>, _>>()?;
            none_twice(&checked).map(|()| checked)
        });
        let checked = checking.await.map_err(PublishError::from)??;
        let packages: Vec<_> = checked.iter().map(|checked| checked.package.clone()).collect();
        let added = self.take_in(suite, &component, checked, OnConflict::Refuse).await?.added;
        Ok(packages.iter().map(|package| published(suite, package, added.contains(&package.sha256))).collect())
    }
}

/// The one component that all packages of a list go to.
fn component_of(files: &[ChangesFile]) -> Result<ComponentName, UploadSetError> {
    let mut packages = files.iter().filter(|file| file.name.ends_with(".deb")).map(|file| &file.component);
    let first = packages.next().ok_or(UploadSetError::NoPackage)?;
    if packages.all(|component| component == first) { Ok(first.clone()) } else { Err(UploadSetError::Components) }
}

/// Versions that dpkg takes for equal are the same version.
fn none_twice(checked: &[Waiting]) -> Result<(), UploadSetError> {
    let is_same = |a: &Package, b: &Package| {
        let same_version = a.name == b.name && a.architecture == b.architecture && a.version == b.version;
        same_version || a.filename == b.filename
    };
    for (index, one) in checked.iter().enumerate() {
        if checked.iter().take(index).any(|other| is_same(&one.package, &other.package)) {
            return Err(UploadSetError::Twice(format!("{} {}", one.package.name, one.package.version)));
        }
    }
    Ok(())
}
