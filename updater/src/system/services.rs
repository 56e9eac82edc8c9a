//! systemd units that an update touches.

use super::Device;
use super::process::{Finished, ProcessError, Program};
use std::path::{Path, PathBuf};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(180);
/// Lines of a unit's journal that a failed check quotes.
const QUOTED_LINES: &str = "10";

/// When units are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Starting {
    /// Now, and waited for.
    Now,
    /// When their turn comes: early in the boot nothing can be waited for.
    InTheirTurn,
}

/// One run of a unit that is active; another run has another id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation(String);

/// systemd of the running system, if there is one.
#[derive(Debug, Clone)]
pub(crate) struct Services {
    runs: bool,
    log: PathBuf,
}

impl Services {
    /// systemd counts only where the root is the running system's own and systemd is its init.
    pub(crate) fn new(device: &Device, log: PathBuf) -> Self {
        let runs = device.is_running_system() && Path::new("/run/systemd/system").is_dir();
        Self { runs, log }
    }

    /// Whether systemd runs here.
    pub(crate) fn run_here(&self) -> bool {
        self.runs
    }

    /// The run of a unit that is active; why there is none, with the last lines of its log.
    pub(crate) fn active(&self, unit: &str) -> Result<Invocation, String> {
        if !self.runs {
            return Err(format!("the unit {unit} cannot be active: systemd does not run here"));
        }
        let arguments = ["show", "--property=ActiveState,Result,InvocationID", "--", unit];
        let finished = self.systemctl(&arguments).map_err(|error| error.to_string())?;
        let property = |name: &str| {
            let value = finished.output.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().to_owned()
        };
        let state = property("ActiveState");
        if state == "active" {
            return Ok(Invocation(property("InvocationID")));
        }
        let result = Some(property("Result")).filter(|result| !matches!(result.as_str(), "" | "success"));
        let result = result.map(|result| format!(", {result}")).unwrap_or_default();
        Err(format!("the unit {unit} is {state}{result}{}", self.last_lines(unit)))
    }

    /// The end of a unit's log, ready to stand after a reason.
    pub(crate) fn last_lines(&self, unit: &str) -> String {
        let program =
            Program::new("journalctl").args(["--no-pager", "-b", "-o", "cat", "-n", QUOTED_LINES, "-u", unit]);
        match program.stderr_apart().run(Duration::from_secs(20), &self.log) {
            Ok(finished) if finished.is_success() && !finished.output.is_empty() => {
                format!("; its last log lines:\n{}", finished.output)
            }
            _ => String::new(),
        }
    }

    /// Those of the given units that are active.
    pub(crate) fn active_among(&self, units: &[String]) -> Vec<String> {
        units.iter().filter(|unit| self.word(unit) == "active").cloned().collect()
    }

    /// Those of the given units that run, or that systemd is about to start (again).
    pub(crate) fn running_among(&self, units: &[String]) -> Vec<String> {
        let is_at_rest = |unit: &str| matches!(self.word(unit).as_str(), "" | "inactive" | "failed" | "unknown");
        units.iter().filter(|unit| !is_at_rest(unit)).cloned().collect()
    }

    /// What `systemctl is-active` says of a unit; nothing if systemd does not run here.
    fn word(&self, unit: &str) -> String {
        if !self.runs {
            return String::new();
        }
        self.systemctl(&["is-active", "--", unit]).map(|finished| finished.output).unwrap_or_default()
    }

    /// Stops units before their files and data are put back.
    pub(crate) fn stop(&self, units: &[String]) {
        self.tell(&["stop"], units);
    }

    /// Starts a unit anew.
    pub(crate) fn restart(&self, unit: &str) {
        self.tell(&["restart"], &[unit.to_owned()]);
    }

    /// Starts a unit when its turn comes.
    pub(crate) fn start_in_turn(&self, unit: &str) {
        self.tell(&["--no-block", "start"], &[unit.to_owned()]);
    }

    /// Lets systemd read the unit files that were put back, and starts units again.
    pub(crate) fn reload_and_start(&self, units: &[String], starting: Starting) {
        if self.runs {
            self.report("daemon-reload", self.systemctl(&["daemon-reload"]));
        }
        match starting {
            Starting::Now => self.tell(&["start"], units),
            Starting::InTheirTurn => self.tell(&["--no-block", "start"], units),
        }
    }

    fn tell(&self, verb: &[&str], units: &[String]) {
        if self.runs && !units.is_empty() {
            let arguments: Vec<&str> =
                verb.iter().copied().chain(["--"]).chain(units.iter().map(String::as_str)).collect();
            self.report(&verb.join(" "), self.systemctl(&arguments));
        }
    }

    /// A unit that cannot be stopped or started does not stop a rollback; it is worth a line in the log.
    fn report(&self, verb: &str, outcome: Result<Finished, ProcessError>) {
        match outcome {
            Ok(finished) if finished.is_success() => {}
            Ok(finished) => tracing::warn!("systemctl {verb}: {}", finished.describe()),
            Err(error) => tracing::warn!("systemctl {verb}: {error}"),
        }
    }

    fn systemctl(&self, args: &[&str]) -> Result<Finished, ProcessError> {
        Program::new("systemctl").args(args).run(TIMEOUT, &self.log)
    }
}
