//! From a checked upload to its place in a suite.

use super::Repository;
use super::change::{Change, Placed};
use super::error::PublishError;
use super::incoming::{Checked, Pieces, Rules, receive};
use super::store::{Package, PoolWrite};
use debian_formats::names::{ComponentName, SuiteName};
use fleet_protocol::publishing::Published;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How often an upload is decided anew because another one, of the same package or to the same suite, was faster.
pub(super) const ATTEMPTS: usize = 600;
/// How long to leave to another upload of the same file.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// Putting a file into the pool ends well before somebody else may take its note over.
const POOL_WRITE_TIME: Duration = Duration::from_secs(10 * 60);

/// Where an upload's file is.
enum Upload {
    Received(Checked),
    /// In the pool, or on its way there, with a note.
    Stored(PoolWrite),
}

/// What is to be done with an upload, as the pool and the suite are now.
pub(super) enum Decision {
    /// The suite holds it.
    Nothing,
    /// The pool holds it.
    Add(Placed),
    /// The pool does not hold it.
    AddNew(Placed),
}

impl Repository {
    /// Takes in a package and publishes the suite with it. When this returns without an error, the package survives a
    /// power cut. It runs to its end even when the caller goes away.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        suite: &SuiteName,
        component: &ComponentName,
        pieces: Pieces,
    ) -> Result<Published, PublishError> {
        let (repository, suite, component) = (self.clone(), suite.clone(), component.clone());
        tokio::spawn(async move {
            let receiver = repository.clone();
            let rules = receiver.rules(&component, false);
            let checked = tokio::task::spawn_blocking(move || {
                receive(&receiver.dir.incoming(), rules.limits.deb_bytes, pieces)?.check(&rules)
            });
            let checked = checked.await??;
            repository.take_in(&suite, &component, checked).await
        })
        .await?
    }

    /// What is demanded of uploads into a component.
    pub(super) fn rules(&self, component: &ComponentName, takes_unsigned: bool) -> Rules {
        let (package_keys, limits) = (self.package_keys(), self.limits);
        Rules { package_keys, limits, component: component.clone(), takes_unsigned }
    }

    async fn take_in(
        self: &Arc<Self>,
        suite: &SuiteName,
        component: &ComponentName,
        checked: Checked,
    ) -> Result<Published, PublishError> {
        let package = checked.package.clone();
        let mut upload = Upload::Received(checked);
        let placed = self.place(suite, component, &package, &mut upload).await;
        if placed.is_err()
            && let Upload::Stored(write) = upload
            && let Err(error) = self.remove_abandoned_pool_file(write).await
        {
            // The note of the write stays, so it is tried again later.
            tracing::warn!(%error, "could not remove a pool file that was not published");
        }
        let created = placed?;
        Ok(published(suite, &package, created))
    }

    /// Whether the suite did not hold it before.
    async fn place(
        self: &Arc<Self>,
        suite: &SuiteName,
        component: &ComponentName,
        package: &Arc<Package>,
        upload: &mut Upload,
    ) -> Result<bool, PublishError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let outcome = match self.decide(suite, component, package).await? {
                Decision::Nothing => return Ok(false),
                Decision::Add(placed) => self.submit(suite, vec![Change::Add(placed)]).await,
                Decision::AddNew(placed) => self.add_new(suite, placed, upload).await,
            };
            match outcome {
                Ok(()) => return Ok(true),
                Err(error) if error.is_raced() && attempts < ATTEMPTS => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) async fn decide(
        &self,
        suite: &SuiteName,
        component: &ComponentName,
        package: &Arc<Package>,
    ) -> Result<Decision, PublishError> {
        if self.suite(suite).is_none() {
            return Err(PublishError::UnknownSuite(suite.clone()));
        }
        let placed = |package| Placed { package, component: component.clone(), phased: None };
        match self.store.rival(package).await? {
            None => Ok(Decision::AddNew(placed(package.clone()))),
            Some(rival) if rival.sha256 != package.sha256 => Err(PublishError::Conflict {
                name: rival.name,
                version: rival.version.to_string(),
                architecture: rival.architecture,
                filename: rival.filename,
            }),
            Some(known) if self.store.suite_holds(suite, &known.sha256).await? => Ok(Decision::Nothing),
            Some(known) => Ok(Decision::Add(placed(Arc::new(known)))),
        }
    }

    /// Puts the file into the pool, unless an attempt before did, and publishes.
    async fn add_new(
        self: &Arc<Self>,
        suite: &SuiteName,
        placed: Placed,
        upload: &mut Upload,
    ) -> Result<(), PublishError> {
        let filename = placed.package.filename.clone();
        let write = match upload {
            Upload::Stored(write) => write.clone(),
            Upload::Received(_) => {
                let begun = self.store.begin_pool_write(&filename, &self.name, (self.clock)()).await?;
                let write = begun.ok_or_else(|| PublishError::Busy { filename: filename.clone() })?;
                // Since it was decided that the pool lacks it, somebody may have put it there; now nobody can.
                if self.store.pool_file(&filename).await?.is_some() {
                    self.store.forget_pool_write(&write).await?;
                    return Err(PublishError::Busy { filename });
                }
                if let Upload::Received(checked) = std::mem::replace(upload, Upload::Stored(write.clone())) {
                    self.put(&filename, checked).await?;
                }
                write
            }
        };
        self.submit(suite, vec![Change::AddNew(placed, write)]).await
    }

    async fn put(&self, filename: &str, checked: Checked) -> Result<(), PublishError> {
        match timeout(POOL_WRITE_TIME, self.storage.put_file(&filename.parse()?, checked.file)).await {
            Ok(stored) => Ok(stored?),
            Err(_) => Err(PublishError::TooSlow(filename.to_owned())),
        }
    }

    /// Removes pool files whose publication was begun before this time and did not come about, and then their notes.
    pub(super) async fn remove_abandoned_pool_files(&self, before: Timestamp) -> Result<(), PublishError> {
        let abandoned = self.store.pool_writes_before(before).await?;
        self.remove_pool_files(abandoned).await
    }

    /// The same for those that this process had begun before it started again. Where nobody else uses the database, that
    /// is all of them.
    pub(super) async fn remove_cut_off_pool_files(&self) -> Result<(), PublishError> {
        let cut_off = if self.is_shared {
            self.store.pool_writes_of(&self.name).await?
        } else {
            self.store.pool_writes_before(Timestamp::MAX).await?
        };
        self.remove_pool_files(cut_off).await
    }

    async fn remove_pool_files(&self, writes: Vec<PoolWrite>) -> Result<(), PublishError> {
        for write in writes {
            self.remove_abandoned_pool_file(write).await?;
        }
        Ok(())
    }

    /// A publication that is being committed right now holds its note in the database, so taking the note over waits for
    /// it, and then finds none.
    pub(super) async fn remove_abandoned_pool_file(&self, write: PoolWrite) -> Result<(), PublishError> {
        let Some(write) = self.store.take_over(write, (self.clock)()).await? else { return Ok(()) };
        if self.store.pool_file(&write.filename).await?.is_none()
            && let Err(error) = self.storage.delete(&write.filename.parse()?).await
        {
            // The file may stay until somebody uploads it again, or until the next maintenance; nobody has to wait for it.
            self.store.end_lease(&write).await?;
            return Err(error.into());
        }
        Ok(self.store.forget_pool_write(&write).await?)
    }
}

/// What is told of a package that the suite holds now.
pub(super) fn published(suite: &SuiteName, package: &Package, created: bool) -> Published {
    if created {
        tracing::info!(%suite, package = package.name, version = %package.version,
            architecture = package.architecture, signed_by = package.signed_by, "published");
    }
    Published {
        package: package.name.clone(),
        version: package.version.to_string(),
        architecture: package.architecture.clone(),
        suite: suite.to_string(),
        filename: package.filename.clone(),
        sha256: package.sha256.clone(),
        created,
    }
}
