//! systemd units that an update touches.

use super::Device;
use super::process::{Finished, ProcessError, Program};
use std::path::PathBuf;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(180);

/// systemd of the running system, if there is one.
#[derive(Debug, Clone)]
pub(crate) struct Services {
    runs: bool,
    log: PathBuf,
}

impl Services {
    /// systemd counts only where the root is the running system's own and systemd is its init.
    pub(crate) fn new(device: &Device, log: PathBuf) -> Self {
        let runs = device.is_running_system() && std::path::Path::new("/run/systemd/system").is_dir();
        Self { runs, log }
    }

    /// Whether a unit is active; why not, as systemctl says it.
    pub(crate) fn check_active(&self, unit: &str) -> Result<(), String> {
        if !self.runs {
            return Err(format!("the unit {unit} cannot be active: systemd does not run here"));
        }
        match self.systemctl(&["is-active", "--", unit]) {
            Ok(finished) if finished.is_success() => Ok(()),
            Ok(finished) => Err(format!("the unit {unit} is not active ({})", finished.output.trim())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Those of the given units that are active.
    pub(crate) fn active_among(&self, units: &[String]) -> Vec<String> {
        units.iter().filter(|unit| self.runs && self.check_active(unit).is_ok()).cloned().collect()
    }

    /// Those of the given units that run, or that systemd is about to start (again).
    pub(crate) fn running_among(&self, units: &[String]) -> Vec<String> {
        let is_at_rest = |unit: &str| {
            let output = self.systemctl(&["is-active", "--", unit]).map(|finished| finished.output);
            output.is_ok_and(|word| matches!(word.as_str(), "inactive" | "failed" | "unknown"))
        };
        units.iter().filter(|unit| self.runs && !is_at_rest(unit)).cloned().collect()
    }

    /// Stops units before their files and data are put back.
    pub(crate) fn stop(&self, units: &[String]) {
        self.tell("stop", units);
    }

    /// Lets systemd read the unit files that were put back, and starts units again.
    pub(crate) fn reload_and_start(&self, units: &[String]) {
        if self.runs {
            self.report("daemon-reload", self.systemctl(&["daemon-reload"]));
        }
        self.tell("start", units);
    }

    fn tell(&self, verb: &str, units: &[String]) {
        if self.runs && !units.is_empty() {
            let mut args = vec![verb, "--"];
            args.extend(units.iter().map(String::as_str));
            self.report(verb, self.systemctl(&args));
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
