//! What a listener is for.

use std::fmt;
use std::str::FromStr;

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Plain HTTP.
    Http,
    /// HTTPS.
    Https,
    /// MQTT over TLS.
    Mqtts,
    /// Metrics and health, over plain HTTP.
    Metrics,
}

impl Endpoint {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Mqtts => "mqtts",
            Self::Metrics => "metrics",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Endpoint {
    type Err = UnknownEndpoint;
    fn from_str(text: &str) -> Result<Self, UnknownEndpoint> {
        [Self::Http, Self::Https, Self::Mqtts, Self::Metrics]
            .into_iter()
            .find(|endpoint| endpoint.as_str() == text)
            .ok_or_else(|| UnknownEndpoint(text.to_owned()))
    }
}

/// A name of no listener.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not http, https, mqtts or metrics")]
pub struct UnknownEndpoint(String);
