//! Sending packages to the server.

use crate::server::Server;
use anyhow::{Context, Result};
use debian_formats::names::SuiteName;
use fleet_protocol::publishing::{DEB_MEDIA_TYPE, Published, upload_path};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::time::Duration;
use ureq::SendBody;

/// Slower than this is a broken line, in bytes per second.
const SLOWEST: u64 = 10_000;

impl Server {
    /// Sends one package; the server's refusal is an error with its own words.
    pub(crate) fn upload(&self, path: &Path, suite: &SuiteName) -> Result<Published> {
        let open = || format!("could not read {}", path.display());
        let file = File::open(path).with_context(open)?;
        let size = file.metadata().with_context(open)?.len();
        let progress = progress(path, size);
        let mut body = progress.wrap_read(file.take(size));
        let request = self.agent().post(self.url(&upload_path(suite.as_str())));
        let answer = self
            .prepare(request)
            .config()
            .timeout_send_body(Some(Duration::from_secs(60 + size / SLOWEST)))
            .build()
            .header("content-type", DEB_MEDIA_TYPE)
            .header("content-length", size.to_string())
            // A refusal that needs no look at the package comes before it is sent.
            .header("expect", "100-continue")
            .send(SendBody::from_reader(&mut body));
        progress.finish_and_clear();
        self.answer(answer).with_context(|| format!("could not publish {} at {}", path.display(), self.address()))
    }
}

fn progress(path: &Path, size: u64) -> ProgressBar {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !std::io::stderr().is_terminal() {
        eprintln!("uploading {name}, {}", crate::report::size(size));
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("uploading {msg} [{bar:30}] {bytes}/{total_bytes}, {eta} left");
    let bar = ProgressBar::new(size).with_message(name);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
