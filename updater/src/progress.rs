//! How far a download is, for a person at a terminal; nothing is drawn elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;

/// A bar for a file of so many bytes, of which some are here already.
pub(crate) fn download(size: u64, have: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(size);
    // The template is ours and right; the default one would do as well.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar.set_position(have);
    bar
}
