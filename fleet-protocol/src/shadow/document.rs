//! A shadow as it is kept.

use super::attributes::{self, Attributes, Stamps};
use super::{Delta, MOST_STATE_BYTES, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The two sections of a shadow. An empty one is as one that is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sections<T: Default + PartialEq> {
    /// What the thing is to be.
    #[serde(skip_serializing_if = "is_empty")]
    pub desired: T,
    /// What the thing said that it is.
    #[serde(skip_serializing_if = "is_empty")]
    pub reported: T,
}

fn is_empty<T: Default + PartialEq>(section: &T) -> bool {
    *section == T::default()
}

/// What a shadow holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The attributes.
    pub state: Sections<Attributes>,
    /// When each was last written.
    pub metadata: Sections<Stamps>,
}

impl Document {
    /// The desired attributes that the thing has not reported so, and when each was written.
    #[must_use]
    pub fn difference(&self) -> (Attributes, Stamps) {
        let differing = attributes::difference(&self.state.desired, &self.state.reported);
        let stamps = attributes::stamps_for(&differing, &self.metadata.desired);
        (differing, stamps)
    }

    /// What devices are told of a difference, if there is one.
    pub(super) fn delta(&self, version: u64, now: i64, client_token: Option<&str>) -> Option<Delta> {
        let (state, metadata) = self.difference();
        let client_token = client_token.map(str::to_owned);
        (!state.is_empty()).then_some(Delta { version, timestamp: now, state, metadata, client_token })
    }

    pub(super) fn check_size(&self) -> Result<(), Refusal> {
        let text = serde_json::to_vec(&self.state).map_err(|_| Refusal::Internal)?;
        if text.len() > MOST_STATE_BYTES { Err(Refusal::TooLarge) } else { Ok(()) }
    }

    /// In the shadow of the installed packages, each has a version.
    pub(super) fn check_packages(&self) -> Result<(), Refusal> {
        let is_package = |value: &Value| matches!(value.get("version"), Some(Value::String(_)));
        match self.state.reported.iter().find(|(_, value)| !is_package(value)) {
            Some((name, _)) => Err(Refusal::NoPackage(name.clone())),
            None => Ok(()),
        }
    }
}

/// A shadow's document and how often it was changed. Without a document there is no such shadow; one that was deleted
/// keeps its version, so that a message about the old one is never taken for one about the new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shadow {
    /// Raised by each change; 0 before the first.
    pub version: u64,
    /// What it holds.
    pub document: Option<Document>,
}
