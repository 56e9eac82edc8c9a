//! The trial of a new version: every health check must pass within the commit window, and units stay active.

use super::http_probe;
use crate::system::{Device, Invocation, Services};
use fleet_protocol::update_policy::{HealthCheck, HealthProbe, UpdatePolicy};
use std::path::Path;
use std::time::{Duration, Instant};

/// What a person asks for while a version is on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Take it as it is.
    Commit,
    /// Put the old one back.
    RollBack,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Healthy,
    /// Somebody did not wait for the end.
    Asked(Wish),
    Unhealthy(String),
}

/// One package on trial.
#[derive(Debug)]
pub(crate) struct OnTrial {
    /// `name version`, for people.
    pub(crate) what: String,
    pub(crate) policy: UpdatePolicy,
}

/// A check that belongs to the device and not to a package.
pub(crate) struct DeviceCheck<'a> {
    /// What is checked, for people.
    pub(crate) what: String,
    /// None: for as long as the commit window lasts.
    pub(crate) attempts: Option<u32>,
    /// One attempt within a time.
    pub(crate) attempt: Box<dyn Fn(Duration) -> Result<(), String> + 'a>,
}

/// Where and how checks are made.
pub(crate) struct Trial<'a> {
    pub(crate) device: &'a Device,
    pub(crate) services: &'a Services,
    pub(crate) log: &'a Path,
    /// Names the transaction to whatever a check starts.
    pub(crate) mark: &'a str,
    /// Asked between attempts.
    pub(crate) wish: &'a dyn Fn() -> Option<Wish>,
}

/// Between two looks at the units that must stay active, and at what a person may wish.
const LOOK: Duration = Duration::from_millis(500);
/// The device's own checks are tried again after this.
const DEVICE_CHECK_INTERVAL: Duration = Duration::from_secs(5);
const DEVICE_CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// The commit window of a set: the longest that one of its packages asks for.
pub(crate) fn commit_window(packages: &[OnTrial]) -> Duration {
    let longest = packages.iter().map(|package| package.policy.commit_timeout).max();
    Duration::from_secs(longest.unwrap_or(UpdatePolicy::default().commit_timeout))
}

/// Runs all checks of a set, each until it passes or has used up its attempts, then watches the units.
pub(crate) fn check_health(packages: &[OnTrial], device_checks: &[DeviceCheck<'_>], trial: &Trial<'_>) -> Verdict {
    match run_checks(packages, device_checks, trial) {
        Ok(()) => Verdict::Healthy,
        Err(verdict) => verdict,
    }
}

fn run_checks(packages: &[OnTrial], device_checks: &[DeviceCheck<'_>], trial: &Trial<'_>) -> Result<(), Verdict> {
    let window = commit_window(packages);
    let clock = Clock { deadline: Instant::now() + window, trial };
    let mut watched = Vec::new();
    for package in packages {
        for check in &package.policy.health {
            let attempts = Attempts {
                most: check.attempts,
                interval: Duration::from_secs(check.interval),
                timeout: Duration::from_secs(check.timeout),
            };
            let invocation = clock
                .pass(&attempts, |timeout| trial.attempt(check, timeout))
                .map_err(|verdict| verdict.because(&format!("health check of {} failed", package.what)))?;
            watched.extend(invocation.map(|invocation| Watched::new(&package.what, check, invocation)));
        }
    }
    for check in device_checks {
        let most = check.attempts.unwrap_or(u32::MAX);
        let attempts = Attempts { most, interval: DEVICE_CHECK_INTERVAL, timeout: DEVICE_CHECK_TIMEOUT };
        clock.pass(&attempts, &check.attempt).map_err(|verdict| verdict.because(&format!("{} failed", check.what)))?;
    }
    clock.watch(&watched)?;
    if clock.left().is_zero() {
        let reason = format!("the health checks did not pass within the commit window of {} s", window.as_secs());
        return Err(Verdict::Unhealthy(reason));
    }
    Ok(())
}

impl Verdict {
    fn because(self, what: &str) -> Self {
        match self {
            Self::Unhealthy(reason) => Self::Unhealthy(format!("{what}: {reason}")),
            other => other,
        }
    }
}

impl Trial<'_> {
    /// One attempt; of a unit, the run that was found active.
    fn attempt(&self, check: &HealthCheck, timeout: Duration) -> Result<Option<Invocation>, String> {
        match check.probe() {
            Some(HealthProbe::Command(command)) => match self.device.run_shell(command, timeout, self.log, self.mark) {
                Ok(finished) if finished.is_success() => Ok(None),
                Ok(finished) => Err(format!("`{command}`: {}", finished.describe())),
                Err(error) => Err(format!("`{command}`: {error}")),
            },
            Some(HealthProbe::Unit(unit)) => self.services.active(unit).map(Some),
            Some(HealthProbe::Http(url)) => http_probe::answers(url, timeout).map(|()| None),
            None => Err("the check names nothing to look at".into()),
        }
    }
}

/// A unit that was found active, and must stay in the same run for a while.
struct Watched<'a> {
    what: &'a str,
    unit: &'a str,
    since: Instant,
    hold: Duration,
    invocation: Invocation,
}

impl<'a> Watched<'a> {
    fn new(what: &'a str, check: &'a HealthCheck, invocation: Invocation) -> Self {
        let unit = check.unit.as_deref().unwrap_or_default();
        Self { what, unit, since: Instant::now(), hold: Duration::from_secs(check.hold), invocation }
    }
}

struct Attempts {
    most: u32,
    interval: Duration,
    timeout: Duration,
}

struct Clock<'a> {
    deadline: Instant,
    trial: &'a Trial<'a>,
}

impl Clock<'_> {
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn pass<T>(&self, attempts: &Attempts, attempt_once: impl Fn(Duration) -> Result<T, String>) -> Result<T, Verdict> {
        let mut reason = "no attempt was made".to_owned();
        for attempt in 1..=attempts.most {
            if attempt > 1 {
                self.wait(attempts.interval.min(self.left()))?;
            }
            self.asked()?;
            if self.left().is_zero() {
                let reason = format!("the commit window ended; the last attempt: {reason}");
                return Err(Verdict::Unhealthy(reason));
            }
            match attempt_once(attempts.timeout.min(self.left())) {
                Ok(passed) => return Ok(passed),
                Err(why) => reason = why,
            }
        }
        Err(Verdict::Unhealthy(format!("{reason} (after {} attempts)", attempts.most)))
    }

    /// Looks at the units until each has been active for its time.
    fn watch(&self, watched: &[Watched<'_>]) -> Result<(), Verdict> {
        while watched.iter().any(|unit| unit.since.elapsed() < unit.hold) && !self.left().is_zero() {
            self.wait(LOOK.min(self.left()))?;
            self.stayed_active(watched)?;
        }
        self.stayed_active(watched)
    }

    fn stayed_active(&self, watched: &[Watched<'_>]) -> Result<(), Verdict> {
        for unit in watched {
            let services = self.trial.services;
            let reason = match services.active(unit.unit) {
                Ok(invocation) if invocation == unit.invocation => continue,
                Ok(_) => format!("the unit {} was started again{}", unit.unit, services.last_lines(unit.unit)),
                Err(reason) => reason,
            };
            let seconds = unit.since.elapsed().as_secs();
            let reason = format!("health check of {} failed: {seconds} s after it was active, {reason}", unit.what);
            return Err(Verdict::Unhealthy(reason));
        }
        Ok(())
    }

    fn wait(&self, time: Duration) -> Result<(), Verdict> {
        let end = Instant::now() + time;
        loop {
            self.asked()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    fn asked(&self) -> Result<(), Verdict> {
        (self.trial.wish)().map_or(Ok(()), |wish| Err(Verdict::Asked(wish)))
    }
}
