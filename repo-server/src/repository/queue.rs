//! Who publishes a suite, and with whom. A Release has a date of whole seconds, so many publications in one second
//! share one: whoever has the turn publishes for all that wait.

use super::change::Change;
use super::error::PublishError;
use debian_formats::names::SuiteName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// How many changes one publication takes in.
const MOST: usize = 100_000;

/// How a publication ended for one that waited for it.
#[derive(Debug)]
pub(super) enum Outcome {
    Done(Result<(), PublishError>),
    /// The changes together could not be published; on its own this one perhaps can.
    TryAlone,
}

/// The changes of one caller, which are published together or not at all.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) changes: Arc<[Change]>,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// Of one suite.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Held by whoever publishes.
    pub(super) turn: tokio::sync::Mutex<()>,
    waiting: Mutex<Vec<Request>>,
}

impl Queue {
    /// Gets in line.
    pub(super) fn join(&self, changes: Arc<[Change]>) -> oneshot::Receiver<Outcome> {
        let (answer, outcome) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Request { changes, answer });
        outcome
    }

    /// Those that can be published together: the first, and all that touch no package which one before it does.
    pub(super) fn take(&self) -> Vec<Request> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut batch, mut rest) = (Vec::new(), Vec::new());
        let (mut touched, mut count) = (BTreeSet::new(), 0);
        for request in waiting.drain(..) {
            let packages: Vec<String> = request.changes.iter().map(|change| change.package().to_owned()).collect();
            let fits = batch.is_empty() || count + packages.len() <= MOST;
            let is_free = rest.is_empty() && !packages.iter().any(|package| touched.contains(package));
            count += packages.len();
            touched.extend(packages);
            if fits && is_free { batch.push(request) } else { rest.push(request) }
        }
        *waiting = rest;
        batch
    }
}

/// Of all suites.
#[derive(Debug, Default)]
pub(super) struct Queues(Mutex<BTreeMap<SuiteName, Arc<Queue>>>);

impl Queues {
    pub(super) fn of(&self, suite: &SuiteName) -> Arc<Queue> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(suite.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removal(package: &str) -> Arc<[Change]> {
        [Change::Remove { package: package.into() }].into()
    }

    #[test]
    fn what_touches_the_same_package_waits_and_keeps_its_order() {
        let queue = Queue::default();
        let _outcomes: Vec<_> = ["a", "b", "a", "c"].iter().map(|package| queue.join(removal(package))).collect();
        let taken = |batch: Vec<Request>| -> Vec<String> {
            batch.iter().flat_map(|request| request.changes.iter().map(|change| change.package().to_owned())).collect()
        };
        assert_eq!(taken(queue.take()), ["a", "b"]);
        assert_eq!(taken(queue.take()), ["a", "c"]);
        assert!(queue.take().is_empty());
    }
}
