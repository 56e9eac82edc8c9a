//! The device, as its fleet's server may know and change it.

use super::Outcome;
use anyhow::Result;
use fleet_protocol::update_document::UpdateDocument;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// Whoever sees and changes the device. Its calls may take long.
pub(crate) trait Device: Send + Sync {
    /// Where the device stands; none if nothing has changed since it stood as `before`.
    fn look(&self, before: Option<&Standing>) -> Result<Option<Standing>>;

    /// Carries out an update document. `interrupted` is when it was begun before, if its end is not known.
    fn apply(&self, document: &UpdateDocument, interrupted: Option<Timestamp>) -> Result<Applied>;
}

/// What the device says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    /// Installed packages, as the shadow `$package` has them: `{"hi":{"version":"1.3.0-1"}}`.
    pub(crate) packages: Map<String, Value>,
    /// Where the updater stands.
    pub(crate) updater: Map<String, Value>,
    /// Changes whenever the above may have changed.
    pub(crate) mark: String,
}

/// What came of an update document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Applied {
    /// Nothing was changed, and it may be tried again.
    NotNow(String),
    /// The device boots now; the next start says how it ends.
    GoesOn,
    Ended(Outcome),
}
