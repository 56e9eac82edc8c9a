//! The log on stderr: as text for people or as JSON for collectors, at a level that can be changed while the server
//! runs.

use std::fmt;
use std::io::IsTerminal as _;
use std::str::FromStr;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt as output, reload};

/// What is logged when nobody says otherwise.
const DEFAULT_FILTER: &str = "info,sqlx::postgres::notice=warn,object_store=warn";

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object in each line.
    Json,
}

impl FromStr for LogFormat {
    type Err = UnknownFormat;
    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(UnknownFormat(other.to_owned())),
        }
    }
}

/// A format that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("log-format {0:?} is not known; write text or json")]
pub struct UnknownFormat(String);

/// What to log: a level, or levels for parts, in `RUST_LOG`'s form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// `RUST_LOG`, or else the usual.
    #[must_use]
    pub fn from_environment() -> Self {
        let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok().and_then(|text| text.parse().ok());
        asked.unwrap_or_else(|| Self(DEFAULT_FILTER.to_owned()))
    }

    fn directives(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl FromStr for LogFilter {
    type Err = WrongFilter;
    fn from_str(text: &str) -> Result<Self, WrongFilter> {
        let wrong = |reason: String| WrongFilter { text: text.to_owned(), reason };
        if text.trim().is_empty() {
            return Err(wrong("it is empty".to_owned()));
        }
        EnvFilter::try_new(text).map_err(|error| wrong(error.to_string()))?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Levels that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("log {text:?} cannot be understood ({reason}); write a level such as info or debug, or info,access=debug")]
pub struct WrongFilter {
    text: String,
    reason: String,
}

/// Changes what is logged.
#[derive(Debug, Clone)]
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

impl LogControl {
    pub(crate) fn set(&self, filter: &LogFilter) {
        // Fails only when the log is gone, and then there is nowhere to say so.
        let _ = self.0.reload(filter.directives());
    }
}

/// Begins to log.
#[must_use]
pub fn start(format: LogFormat, filter: &LogFilter) -> LogControl {
    let (filter, handle) = reload::Layer::new(filter.directives());
    let lines = match format {
        LogFormat::Text => output::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .boxed(),
        LogFormat::Json => {
            output::layer().json().flatten_event(true).with_span_list(false).with_writer(std::io::stderr).boxed()
        }
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    LogControl(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_settings_of_the_log_are_named() {
        assert!("info,access=debug".parse::<LogFilter>().is_ok());
        for bad in ["", " ", "access=lout", "=x="] {
            let error = bad.parse::<LogFilter>().unwrap_err().to_string();
            assert!(error.contains("access=debug"), "{bad:?}: {error}");
        }
        assert!("xml".parse::<LogFormat>().unwrap_err().to_string().contains("\"xml\""));
    }
}
