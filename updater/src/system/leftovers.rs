//! Processes that belong to a transaction: found by a mark in their environment, whatever group or session they
//! moved to. A killed updater leaves dpkg and its scripts running; they must end before anything is put back.

use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;

/// The environment variable that all programs of a transaction inherit.
pub(super) const MARK: &str = "DEBFLEET_TRANSACTION";

const PAUSE: Duration = Duration::from_millis(20);
const MAX_ROUNDS: u32 = 500;

/// Kills every process that carries the mark, and those that they start meanwhile, until none is left.
pub(crate) fn end_marked_processes(mark: &str) {
    let wanted = format!("{MARK}={mark}");
    for _ in 0..MAX_ROUNDS {
        let marked = marked_processes(&wanted);
        if marked.is_empty() {
            return;
        }
        for pid in marked {
            tracing::warn!("killing the process {pid}, which an interrupted update left running");
            // It may have ended by itself since it was listed.
            let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
        std::thread::sleep(PAUSE);
    }
}

fn marked_processes(wanted: &str) -> Vec<i32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = i32::try_from(std::process::id()).ok();
    let marked = processes.flatten().filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let carries = environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes());
        (carries && Some(pid) != own).then_some(pid)
    });
    marked.collect()
}
