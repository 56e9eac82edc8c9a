//! Work on what suites hold: withdrawing, promoting, phasing. Packages stay in the pool, and their bytes as they are.

use super::Repository;
use super::attempts::Attempts;
use super::change::{Change, Placed};
use super::error::PublishError;
use super::selection::Selection;
use debian_formats::names::SuiteName;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Repository {
    /// Makes an empty suite and publishes it; false if it is there already.
    pub(crate) async fn create_suite(self: &Arc<Self>, suite: &SuiteName) -> Result<bool, PublishError> {
        if !self.store.create_suite(suite, (self.clock)()).await? && self.suite(suite).is_some() {
            return Ok(false);
        }
        self.submit(suite, vec![]).await?;
        Ok(true)
    }

    /// Takes packages out of a suite; gives those that went.
    pub(crate) async fn withdraw(
        self: &Arc<Self>,
        suite: &SuiteName,
        selection: &Selection,
    ) -> Result<Vec<Placed>, PublishError> {
        let remove = |placed: &Placed, _: &BTreeSet<String>| Some(Change::Remove { package: placed.package.id() });
        self.change_selected(suite, suite, selection, remove).await
    }

    /// Takes packages of these SHA-256 out of a suite, all in one publication; gives how many it held.
    pub(crate) async fn withdraw_many(
        self: &Arc<Self>,
        suite: &SuiteName,
        packages: &BTreeSet<String>,
    ) -> Result<usize, PublishError> {
        self.suite(suite).ok_or_else(|| PublishError::UnknownSuite(suite.clone()))?;
        let mut attempts = Attempts::default();
        loop {
            let held = self.store.held_of(suite, packages).await?;
            let changes: Vec<Change> =
                held.iter().map(|package| Change::Remove { package: package.as_str().into() }).collect();
            let count = changes.len();
            if count == 0 {
                return Ok(0);
            }
            match self.submit(suite, changes).await {
                Ok(()) => return Ok(count),
                Err(error) => attempts.again(error).await?,
            }
        }
    }

    /// Puts packages of a suite into another one, exactly as they are; gives those that were not there before.
    pub(crate) async fn promote(
        self: &Arc<Self>,
        from: &SuiteName,
        to: &SuiteName,
        selection: &Selection,
    ) -> Result<Vec<Placed>, PublishError> {
        let add = |placed: &Placed, held: &BTreeSet<String>| {
            let is_new = !held.contains(&placed.package.sha256);
            is_new.then(|| Change::Add(Placed { phased: None, ..placed.clone() }))
        };
        self.change_selected(from, to, selection, add).await
    }

    /// Says to which share of the devices apt gives these packages (apt_preferences(5), Phased-Update-Percentage).
    pub(crate) async fn phase(
        self: &Arc<Self>,
        suite: &SuiteName,
        selection: &Selection,
        percentage: u8,
    ) -> Result<Vec<Placed>, PublishError> {
        let phased = Some(percentage).filter(|percentage| *percentage < 100);
        let phase = |placed: &Placed, _: &BTreeSet<String>| {
            (placed.phased != phased).then(|| Change::Phase(Placed { phased, ..placed.clone() }))
        };
        self.change_selected(suite, suite, selection, phase).await
    }

    /// What a suite holds of a selection.
    pub(crate) async fn held(&self, suite: &SuiteName, selection: &Selection) -> Result<Vec<Placed>, PublishError> {
        self.suite(suite).ok_or_else(|| PublishError::UnknownSuite(suite.clone()))?;
        let mut held = self.store.suite_packages_named(suite, &selection.name).await?;
        held.retain(|placed| selection.fits(placed));
        Ok(held)
    }

    /// Decides a change for each selected package of `from`, given the SHA-256 of what `to` holds of them, and publishes
    /// `to` with these; gives the packages that it changed.
    async fn change_selected(
        self: &Arc<Self>,
        from: &SuiteName,
        to: &SuiteName,
        selection: &Selection,
        decide: impl Fn(&Placed, &BTreeSet<String>) -> Option<Change>,
    ) -> Result<Vec<Placed>, PublishError> {
        let mut attempts = Attempts::default();
        loop {
            let selected = self.held(from, selection).await?;
            if selected.is_empty() {
                return Err(PublishError::NotInSuite { suite: from.clone(), selection: selection.clone() });
            }
            let held = self.held(to, selection).await?.into_iter().map(|it| it.package.sha256.clone()).collect();
            let decided = selected.into_iter().filter_map(|placed| Some((decide(&placed, &held)?, placed)));
            let (changes, changed): (Vec<Change>, Vec<Placed>) = decided.unzip();
            if changes.is_empty() {
                return Ok(changed);
            }
            match self.submit(to, changes).await {
                Ok(()) => return Ok(changed),
                Err(error) => attempts.again(error).await?,
            }
        }
    }
}
