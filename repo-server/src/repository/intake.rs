//! From checked packages to their places in a suite: one from an upload, or many that are published together.

use super::Repository;
use super::attempts::Attempts;
use super::change::{Change, Placed};
use super::error::PublishError;
use super::incoming::{Pieces, Rules, Waiting, receive};
use super::store::{Package, PoolName, PoolNames, PoolWrite};
use debian_formats::names::{ComponentName, SuiteName};
use durable_files::Unplaced;
use fleet_protocol::publishing::Published;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Putting files into the pool ends well before somebody else may take their notes over.
const POOL_WRITE_TIME: Duration = Duration::from_secs(10 * 60);

/// What is done when the repository holds a package's name and version with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnConflict {
    /// Nothing is published.
    Refuse,
    /// The others are published.
    LeaveOut,
}

/// How packages were taken in.
#[derive(Debug, Default)]
pub(super) struct TakenIn {
    /// The SHA-256 of those that the suite did not hold before.
    pub(super) added: BTreeSet<String>,
    /// How many it did.
    pub(super) held: usize,
    /// The file names of those left out, and why.
    pub(super) conflicts: Vec<(String, PublishError)>,
}

/// A package on its way in, and where its file is.
struct Arrival {
    package: Arc<Package>,
    place: Place,
}

enum Place {
    Received(Unplaced),
    /// In the pool, or on its way there, with a note.
    Stored(PoolWrite),
    /// What is left to do needs it no more.
    Published,
}

/// What is to be done, as the pool and the suite are now.
#[derive(Default)]
struct Plan {
    /// The pool does not hold these: indexes of arrivals.
    new: Vec<usize>,
    /// The pool holds these, by SHA-256, and the suite does not.
    missing: BTreeSet<String>,
    held: usize,
    /// Indexes of arrivals.
    conflicts: Vec<(usize, PublishError)>,
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
            let checked = checked.await??.close();
            let package = checked.package.clone();
            let taken = repository.take_in(&suite, &component, vec![checked], OnConflict::Refuse).await?;
            Ok(published(&suite, &package, taken.added.contains(&package.sha256)))
        })
        .await?
    }

    /// What is demanded of uploads into a component.
    pub(super) fn rules(&self, component: &ComponentName, takes_unsigned: bool) -> Rules {
        let (package_keys, limits) = (self.package_keys(), self.limits);
        Rules { package_keys, limits, component: component.clone(), takes_unsigned }
    }

    /// Publishes the suite with these packages, all of them in one publication.
    pub(super) async fn take_in(
        self: &Arc<Self>,
        suite: &SuiteName,
        component: &ComponentName,
        checked: Vec<Waiting>,
        on_conflict: OnConflict,
    ) -> Result<TakenIn, PublishError> {
        let arrival = |it: Waiting| Arrival { package: it.package, place: Place::Received(it.file) };
        let mut arrivals: Vec<Arrival> = checked.into_iter().map(arrival).collect();
        let mut attempts = Attempts::default();
        let taken = loop {
            match self.place(suite, component, &mut arrivals, on_conflict).await {
                Ok(taken) => break Ok(taken),
                Err(error) => {
                    if let Err(error) = attempts.again(error).await {
                        break Err(error);
                    }
                }
            }
        };
        for arrival in arrivals {
            if let Place::Stored(write) = arrival.place
                && let Err(error) = self.remove_abandoned_pool_file(write).await
            {
                // The note of the write stays, so it is tried again later.
                tracing::warn!(%error, "could not remove a pool file that was not published");
            }
        }
        taken
    }

    /// Decides, stores and publishes, once.
    async fn place(
        self: &Arc<Self>,
        suite: &SuiteName,
        component: &ComponentName,
        arrivals: &mut [Arrival],
        on_conflict: OnConflict,
    ) -> Result<TakenIn, PublishError> {
        let mut plan = self.plan(suite, arrivals).await?;
        if on_conflict == OnConflict::Refuse
            && let Some((_, conflict)) = plan.conflicts.pop()
        {
            return Err(conflict);
        }
        let missing = self.store.packages(&plan.missing).await?;
        self.store_files(arrivals, &plan.new).await?;
        let placed = |package| Placed { package, component: component.clone(), phased: None };
        let mut changes: Vec<Change> = Vec::with_capacity(plan.new.len() + missing.len());
        for arrival in plan.new.iter().filter_map(|index| arrivals.get(*index)) {
            if let Place::Stored(write) = &arrival.place {
                changes.push(Change::AddNew(placed(arrival.package.clone()), write.clone()));
            }
        }
        changes.extend(missing.into_iter().map(|package| Change::Add(placed(Arc::new(package)))));
        let added = changes.iter().map(|change| change.package().to_owned()).collect();
        if !changes.is_empty() {
            self.submit(suite, changes).await?;
        }
        for index in plan.new {
            if let Some(arrival) = arrivals.get_mut(index) {
                arrival.place = Place::Published;
            }
        }
        let name =
            |index: usize| arrivals.get(index).map(|arrival| arrival.package.filename.clone()).unwrap_or_default();
        let conflicts = plan.conflicts.into_iter().map(|(index, error)| (name(index), error)).collect();
        Ok(TakenIn { added, held: plan.held, conflicts })
    }

    async fn plan(&self, suite: &SuiteName, arrivals: &[Arrival]) -> Result<Plan, PublishError> {
        if self.suite(suite).is_none() {
            return Err(PublishError::UnknownSuite(suite.clone()));
        }
        let packages: Vec<&Package> = arrivals.iter().map(|arrival| &*arrival.package).collect();
        let (mut plan, known) = decide(self.store.pool_names(&packages).await?, &packages);
        let held = self.store.held_of(suite, &known).await?;
        plan.held = held.len();
        plan.missing = known.difference(&held).cloned().collect();
        Ok(plan)
    }

    /// Puts those of these that no attempt before did into the pool, each with a note.
    async fn store_files(&self, arrivals: &mut [Arrival], new: &[usize]) -> Result<(), PublishError> {
        let is_received = |arrival: &Arrival| matches!(arrival.place, Place::Received(_));
        let new: Vec<usize> =
            new.iter().copied().filter(|index| arrivals.get(*index).is_some_and(is_received)).collect();
        let filenames: Vec<&str> =
            new.iter().filter_map(|index| Some(arrivals.get(*index)?.package.filename.as_str())).collect();
        let writes = self.store.begin_pool_writes(&filenames, &self.name, (self.clock)()).await?;
        let mut files = Vec::with_capacity(writes.len());
        for (index, write) in new.into_iter().zip(writes) {
            let filename = write.filename.clone();
            if let Some(arrival) = arrivals.get_mut(index)
                && let Place::Received(file) = std::mem::replace(&mut arrival.place, Place::Stored(write))
            {
                files.push((filename, file));
            }
        }
        let Some((first, _)) = files.first() else { return Ok(()) };
        let first = first.clone();
        let keyed = files.into_iter().map(|(filename, file)| Ok((filename.parse()?, file)));
        let files = keyed.collect::<Result<Vec<_>, PublishError>>()?;
        match timeout(POOL_WRITE_TIME, self.storage.put_files(files)).await {
            Ok(stored) => Ok(stored?),
            Err(_) => Err(PublishError::TooSlow(first)),
        }
    }
}

/// What is to be done with these packages, and the SHA-256 of those that the pool holds.
fn decide(mut pool: PoolNames, packages: &[&Package]) -> (Plan, BTreeSet<String>) {
    let (mut plan, mut known, mut arrived) = (Plan::default(), BTreeSet::new(), BTreeSet::new());
    for (index, package) in packages.iter().enumerate() {
        match pool.rival(package) {
            // A package that comes twice is new once.
            Some(rival) if rival.sha256 == package.sha256 && arrived.contains(&package.sha256) => {}
            Some(rival) if rival.sha256 == package.sha256 => drop(known.insert(package.sha256.clone())),
            Some(rival) => {
                let conflict = PublishError::Conflict {
                    name: rival.name.clone(),
                    version: rival.version.to_string(),
                    architecture: rival.architecture.clone(),
                    filename: rival.filename.clone(),
                };
                plan.conflicts.push((index, conflict));
            }
            None => {
                pool.add(PoolName::of(package));
                arrived.insert(package.sha256.clone());
                plan.new.push(index);
            }
        }
    }
    (plan, known)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, content: &str) -> Package {
        Package {
            sha256: content.to_owned(),
            name: name.to_owned(),
            version: version.parse().unwrap(),
            architecture: "all".to_owned(),
            filename: format!("pool/main/{name}_{version}_all.deb"),
            size: 1,
            stanza: String::new(),
            signed_by: String::new(),
            paths: String::new(),
        }
    }

    #[test]
    fn what_the_pool_holds_is_known_what_differs_conflicts_and_what_comes_twice_is_new_once() {
        let mut pool = PoolNames::default();
        pool.add(PoolName::of(&package("hi", "1.0", "a")));
        pool.add(PoolName::of(&package("ho", "1.0", "b")));
        let coming = [
            package("hi", "1.0", "a"),
            package("ho", "1.00", "c"),
            package("new", "1", "d"),
            package("new", "1", "d"),
            package("new", "1.0-0", "e"),
            package("new", "01", "f"),
        ];
        let (plan, known) = decide(pool, &coming.iter().collect::<Vec<_>>());
        assert_eq!((plan.new, known), (vec![2, 4], BTreeSet::from(["a".to_owned()])));
        let conflicts: Vec<_> = plan.conflicts.iter().map(|(index, error)| (*index, error.to_string())).collect();
        assert_eq!(conflicts.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 5]);
        assert!(
            conflicts[0].1.contains("already holds ho 1.0 (all) as pool/main/ho_1.0_all.deb"),
            "{}",
            conflicts[0].1
        );
    }
}
