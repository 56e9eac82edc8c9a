//! A new version on trial: what is asked of it, and what a person may wish meanwhile.

use super::{Agent, Moment, Places};
use crate::memory::Memory;
use crate::repository::{Client, Suite};
use crate::stages::{DeviceCheck, OnTrial, Trial, Verdict, Wish, check_health, commit_window, installed_policy};
use crate::supervision;
use crate::system::{current_boot, is_reboot_required, reboot};
use crate::transaction::Event;
use anyhow::{Context, Result};
use debian_formats::Version;
use fleet_protocol::update_policy::{HealthCheck, Reboot, UpdatePolicy};
use jiff::Timestamp;
use std::path::Path;
use std::time::Duration;

/// Where the updater itself is installed.
const OWN_BINARY: &str = "/usr/bin/debfleet-updater";
const OWN_UNIT: &str = "debfleet-updater.service";
/// Boots again after a while.
const BOOT_LIMIT: &str = "debfleet-updater-boot-limit.timer";
/// How long a command may say whether an update suits now.
const INHIBIT_TIMEOUT: Duration = Duration::from_secs(60);
/// What all checks may take beyond their window, before the watchdog ends them.
const GRACE: Duration = Duration::from_secs(300);

impl Places {
    /// Says what a person wishes of the version on trial; whoever tries it looks there.
    pub(crate) fn make_wish(&self, wish: Wish) -> Result<()> {
        let word = match wish {
            Wish::Commit => "commit",
            Wish::RollBack => "rollback",
        };
        Ok(durable_files::replace(&self.wish, word.as_bytes(), 0o600)?)
    }

    fn wish(&self) -> Option<Wish> {
        match std::fs::read(&self.wish).ok()?.as_slice() {
            b"commit" => Some(Wish::Commit),
            b"rollback" => Some(Wish::RollBack),
            _ => None,
        }
    }

    /// A wish is about one trial only.
    pub(super) fn forget_wish(&self) -> Result<()> {
        if self.wish.exists() {
            durable_files::remove(&self.wish)?;
        }
        Ok(())
    }
}

impl Agent<'_> {
    /// Why an installed version does not want to be replaced now.
    pub(super) fn inhibited(&self) -> Result<Option<String>> {
        for planned in self.transaction()?.of_suite() {
            // The new version must be able to mend an old one whose policy is broken.
            let Ok(policy) = installed_policy(&self.device.root, planned.name.as_str()) else { continue };
            let Some(command) = policy.inhibit else { continue };
            let answer = self.device.run_shell(&command, INHIBIT_TIMEOUT, &self.places.log, &self.mark()?);
            match answer {
                Ok(finished) if finished.is_success() => {}
                Ok(finished) => {
                    return Ok(Some(format!("{} says not now (`{command}`: {})", planned.name, finished.describe())));
                }
                // A broken question must not keep a device from its updates for ever.
                Err(error) => tracing::warn!("could not ask {} whether an update suits now: {error}", planned.name),
            }
        }
        Ok(None)
    }

    /// What follows on a whole installation: a trial in this boot or in the next one.
    pub(super) fn after_install(&self) -> Result<Event> {
        let boot = current_boot();
        let wanted = self.on_trial()?.iter().map(|package| package.policy.reboot).max().unwrap_or_default();
        let needed = match wanted {
            Reboot::Never => false,
            Reboot::IfNeeded => is_reboot_required(&self.device),
            Reboot::Always => true,
        };
        if needed && !self.services.run_here() {
            tracing::warn!("this root is not that of a running system, so it is tried without a boot");
        }
        Ok(if needed && self.services.run_here() { Event::RebootNeeded(boot) } else { Event::Installed(boot) })
    }

    /// Boots the machine, unless a person wishes something else. No event follows: the next one comes after the boot.
    pub(super) fn reboot(&self) -> Result<Option<Event>> {
        if let Some(wish) = self.places.wish() {
            return Ok(Some(event_of(wish)));
        }
        tracing::warn!("booting, to try the new version");
        // What the boot stands on must be on the disk.
        rustix::fs::sync();
        reboot(&self.places.log)?;
        Ok(None)
    }

    /// Early in a boot: should it not get as far as the trial that is due in it, the machine boots again.
    pub(super) fn limit_boot(&self) {
        if self.moment == Moment::Boot && !self.state().is_at_rest() {
            self.services.start_in_turn(BOOT_LIMIT);
        }
    }

    /// Tries the new version.
    pub(super) fn check_health(&mut self) -> Result<Event> {
        self.services.stop(&self.services.active_among(&[BOOT_LIMIT.to_owned()]));
        let packages = self.on_trial()?;
        supervision::step_may_take(commit_window(&packages) + GRACE);
        tracing::info!("checking health");
        let transaction = self.transaction()?;
        let mut device_checks = Vec::new();
        if transaction.from_server {
            let attempt = Box::new(|_| self.reaches_server().map_err(|error| format!("{error:#}")));
            let what = "the check that the new version can reach the server".to_owned();
            // The network may still be coming up.
            device_checks.push(DeviceCheck { what, attempts: None, attempt });
        }
        let brings_us = self.installs_ourselves()?;
        if brings_us {
            let attempt = Box::new(|timeout| self.new_updater_reports(timeout));
            let what = "the report of the new debfleet-updater".to_owned();
            device_checks.push(DeviceCheck { what, attempts: Some(3), attempt });
        }
        let mark = self.mark()?;
        let trial = Trial {
            device: &self.device,
            services: &self.services,
            log: &self.places.log,
            mark: &mark,
            wish: &|| self.places.wish(),
        };
        let mut verdict = check_health(&packages, &device_checks, &trial);
        drop(device_checks);
        // A service that ran the old version shows whether the new one can run.
        if verdict == Verdict::Healthy && brings_us && self.services.active(OWN_UNIT).is_ok() {
            self.services.restart(OWN_UNIT);
            verdict = check_health(&[own_service_on_trial()], &[], &trial);
        }
        match verdict {
            Verdict::Healthy => self.before_commit().map(|()| Event::Healthy),
            Verdict::Asked(Wish::Commit) => self.before_commit().map(|()| Event::CommitAsked),
            Verdict::Asked(Wish::RollBack) => Ok(Event::TrialEnded),
            Verdict::Unhealthy(reason) => Ok(Event::Failed(reason)),
        }
    }

    /// Noted before the commit: a second start must not take somebody else's later change for ours.
    fn before_commit(&mut self) -> Result<()> {
        let databases = self.shared_databases_hash()?;
        for planned in self.transaction()?.of_suite() {
            let policy = installed_policy(&self.device.root, planned.name.as_str())?;
            if let Some(floor) = policy.rollback_floor {
                let floor: Version =
                    floor.parse().with_context(|| format!("the rollback floor of {}", planned.name))?;
                self.memory.propose_rollback_floor(&planned.name, &floor)?;
            }
        }
        Ok(self.memory.note_committed_databases(databases)?)
    }

    /// The packages of the transaction, with the policies that are installed with them now.
    fn on_trial(&self) -> Result<Vec<OnTrial>> {
        let on_trial = |planned: &crate::transaction::PlannedPackage| {
            let policy = installed_policy(&self.device.root, planned.name.as_str())?;
            Ok(OnTrial { what: format!("{} {}", planned.name, planned.to), policy })
        };
        self.transaction()?.of_suite().map(on_trial).collect()
    }

    fn reaches_server(&self) -> Result<()> {
        super::self_check(self.config)
    }

    /// Whether the transaction brings another version of the updater itself.
    fn installs_ourselves(&self) -> Result<bool> {
        let names = self.transaction()?.packages;
        let owned = |name: &str| crate::stages::owned_paths(&self.device.root, name);
        for package in names {
            if owned(package.name.as_str())?.iter().any(|path| path == OWN_BINARY) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets the new updater say that it can read this device's configuration and reach its server.
    fn new_updater_reports(&self, timeout: Duration) -> Result<(), String> {
        let command = if self.device.is_running_system() {
            format!("exec {OWN_BINARY} --config {} self-check", shell_word(&self.config.path))
        } else {
            format!("exec {OWN_BINARY} --version")
        };
        let mark = self.mark().map_err(|error| error.to_string())?;
        match self.device.run_shell(&command, timeout, &self.places.log, &mark) {
            Ok(finished) if finished.is_success() => Ok(()),
            Ok(finished) => Err(finished.describe()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Whether this device's configuration, keys and network suffice to reach its repository.
pub(crate) fn self_check(config: &crate::config::Config) -> Result<()> {
    let client = Client::over_http(&config.remote)?;
    let keys = config.repository_keys()?;
    config.package_keys()?;
    let memory = Memory::open(&Places::of(config).memory);
    Suite::fetch(&client, &keys, &config.suite, None, &memory, Timestamp::now())?;
    Ok(())
}

fn event_of(wish: Wish) -> Event {
    match wish {
        Wish::Commit => Event::CommitAsked,
        Wish::RollBack => Event::TrialEnded,
    }
}

fn own_service_on_trial() -> OnTrial {
    let check = HealthCheck {
        command: None,
        unit: Some(OWN_UNIT.to_owned()),
        http: None,
        hold: 10,
        timeout: 30,
        interval: 5,
        attempts: 3,
    };
    let policy = UpdatePolicy { health: vec![check], ..UpdatePolicy::default() };
    OnTrial { what: "the updater itself".into(), policy }
}

fn shell_word(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}
