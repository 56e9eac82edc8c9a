//! What was tried here, in plain words.

use super::Places;
use super::report::a_few;
use crate::config::Config;
use crate::history::{Change, Ended, Entry, History};
use crate::memory::Memory;
use anyhow::{Context, Result};
use debian_formats::Version;
use std::fmt::Write;

/// All attempts, the newest first.
pub(crate) fn history(config: &Config) -> Vec<Entry> {
    let mut entries = History::new(Places::of(config).history).entries();
    entries.reverse();
    entries
}

/// The attempts as lines, numbered as [`explain`] takes them.
pub(crate) fn lines(entries: &[Entry]) -> String {
    let mut text = String::new();
    for (index, entry) in entries.iter().enumerate() {
        let packages: Vec<String> = entry.packages.iter().map(change).collect();
        let began = entry.began.strftime("%Y-%m-%d %H:%M:%S UTC");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:>3}  {began}  {:<11}  {}", index + 1, word(entry.outcome), a_few(&packages));
    }
    if text.is_empty() { "nothing was tried on this device yet\n".into() } else { text }
}

/// What happened in an attempt, and what follows: 1 is the newest.
pub(crate) fn explain(config: &Config, number: usize) -> Result<String> {
    let entries = history(config);
    let entry = entries.get(number.saturating_sub(1)).with_context(|| match entries.len() {
        0 => "nothing was tried on this device yet".to_owned(),
        known => format!("there is no attempt {number}; `debfleet-updater history` lists {known}"),
    })?;
    let memory = Memory::open(&Places::of(config).memory);
    Ok(tell(entry, &|change| memory.was_rolled_back(&change.name, &change.to)))
}

fn tell(entry: &Entry, is_held_back: &dyn Fn(&Change) -> bool) -> String {
    let began = entry.began.strftime("%Y-%m-%d %H:%M:%S UTC");
    let seconds = entry.ended.duration_since(entry.began).as_secs().max(0);
    let mut lines = vec![format!("An update began {began} and ended after {seconds} s:")];
    lines.extend(entry.packages.iter().map(|package| format!("  {}", change(package))));
    lines.extend(entry.removed.iter().map(|package| format!("  {package} → removed")));
    let reason = entry.reason.as_deref().unwrap_or("no reason is known");
    match entry.outcome {
        Ended::Committed => lines.push("It was committed: the health checks passed, and the new version stays.".into()),
        Ended::RolledBack => {
            lines.push(format!("It was rolled back: {reason}"));
            lines.push("Everything that the update may have changed is as it was before.".into());
        }
        Ended::Abandoned => lines.push(format!("It was given up before anything was changed: {reason}")),
        Ended::Postponed => lines.push(format!("It was postponed, and nothing was changed: {reason}")),
        Ended::Refused => lines.push(format!("It was refused, and nothing was changed: {reason}")),
        Ended::Stuck => {
            lines.push(format!("It could not be rolled back: {reason}"));
            lines.push("Mend the cause, then `debfleet-updater recover` tries again.".into());
        }
    }
    if !entry.left_behind.is_empty() {
        lines.push(format!("Changed meanwhile and not put back: {}", entry.left_behind.join(", ")));
    }
    if entry.outcome == Ended::RolledBack {
        for package in entry.packages.iter().filter(|package| is_held_back(package)) {
            let (name, to) = (&package.name, &package.to);
            lines.push(format!(
                "{name} {to} is not tried again by itself; `debfleet-updater install {name}={to}` tries it again."
            ));
        }
    }
    lines.join("\n") + "\n"
}

fn change(package: &Change) -> String {
    let from = package.from.as_ref().map_or("not installed", Version::as_str);
    format!("{} {from} → {}", package.name, package.to)
}

fn word(outcome: Ended) -> &'static str {
    match outcome {
        Ended::Committed => "committed",
        Ended::RolledBack => "rolled back",
        Ended::Abandoned => "given up",
        Ended::Postponed => "postponed",
        Ended::Refused => "refused",
        Ended::Stuck => "stuck",
    }
}
