//! Publishing. The order is what makes it atomic: the pool file and the index blocks are on the disk first; then one
//! database transaction makes the packages, their places in the suite and the signed Release visible together; then the
//! snapshot that readers see is exchanged. Killed anywhere, the server comes back with the old state or the new one.

use super::Repository;
use super::blocks::Blocks;
use super::change::{self, Change};
use super::error::PublishError;
use super::generation::Generation;
use super::index::{self, IndexFiles, Parts};
use super::keys::RepositoryKeys;
use super::queue::{Outcome, Queue};
use super::schedule;
use super::snapshot::SuiteSnapshot;
use super::store::Step;
use debian_formats::Architecture;
use debian_formats::names::{ComponentName, SuiteName};
use debian_formats::release::Release;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot::error::TryRecvError;

/// `Origin` and `Label` of every Release.
const ORIGIN: &str = "debfleet";

impl Repository {
    /// Publishes changes of a suite, with those of others that wait. When this returns without an error, they survive a
    /// power cut. It runs to its end even when the caller goes away. [`PublishError::is_raced`]: what the changes were
    /// decided on may no longer hold; decide again.
    pub(super) async fn submit(self: &Arc<Self>, suite: &SuiteName, changes: Vec<Change>) -> Result<(), PublishError> {
        let (repository, suite, changes) = (self.clone(), suite.clone(), changes.into());
        tokio::spawn(async move { repository.take_turn(&suite, changes).await }).await?
    }

    async fn take_turn(&self, suite: &SuiteName, changes: Arc<[Change]>) -> Result<(), PublishError> {
        // A snapshot is only signed anew.
        if !changes.is_empty() && self.store.is_frozen(suite).await? {
            return Err(PublishError::Frozen(suite.clone()));
        }
        let queue = self.queues.of(suite);
        let mut outcome = queue.join(changes.clone());
        let _turn = queue.turn.lock().await;
        loop {
            match outcome.try_recv() {
                Ok(Outcome::Done(published)) => return published,
                Ok(Outcome::TryAlone) | Err(TryRecvError::Closed) => {
                    self.wait_for_date(suite).await;
                    return self.publish_generation(suite, vec![changes]).await;
                }
                // Whoever had the turn before took others' changes, not these.
                Err(TryRecvError::Empty) => self.lead(suite, &queue).await,
            }
        }
    }

    /// Publishes for those that wait. The caller holds the turn.
    async fn lead(&self, suite: &SuiteName, queue: &Queue) {
        // Others get in line meanwhile.
        self.wait_for_date(suite).await;
        let batch = queue.take();
        let changes = batch.iter().map(|request| request.changes.clone()).collect();
        let published = self.publish_generation(suite, changes).await;
        let is_alone = batch.len() == 1;
        let mut failure = published.err();
        let failed = failure.is_some();
        for request in batch {
            let told = match failure.take_if(|_| is_alone) {
                Some(error) => Outcome::Done(Err(error)),
                None if failed => Outcome::TryAlone,
                None => Outcome::Done(Ok(())),
            };
            // Who went away needs no answer.
            let _ = request.answer.send(told);
        }
    }

    pub(super) async fn wait_for_date(&self, suite: &SuiteName) {
        let last = self.suite(suite).and_then(|snapshot| snapshot.newest().map(Generation::date));
        let now = (self.clock)();
        let wait = schedule::wait_for(schedule::next_date(now, last), now);
        tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
    }

    /// Publishes a suite's content after these changes under a new signed Release. Only one may run at a time: the
    /// caller holds the suite's turn.
    pub(super) async fn publish_generation(
        &self,
        suite: &SuiteName,
        changes: Vec<Arc<[Change]>>,
    ) -> Result<(), PublishError> {
        let parts = self.parts_of(suite).await?;
        let parts = self.compactions.fold_in(suite, parts);
        let (parts, changes) = tokio::task::spawn_blocking(move || {
            change::apply(&parts, &changes).map(|parts| (parts, changes)).map_err(PublishError::Indexes)
        })
        .await??;
        self.publish_parts(suite, parts, Step::Changes(&changes)).await
    }

    /// What a suite's indexes are made of now.
    pub(super) async fn parts_of(&self, suite: &SuiteName) -> Result<Parts, PublishError> {
        self.refresh(suite).await?;
        let shown = self.suite(suite);
        match shown.as_ref().and_then(|shown| shown.newest()) {
            None => Ok(Parts::new()),
            Some(newest) if newest.is_complete() => Ok(newest.parts().clone()),
            // Without all its blocks it does not tell what the suite holds.
            Some(_) => self.rebuilt(suite).await,
        }
    }

    /// Publishes a suite with these indexes; `step` is how what it holds differs from before.
    pub(super) async fn publish_parts(
        &self,
        suite: &SuiteName,
        parts: Parts,
        step: Step<'_>,
    ) -> Result<(), PublishError> {
        let before = self.suite(suite);
        let last = before.as_ref().and_then(|snapshot| snapshot.newest());
        let number = last.map_or(1, |generation| generation.number() + 1);
        let now = (self.clock)();
        let work = Work {
            suite: suite.clone(),
            number,
            date: schedule::next_date(now, last.map(Generation::date)),
            now,
            parts,
            known: last.map(|last| last.parts().clone()).unwrap_or_default(),
            files: last.map(|last| last.files().clone()).unwrap_or_default(),
            architectures: self.default_architectures.clone(),
            blocks: self.blocks.clone(),
            keys: self.keys(),
        };
        let generation = Arc::new(tokio::task::spawn_blocking(move || work.generation()).await??);
        let snapshot = match &before {
            Some(before) => before.successor(generation.clone()),
            None => SuiteSnapshot::new(vec![generation.clone()]),
        };
        let keep_from = snapshot.oldest().unwrap_or(number);
        if let Err(error) = self.store.publish(suite, &generation, keep_from, step, now).await {
            // Another process may have been faster, or the commit came about although its answer was lost: what
            // readers see, and what the next publication builds on, is what the database holds now.
            match self.read_suite(suite).await {
                Ok(snapshot) if snapshot.newest().is_some() => self.show(suite, snapshot),
                // It was about to be made.
                Ok(_) => {}
                Err(error) => tracing::warn!(%suite, %error, "could not read the suite again"),
            }
            return Err(error.into());
        }
        // From here on nothing can fail, so readers see what the database holds.
        self.show(suite, snapshot);
        self.published.notify_one();
        Ok(())
    }

    /// Reads a suite again that another process has published.
    pub(super) async fn refresh(&self, suite: &SuiteName) -> Result<(), PublishError> {
        if self.shown_number(suite) != self.store.newest_generation(suite).await? {
            let snapshot = self.read_suite(suite).await?;
            self.show(suite, snapshot);
        }
        Ok(())
    }

    /// Signs those suites anew whose Release ends soon, or lacks the signature of a key that signs now.
    pub(crate) async fn renew_releases(self: &Arc<Self>) {
        let (now, keys) = ((self.clock)(), self.keys());
        let is_good = |newest: &Generation| {
            !schedule::renewal_due(newest.valid_until(), now) && keys.all_signed(newest.inrelease())
        };
        for (suite, snapshot) in self.suites() {
            if !snapshot.newest().is_some_and(is_good) {
                self.sign_suite_anew(&suite).await;
            }
        }
    }

    /// Signs every suite anew, with the keys there are now.
    pub(crate) async fn sign_anew(self: &Arc<Self>) {
        for (suite, _) in self.suites() {
            self.sign_suite_anew(&suite).await;
        }
    }

    async fn sign_suite_anew(self: &Arc<Self>, suite: &SuiteName) {
        match self.submit(suite, vec![]).await {
            Ok(()) => tracing::info!(%suite, "signed the Release anew"),
            Err(error) => tracing::error!(%suite, %error, "could not sign the Release anew; will try again"),
        }
    }
}

/// All that a new generation is made from.
struct Work {
    suite: SuiteName,
    number: i64,
    date: Timestamp,
    now: Timestamp,
    parts: Parts,
    /// Those of the last generation, whose blocks are stored.
    known: Parts,
    /// Those of the last generation.
    files: IndexFiles,
    architectures: Vec<Architecture>,
    blocks: Blocks,
    keys: Arc<RepositoryKeys>,
}

impl Work {
    /// Stores what is new, and signs. Blocks.
    fn generation(self) -> Result<Generation, PublishError> {
        let blocks = |parts: &Parts| parts.values().flat_map(|part| part.blocks.clone()).collect::<Vec<_>>();
        let stored: BTreeSet<String> = blocks(&self.known).iter().map(|block| block.id.clone()).collect();
        for block in blocks(&self.parts).iter().filter(|block| !stored.contains(&block.id)) {
            self.blocks.write(block)?;
        }
        let main = [ComponentName::main()];
        let files = index::build(&self.parts, (&main, &self.architectures), &self.files);
        let files = files.map_err(PublishError::Indexes)?;
        let release = Release {
            origin: ORIGIN.to_owned(),
            suite: self.suite,
            date: self.date,
            valid_until: Some(schedule::valid_until(self.date)),
            architectures: files.architectures.clone(),
            components: files.components.iter().map(ToString::to_string).collect(),
            files: files.listed.clone(),
        };
        let signed = release.sign(&self.keys.signing, self.now).map_err(PublishError::Signing)?;
        Ok(Generation::signed(self.number, &signed, self.parts, files))
    }
}
