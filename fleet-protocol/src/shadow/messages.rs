//! What the service says of a shadow, over MQTT and as the bodies of its REST answers.

use super::attributes::{Attributes, Stamps};
use super::document::{Document, Sections};
use super::request::{StatePatch, to_value};
use crate::names::ShadowName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A request that was carried out: of an update only what it wrote, of a get the whole shadow with the difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accepted {
    /// The attributes; null where all of them were removed.
    pub state: Value,
    /// When each was written.
    pub metadata: Value,
    /// The shadow's version.
    pub version: u64,
    /// When this was said.
    pub timestamp: i64,
    /// As the request had it.
    #[serde(rename = "clientToken", skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
}

impl Accepted {
    /// Of an update.
    pub(super) fn of_patch(patch: Option<&StatePatch>, version: u64, now: i64, client_token: Option<&str>) -> Self {
        let (state, metadata) = match patch {
            Some(patch) => (patch.to_value(), patch.stamps(now)),
            None => (Value::Null, Value::Object(Attributes::new())),
        };
        Self { state, metadata, version, timestamp: now, client_token: client_token.map(str::to_owned) }
    }

    /// Of a get.
    pub(super) fn of_document(document: &Document, version: u64, now: i64, client_token: Option<&str>) -> Self {
        let mut state = to_value(&document.state);
        let (difference, _) = document.difference();
        if let (Value::Object(state), false) = (&mut state, difference.is_empty()) {
            state.insert("delta".to_owned(), Value::Object(difference));
        }
        let metadata = to_value(&document.metadata);
        Self { state, metadata, version, timestamp: now, client_token: client_token.map(str::to_owned) }
    }
}

/// A shadow that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Its last version, which it keeps.
    pub version: u64,
    /// When.
    pub timestamp: i64,
    /// As the request had it.
    #[serde(rename = "clientToken", default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
}

/// What is desired of a thing and not reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// The shadow's version.
    pub version: u64,
    /// When this was said.
    pub timestamp: i64,
    /// The desired attributes that differ.
    pub state: Attributes,
    /// When each was written.
    pub metadata: Stamps,
    /// As the request that changed the shadow had it.
    #[serde(rename = "clientToken", default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
}

/// A shadow before and after an update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Documents {
    /// Before; empty where there was none.
    pub previous: Snapshot,
    /// After.
    pub current: Snapshot,
    /// When this was said.
    pub timestamp: i64,
    /// As the request had it.
    #[serde(rename = "clientToken", default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
}

/// A shadow at one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The attributes.
    pub state: Sections<Attributes>,
    /// When each was written.
    pub metadata: Sections<Stamps>,
    /// The version.
    pub version: u64,
}

/// A request that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rejected {
    /// What kind of error, as HTTP has it.
    pub code: u16,
    /// What is wrong.
    pub message: String,
    /// When this was said.
    pub timestamp: i64,
    /// As the request had it.
    #[serde(rename = "clientToken", default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
}

/// A page of the names of a thing's named shadows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NamedShadows {
    /// The names, in order.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub results: Vec<ShadowName>,
    /// Where the next page begins, if there is one.
    #[serde(rename = "nextToken", default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
    /// When this was said, in seconds since the epoch.
    pub timestamp: i64,
}
