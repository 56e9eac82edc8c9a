//! The trial of a new version: every health check must pass within the commit window.

use crate::repository::VerifiedPackage;
use crate::system::{Device, Services};
use fleet_protocol::update_policy::{HealthCheck, HealthProbe};
use std::path::Path;
use std::time::{Duration, Instant};

/// Runs all checks of a set, each until it passes or has used up its attempts; `mark` names the transaction. The error says which failed and why.
pub(crate) fn check_health(
    packages: &[VerifiedPackage],
    device: &Device,
    services: &Services,
    log: &Path,
    mark: &str,
) -> Result<(), String> {
    let window = packages.iter().map(|package| package.policy().commit_timeout).max().unwrap_or_default();
    let deadline = Instant::now() + Duration::from_secs(window);
    let attempt = |check: &HealthCheck, timeout: Duration| match check.probe() {
        Some(HealthProbe::Command(command)) => match device.run_shell(command, timeout, log, mark) {
            Ok(finished) if finished.is_success() => Ok(()),
            Ok(finished) => Err(format!("`{command}`: {}", finished.describe())),
            Err(error) => Err(format!("`{command}`: {error}")),
        },
        Some(HealthProbe::Unit(unit)) => services.check_active(unit),
        None => Err("the check names nothing to look at".into()),
    };
    for package in packages {
        let name = package.control().package();
        for check in &package.policy().health {
            let left = || deadline.saturating_duration_since(Instant::now());
            pass(check, &left, &attempt)
                .map_err(|reason| format!("health check of {name} {} failed: {reason}", package.control().version()))?;
            if left().is_zero() {
                return Err(format!("the health checks did not pass within the commit window of {window} s"));
            }
        }
    }
    Ok(())
}

fn pass(
    check: &HealthCheck,
    left: &impl Fn() -> Duration,
    attempt_once: &impl Fn(&HealthCheck, Duration) -> Result<(), String>,
) -> Result<(), String> {
    let mut reason = "no attempt was made".to_owned();
    for attempt in 1..=check.attempts {
        if attempt > 1 {
            std::thread::sleep(Duration::from_secs(check.interval).min(left()));
        }
        if left().is_zero() {
            return Err(format!("the commit window ended; the last attempt: {reason}"));
        }
        let timeout = Duration::from_secs(check.timeout).min(left());
        match attempt_once(check, timeout) {
            Ok(()) => return Ok(()),
            Err(why) => reason = why,
        }
    }
    Err(format!("{reason} (after {} attempts)", check.attempts))
}
