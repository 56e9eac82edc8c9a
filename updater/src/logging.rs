//! Where the log goes: lines for whoever started the program, and fields for the journal of systemd.

use crate::system::{is_inside_own_unit, is_journal_stream};
use std::io::IsTerminal as _;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

/// What the journal keeps: also each state that an update enters, to be found as `DEBFLEET_STATE`.
const JOURNAL_LEVEL: &str = "info,debfleet_updater=debug";

/// Begins to log.
pub(crate) fn start() {
    let into_journal = is_journal_stream();
    let journal = (into_journal || is_inside_own_unit()).then(tracing_journald::layer).and_then(Result::ok);
    let journal = journal.map(|journal| journal.with_field_prefix(Some("DEBFLEET".into())));
    // The same twice would help nobody.
    let lines = (!into_journal || journal.is_none()).then(|| {
        let asked = EnvFilter::try_from_env("DEBFLEET_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
        lines.with_target(false).without_time().with_filter(asked)
    });
    let asked = EnvFilter::try_from_env("DEBFLEET_LOG").unwrap_or_else(|_| EnvFilter::new(JOURNAL_LEVEL));
    tracing_subscriber::registry().with(journal.map(|journal| journal.with_filter(asked))).with(lines).init();
}
