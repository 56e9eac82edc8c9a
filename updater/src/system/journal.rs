//! The journal of systemd.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether what this process writes to stderr goes into the journal (systemd.exec(5), `JOURNAL_STREAM`).
pub(crate) fn is_journal_stream() -> bool {
    let Ok(stderr) = Path::new("/proc/self/fd/2").metadata() else { return false };
    let told = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    told == format!("{}:{}", stderr.dev(), stderr.ino())
}
