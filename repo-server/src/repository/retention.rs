//! What a suite keeps of a package's versions, and when a package that no suite holds leaves the pool. The decision is
//! pure; what is done about it stands below.

use super::Repository;
use super::change::Change;
use super::error::PublishError;
use super::schedule;
use crate::audit::{Actor, Audit, Entry};
use debian_formats::Version;
use debian_formats::names::SuiteName;
use fleet_protocol::audit::Outcome;
use fleet_protocol::suites::Retention;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A package in a suite, as far as retention goes.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) sha256: Arc<str>,
    pub(super) name: String,
    pub(super) architecture: String,
    pub(super) version: Version,
    pub(super) added_at: Timestamp,
}

/// Those that go: what is beyond the newest versions of the same name and architecture that are kept, and what is older
/// than it is kept. The newest version always stays.
fn expired(held: Vec<Held>, retention: Retention, now: Timestamp) -> Vec<Held> {
    let mut packages: BTreeMap<(String, String), Vec<Held>> = BTreeMap::new();
    for package in held {
        packages.entry((package.name.clone(), package.architecture.clone())).or_default().push(package);
    }
    let oldest =
        (retention.days > 0).then(|| now.saturating_sub(SignedDuration::from_hours(24 * i64::from(retention.days))));
    let mut gone = Vec::new();
    for mut versions in packages.into_values() {
        versions.sort_by(|a, b| b.version.cmp(&a.version));
        for (rank, package) in (0u32..).zip(versions).skip(1) {
            let is_surplus = retention.versions > 0 && rank >= retention.versions;
            let is_old =
                oldest.as_ref().is_some_and(|oldest| oldest.as_ref().is_ok_and(|oldest| package.added_at < *oldest));
            if is_surplus || is_old {
                gone.push(package);
            }
        }
    }
    gone
}

impl Repository {
    /// What a suite keeps.
    pub(crate) async fn retention(&self, suite: &SuiteName) -> Result<Retention, PublishError> {
        self.store.retention(suite).await?.ok_or_else(|| PublishError::UnknownSuite(suite.clone()))
    }

    /// Sets what a suite keeps; what goes is [withdrawn](Self::withdraw_expired) later.
    pub(crate) async fn set_retention(&self, suite: &SuiteName, retention: Retention) -> Result<(), PublishError> {
        if self.store.is_frozen(suite).await? {
            return Err(PublishError::Frozen(suite.clone()));
        }
        Ok(self.store.set_retention(suite, retention).await?)
    }

    /// Withdraws what a suite does not keep and no device has installed.
    pub(crate) async fn withdraw_expired(
        self: &Arc<Self>,
        suite: &SuiteName,
        actor: Actor,
        audit: &Audit,
    ) -> Result<(), PublishError> {
        let retention = self.retention(suite).await?;
        if retention.is_unlimited() {
            return Ok(());
        }
        let mut gone = expired(self.store.held(suite).await?, retention, (self.clock)());
        if !gone.is_empty() {
            let names = gone.iter().map(|package| package.name.clone()).collect();
            let installed = self.store.installed(names).await?;
            gone.retain(|package| !installed.has(&package.name, &package.version));
        }
        let count = gone.len();
        if count > 0 {
            let changes = gone.into_iter().map(|package| Change::Remove { package: package.sha256 }).collect();
            self.submit(suite, changes).await?;
            let detail = format!("{count} packages that the suite does not keep");
            let (action, subject) = ("suite.withdraw", suite.to_string());
            audit.record(Entry { actor, action, subject, detail, outcome: Outcome::Done }).await;
            tracing::info!(%suite, count, "withdrew packages that the suite does not keep");
        }
        Ok(())
    }

    /// Withdraws what suites do not keep, and removes packages that no suite holds and no index within its lifetime
    /// names.
    pub(super) async fn clear_out(self: &Arc<Self>, audit: &Audit) {
        for suite in self.suite_names() {
            match self.withdraw_expired(&suite, Actor::server(), audit).await {
                // A snapshot keeps all.
                Ok(()) | Err(PublishError::Frozen(_)) => {}
                Err(error) => tracing::warn!(%suite, %error, "could not withdraw what the suite does not keep"),
            }
        }
        if let Err(error) = self.collect_garbage().await {
            tracing::warn!(%error, "could not remove packages that no suite holds; will try again");
        }
    }

    async fn collect_garbage(&self) -> Result<(), PublishError> {
        let now = (self.clock)();
        self.store.note_unlisted(now).await?;
        // Whatever named it was published before it was found unlisted.
        for package in self.store.unlisted_before(now - schedule::LIFETIME).await? {
            if let Some(write) = self.store.forget_package(&package, &self.name, now).await? {
                tracing::info!(filename = package.filename, "removed a package that no suite holds");
                self.remove_abandoned_pool_file(write).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(name: &str, version: &str, days_ago: i64) -> Held {
        Held {
            sha256: format!("{name} {version}").as_str().into(),
            name: name.to_owned(),
            architecture: "all".to_owned(),
            version: version.parse().unwrap(),
            added_at: now() - SignedDuration::from_hours(24 * days_ago),
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn gone(versions: u32, days: u32) -> Vec<String> {
        let suite = vec![
            held("a", "1.9", 9),
            held("a", "1.10", 8),
            held("a", "2~rc1", 3),
            held("a", "2", 1),
            held("b", "1", 99),
        ];
        let gone = expired(suite, Retention { versions, days }, now());
        let mut gone: Vec<String> = gone.iter().map(|package| package.sha256.to_string()).collect();
        gone.sort();
        gone
    }

    #[test]
    fn the_newest_versions_stay_as_dpkg_compares_them() {
        assert_eq!(gone(0, 0), [""; 0]);
        assert_eq!(gone(1, 0), ["a 1.10", "a 1.9", "a 2~rc1"]);
        assert_eq!(gone(3, 0), ["a 1.9"]);
        assert_eq!(gone(9, 0), [""; 0]);
    }

    #[test]
    fn old_versions_go_but_never_the_newest() {
        assert_eq!(gone(0, 5), ["a 1.10", "a 1.9"], "b 1 is old, and the newest");
        assert_eq!(gone(3, 5), ["a 1.10", "a 1.9"]);
        assert_eq!(gone(2, 100), ["a 1.10", "a 1.9"]);
    }
}
