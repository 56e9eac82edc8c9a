//! What is asked of a shadow. Nothing of a request is believed before it is checked here.

use super::attributes::{self, Attributes, stamps_of};
use super::{MOST_REQUEST_BYTES, MOST_TOKEN_BYTES, Refusal, Stamp};
use serde::Serialize;
use serde_json::{Map, Value};

/// What happens to a section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Change {
    /// Nothing.
    #[default]
    Untouched,
    /// It is removed.
    Removed,
    /// These are merged into it.
    Merged(Attributes),
}

impl Change {
    fn is_untouched(&self) -> bool {
        *self == Self::Untouched
    }

    fn read(section: Option<Value>, wrong: Refusal) -> Result<Self, Refusal> {
        match section {
            None => Ok(Self::Untouched),
            Some(Value::Null) => Ok(Self::Removed),
            Some(Value::Object(change)) => {
                attributes::check(&change)?;
                Ok(Self::Merged(change))
            }
            Some(_) => Err(wrong),
        }
    }

    fn stamp(&self, now: i64) -> Option<Stamp> {
        match self {
            Self::Untouched => None,
            Self::Removed => Some(Stamp::At { timestamp: now }),
            Self::Merged(change) => Some(Stamp::Below(stamps_of(change, now))),
        }
    }
}

/// What happens to a shadow's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StatePatch {
    /// What is desired.
    #[serde(skip_serializing_if = "Change::is_untouched")]
    pub desired: Change,
    /// What is reported.
    #[serde(skip_serializing_if = "Change::is_untouched")]
    pub reported: Change,
}

impl StatePatch {
    fn read(mut state: Map<String, Value>) -> Result<Self, Refusal> {
        let desired = Change::read(state.remove("desired"), Refusal::DesiredNotObject)?;
        let reported = Change::read(state.remove("reported"), Refusal::ReportedNotObject)?;
        match state.into_iter().next() {
            Some((other, _)) => Err(Refusal::InvalidNode(other)),
            None => Ok(Self { desired, reported }),
        }
    }

    pub(super) fn to_value(&self) -> Value {
        to_value(self)
    }

    /// As the accepted message has them.
    pub(super) fn stamps(&self, now: i64) -> Value {
        let sections = [("desired", &self.desired), ("reported", &self.reported)];
        let stamps = sections.into_iter().filter_map(|(name, change)| {
            let stamp = change.stamp(now)?;
            Some((name.to_owned(), to_value(&stamp)))
        });
        Value::Object(stamps.collect())
    }
}

/// A request to change a shadow, or to make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateRequest {
    /// What is changed; none: everything is removed (`"state": null`).
    pub state: Option<StatePatch>,
    /// The version that the shadow must have, if that matters.
    pub version: Option<u64>,
    /// To be found again in the answer.
    pub client_token: Option<String>,
}

impl UpdateRequest {
    /// Reads a request.
    pub fn read(payload: &[u8]) -> Result<Self, Refusal> {
        let mut request = object(payload)?;
        let client_token = token(&request)?;
        let version = match request.remove("version") {
            None | Some(Value::Null) => None,
            Some(version) => Some(version.as_u64().ok_or(Refusal::InvalidVersion)?),
        };
        let state = match request.remove("state").ok_or(Refusal::NoState)? {
            Value::Null => None,
            Value::Object(state) => Some(StatePatch::read(state)?),
            _ => return Err(Refusal::StateNotObject),
        };
        Ok(Self { state, version, client_token })
    }

    /// Whether it leaves alone what is reported.
    #[must_use]
    pub fn is_of_desired_only(&self) -> bool {
        self.state.as_ref().is_some_and(|patch| patch.reported.is_untouched())
    }
}

/// A request that needs to say nothing: to get or delete a shadow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRequest {
    /// To be found again in the answer.
    pub client_token: Option<String>,
}

impl TokenRequest {
    /// Reads a request. An empty one is as good.
    pub fn read(payload: &[u8]) -> Result<Self, Refusal> {
        if payload.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self { client_token: token(&object(payload)?)? })
    }
}

/// The client token of a request that may be wrong otherwise, so that also its refusal carries it.
#[must_use]
pub fn client_token(payload: &[u8]) -> Option<String> {
    token(&object(payload).ok()?).ok().flatten()
}

fn object(payload: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if payload.len() > MOST_REQUEST_BYTES {
        return Err(Refusal::TooLarge);
    }
    let text = std::str::from_utf8(payload).map_err(|_| Refusal::NotUtf8)?;
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(Refusal::InvalidJson),
    }
}

fn token(request: &Map<String, Value>) -> Result<Option<String>, Refusal> {
    match request.get("clientToken") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(token)) if token.len() <= MOST_TOKEN_BYTES => Ok(Some(token.clone())),
        Some(_) => Err(Refusal::InvalidClientToken),
    }
}
/// Maps with texts as keys can always be written.
pub(super) fn to_value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
