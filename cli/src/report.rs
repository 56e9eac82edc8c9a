//! What is said to a person, on stderr; and results, on stdout.

use anyhow::{Context, Result};
use std::io::Write;

/// Prints an error and its causes, each once: some errors repeat their cause in their own words.
pub(crate) fn failure(error: &anyhow::Error) {
    let mut told = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if told.is_empty() {
            eprintln!("error: {text}");
        } else if !told.contains(&text) {
            eprintln!("  because: {text}");
        }
        told.push_str(&text);
    }
}

/// Prints one line of a result. A reader that went away is an error, as the result did not arrive.
pub(crate) fn result(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("could not write to standard output")
}

/// A stranger's text must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(2_000).collect()
}

/// A text as a value behind the question mark of an address (RFC 3986 §2.1).
pub(crate) fn url_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}

/// A size as people read it.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}
