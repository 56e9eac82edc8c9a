//! Publishing. The order is what makes it atomic: the pool file and the index files are on the disk first; then one
//! database transaction makes the package, its place in the suite and the signed Release visible together; then the
//! snapshot that readers see is exchanged. Killed anywhere, the server comes back with the old state or the new one.

use super::Repository;
use super::error::PublishError;
use super::generation::Generation;
use super::incoming::{Checked, Pieces, receive};
use super::indexes::{self, IndexedPackage};
use super::pool::COMPONENT;
use super::schedule;
use super::snapshot::SuiteSnapshot;
use super::store::{Addition, Package, StoreError};
use debian_formats::names::SuiteName;
use debian_formats::release::Release;
use fleet_protocol::publishing::Published;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// `Origin` and `Label` of every Release.
const ORIGIN: &str = "debfleet";

impl Repository {
    /// Takes in a package and publishes the suite with it. When this returns without an error, the package survives a
    /// power cut. It runs to its end even when the caller goes away.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        suite: &SuiteName,
        pieces: Pieces,
    ) -> Result<Published, PublishError> {
        let (repository, suite) = (self.clone(), suite.clone());
        tokio::spawn(async move {
            let receiver = repository.clone();
            let checked = tokio::task::spawn_blocking(move || {
                receive(&receiver.dir.incoming(), receiver.limits.deb_bytes, pieces)?
                    .check(&receiver.package_keys, receiver.limits)
            });
            let checked = checked.await??;
            repository.take_in(&suite, checked).await
        })
        .await?
    }

    async fn take_in(&self, suite: &SuiteName, checked: Checked) -> Result<Published, PublishError> {
        let _turn = self.publishing.lock().await;
        if self.suite(suite).is_none() {
            return Err(PublishError::UnknownSuite(suite.clone()));
        }
        let package = checked.package.clone();
        let created = match self.store.rival(&package).await? {
            Some(rival) if rival.sha256 != package.sha256 => {
                return Err(PublishError::Conflict {
                    name: rival.name,
                    version: rival.version.to_string(),
                    architecture: rival.architecture,
                    filename: rival.filename,
                });
            }
            Some(known) if self.store.suite_holds(suite, &known.sha256).await? => false,
            Some(known) => {
                self.publish_generation(suite, Some(Addition::Known(&known))).await?;
                true
            }
            None => {
                self.publish_new(suite, checked).await?;
                true
            }
        };
        if created {
            tracing::info!(%suite, package = package.name, version = %package.version,
                architecture = package.architecture, signed_by = package.signed_by, "published");
        }
        Ok(Published {
            package: package.name,
            version: package.version.to_string(),
            architecture: package.architecture,
            suite: suite.to_string(),
            filename: package.filename,
            sha256: package.sha256,
            created,
        })
    }

    async fn publish_new(&self, suite: &SuiteName, checked: Checked) -> Result<(), PublishError> {
        let package = checked.package.clone();
        self.store.begin_pool_write(&package.filename, (self.clock)()).await?;
        let target = self.dir.pool_file(&package.filename);
        let stored = tokio::task::spawn_blocking(move || checked.store(&target)).await?;
        let published = match stored {
            Ok(()) => self.publish_generation(suite, Some(Addition::New(&package))).await,
            Err(error) => Err(error.into()),
        };
        if published.is_err()
            && let Err(error) = self.remove_abandoned_pool_files().await
        {
            // The note of the write stays, so the next start tries again.
            tracing::warn!(%error, "could not remove a pool file that was not published");
        }
        published
    }

    /// Publishes a suite's content, with what is added to it, under a new signed Release. Only one may run at a time:
    /// the caller holds `publishing`.
    pub(super) async fn publish_generation(
        &self,
        suite: &SuiteName,
        addition: Option<Addition<'_>>,
    ) -> Result<(), PublishError> {
        let before = self.suite(suite);
        let last = before.as_ref().and_then(|snapshot| snapshot.newest());
        let number = last.map_or(1, |generation| generation.number() + 1);
        let date = schedule::next_date((self.clock)(), last.map(Generation::date));
        let wait = schedule::wait_for(date, (self.clock)());
        tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;

        let mut packages = self.store.suite_packages(suite).await?;
        if let Some(addition) = addition {
            packages.push(indexed(addition.package())?);
        }
        let (defaults, blobs) = (self.default_architectures.clone(), self.blobs.clone());
        let (suite_name, key, now) = (suite.clone(), self.key.clone(), (self.clock)());
        let signed = tokio::task::spawn_blocking(move || {
            let indexes = indexes::build(packages, &defaults).map_err(PublishError::Indexes)?;
            blobs.write(&indexes.blobs)?;
            let release = Release {
                origin: ORIGIN.to_owned(),
                suite: suite_name,
                date,
                valid_until: Some(schedule::valid_until(date)),
                architectures: indexes.architectures,
                components: vec![COMPONENT.to_owned()],
                files: indexes.files,
            };
            let signed = release.sign(&key, now).map_err(PublishError::Signing)?;
            Ok::<_, PublishError>((signed, indexes.blobs))
        });
        let (signed, blobs) = signed.await??;

        let generation = Generation::signed(number, &signed);
        let snapshot = match &before {
            Some(before) => before.successor(generation.clone(), blobs),
            None => SuiteSnapshot::new(vec![generation.clone()], blobs),
        };
        let keep_from = snapshot.oldest().unwrap_or(number);
        if let Err(error) = self.store.publish(suite, &generation, keep_from, addition, now).await {
            // Another process may have been faster, or the commit came about although its answer was lost: what
            // readers see, and what the next publication builds on, is what the database holds now.
            match self.read_suite(suite).await {
                Ok(snapshot) => self.show(suite, snapshot),
                Err(error) => tracing::warn!(%suite, %error, "could not read the suite again"),
            }
            return Err(error.into());
        }
        // From here on nothing can fail, so readers see what the database holds.
        self.show(suite, snapshot);
        Ok(())
    }

    /// Removes pool files whose publication did not come about, and then their notes.
    pub(super) async fn remove_abandoned_pool_files(&self) -> Result<(), PublishError> {
        for filename in self.store.abandoned_pool_writes().await? {
            durable_files::remove(&self.dir.pool_file(&filename))?;
            self.store.forget_pool_write(&filename).await?;
        }
        Ok(())
    }

    /// Signs those suites anew whose Release ends soon.
    pub(super) async fn renew_releases(&self, now: Timestamp) {
        for (suite, snapshot) in self.suites() {
            let _turn = self.publishing.lock().await;
            if snapshot.newest().is_some_and(|newest| !schedule::renewal_due(newest.valid_until(), now)) {
                continue;
            }
            match self.publish_generation(&suite, None).await {
                Ok(()) => tracing::info!(%suite, "signed the Release anew, before its Valid-Until"),
                Err(error) => tracing::error!(%suite, %error, "could not sign the Release anew; will try again"),
            }
        }
    }
}

fn indexed(package: &Package) -> Result<IndexedPackage, StoreError> {
    let unreadable = |what| move |_| StoreError::Row { what, value: package.filename.clone() };
    Ok(IndexedPackage {
        name: package.name.parse().map_err(unreadable("package"))?,
        version: package.version.clone(),
        architecture: package.architecture.parse().map_err(unreadable("architecture"))?,
        stanza: package.stanza.clone(),
    })
}
