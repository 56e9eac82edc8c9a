//! Deciding again when another publication was faster.

use super::error::PublishError;
use std::time::Duration;

/// How often something is decided again.
const MOST: usize = 600;
/// How long to leave to the faster one.
const PAUSE: Duration = Duration::from_millis(50);

/// Counts how often one thing was tried.
#[derive(Debug, Default)]
pub(super) struct Attempts(usize);

impl Attempts {
    /// Returns after a pause if the failure was a lost race, and gives the failure back otherwise.
    pub(super) async fn again(&mut self, failure: PublishError) -> Result<(), PublishError> {
        self.0 += 1;
        if !failure.is_raced() || self.0 >= MOST {
            return Err(failure);
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}
