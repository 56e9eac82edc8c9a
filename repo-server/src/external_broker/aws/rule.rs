//! What a rule of AWS IoT republishes, with `SELECT topic() AS topic, encode(*, 'base64') AS data`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// Where the rules republish to, each to its own.
pub(super) const TOPICS: &str = "debfleet/rules/+";

/// A message as it was published, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Republished {
    pub(super) topic: String,
    pub(super) data: Vec<u8>,
}

/// A message that no such rule makes.
#[derive(Debug, thiserror::Error)]
pub(super) enum RuleError {
    #[error("it is not what a rule with `SELECT topic() AS topic, encode(*, 'base64') AS data` makes: {0}")]
    Form(#[from] serde_json::Error),
    #[error("its `data` is not in base64: {0}")]
    Data(#[from] base64::DecodeError),
}

#[derive(Deserialize)]
struct Message {
    topic: String,
    data: String,
}

impl Republished {
    pub(super) fn read(payload: &[u8]) -> Result<Self, RuleError> {
        let Message { topic, data } = serde_json::from_slice(payload)?;
        Ok(Self { topic, data: STANDARD.decode(data)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rule_makes_is_read_and_nothing_else() {
        let made = br#"{"topic":"$aws/events/presence/connected/lamp-1","data":"eyJhIjoxfQ==","clientid":"N/A"}"#;
        let read = Republished::read(made).unwrap();
        assert_eq!((read.topic.as_str(), &*read.data), ("$aws/events/presence/connected/lamp-1", &b"{\"a\":1}"[..]));
        for bad in [&b"{}"[..], b"[]", b"", br#"{"topic":"a","data":"?"}"#, br#"{"topic":1,"data":""}"#] {
            assert!(Republished::read(bad).is_err());
        }
    }
}
