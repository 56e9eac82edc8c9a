//! Numbers for messages and connections, and names of clients.

use super::now;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A client id, shared by all who name the client.
pub(super) type ClientId = Arc<str>;

/// The time in milliseconds, and never the same twice, also after a restart.
pub(super) struct Ids(AtomicI64);

impl Ids {
    pub(super) fn new(highest: i64) -> Self {
        Self(AtomicI64::new(highest))
    }

    pub(super) fn next(&self) -> i64 {
        let now = now();
        let next = |last: i64| Some(now.max(last + 1));
        // It is always given a next one.
        let last = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).unwrap_or_else(|last| last);
        now.max(last + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_never_the_same_even_when_the_clock_goes_back() {
        let ahead = now() + 1_000_000;
        let ids = Ids::new(ahead);
        assert_eq!([ids.next(), ids.next()], [ahead + 1, ahead + 2]);
        let ids = Ids::new(0);
        let first = ids.next();
        assert!(first >= ahead - 1_000_000 && ids.next() > first);
    }
}
