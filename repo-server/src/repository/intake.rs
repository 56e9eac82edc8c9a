//! From a checked upload to its place in a suite.

use super::Repository;
use super::change::{Change, Placed};
use super::error::PublishError;
use super::incoming::{Checked, Pieces, receive};
use debian_formats::names::{ComponentName, SuiteName};
use fleet_protocol::publishing::Published;
use std::sync::Arc;
use std::time::Duration;

/// How often an upload is decided anew because another one, of the same package or to the same suite, was faster.
const ATTEMPTS: usize = 600;
/// How long to leave to another upload of the same file.
const PAUSE: Duration = Duration::from_millis(50);

/// What is to be done with an upload, as the pool and the suite are now.
enum Decision {
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
            let place = component.clone();
            let checked = tokio::task::spawn_blocking(move || {
                receive(&receiver.dir.incoming(), receiver.limits.deb_bytes, pieces)?.check(
                    &receiver.package_keys,
                    receiver.limits,
                    &place,
                )
            });
            let checked = checked.await??;
            repository.take_in(&suite, &component, checked).await
        })
        .await?
    }

    async fn take_in(
        self: &Arc<Self>,
        suite: &SuiteName,
        component: &ComponentName,
        checked: Checked,
    ) -> Result<Published, PublishError> {
        let package = checked.package.clone();
        let mut file = Some(checked);
        let mut attempts = 0;
        let created = loop {
            attempts += 1;
            let outcome = match self.decide(suite, component, &package).await? {
                Decision::Nothing => break false,
                Decision::Add(placed) => self.submit(suite, vec![Change::Add(placed)]).await,
                Decision::AddNew(placed) => self.add_new(suite, placed, &mut file).await,
            };
            match outcome {
                Ok(()) => break true,
                Err(error) if error.is_raced() && attempts < ATTEMPTS => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        };
        if created {
            tracing::info!(%suite, package = package.name, version = %package.version,
                architecture = package.architecture, signed_by = package.signed_by, "published");
        }
        Ok(Published {
            package: package.name.clone(),
            version: package.version.to_string(),
            architecture: package.architecture.clone(),
            suite: suite.to_string(),
            filename: package.filename.clone(),
            sha256: package.sha256.clone(),
            created,
        })
    }

    async fn decide(
        &self,
        suite: &SuiteName,
        component: &ComponentName,
        package: &Arc<super::store::Package>,
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

    /// `file` is taken when it was put into the pool, and stays there for the next attempt.
    async fn add_new(
        self: &Arc<Self>,
        suite: &SuiteName,
        placed: Placed,
        file: &mut Option<Checked>,
    ) -> Result<(), PublishError> {
        let filename = placed.package.filename.clone();
        if let Some(checked) = file.take() {
            if !self.store.begin_pool_write(&filename, (self.clock)()).await? {
                *file = Some(checked);
                return Err(PublishError::Busy { filename });
            }
            let target = self.dir.pool_file(&filename);
            if let Err(error) = tokio::task::spawn_blocking(move || checked.store(&target)).await? {
                self.give_up(&filename).await;
                return Err(error.into());
            }
        }
        let published = self.submit(suite, vec![Change::AddNew(placed)]).await;
        if published.as_ref().is_err_and(|error| !error.is_raced()) {
            self.give_up(&filename).await;
        }
        published
    }

    /// Removes a pool file whose publication did not come about.
    async fn give_up(&self, filename: &str) {
        if let Err(error) = self.remove_abandoned_pool_file(filename).await {
            // The note of the write stays, so the next start tries again.
            tracing::warn!(%error, "could not remove a pool file that was not published");
        }
    }

    /// Removes pool files whose publication did not come about, and then their notes.
    pub(super) async fn remove_abandoned_pool_files(&self) -> Result<(), PublishError> {
        for filename in self.store.abandoned_pool_writes().await? {
            self.remove_abandoned_pool_file(&filename).await?;
        }
        Ok(())
    }

    async fn remove_abandoned_pool_file(&self, filename: &str) -> Result<(), PublishError> {
        if self.store.pool_file(filename).await?.is_none() {
            durable_files::remove(&self.dir.pool_file(filename))?;
        }
        Ok(self.store.forget_pool_write(filename).await?)
    }
}
