//! The daemon: polls the suite and brings the configured packages up to date.

use super::for_fleet::ForFleet;
use super::standing::Busy;
use super::{Agent, Moment, Origin, own_unit};
use crate::config::Config;
use crate::fleet;
use crate::policy::{Slot, Windows, after_failures};
use crate::repository::SuiteError;
use crate::supervision;
use crate::system::{Device, Stamp, chance};
use crate::transaction::State;
use anyhow::{Context, Result};
use debian_formats::PackageName;
use fleet_protocol::update_document::{Update, UpdateDocument, WantedPackage};
use jiff::Zoned;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// A service that was just started, perhaps by hand, looks soon; and yet a fleet that was started at once does not ask
/// at once.
const FIRST_POLL_WITHIN: Duration = Duration::from_secs(60);

/// Devices that wait for the same maintenance window begin over so much of it, at most.
const SPREAD_IN_WINDOW: Duration = Duration::from_secs(1800);

/// What a poll found in place. While it is the same, there is nothing to be looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    suite: String,
    files: Vec<Option<Stamp>>,
}

/// What the loop remembers from poll to poll; none of it is on the disk.
#[derive(Debug, Default)]
struct Rounds {
    /// What was in place when a poll last found all up to date.
    all_done: Option<Seen>,
    failures: u32,
}

/// How a poll ended.
enum Polled {
    /// Nothing can be done before the suite or the device changes.
    AllDone(Seen),
    /// Something waits for its time.
    Waiting,
    /// Something was done or could not be done.
    Other { failed: bool },
}

/// Polls until it is told to end. A transaction that has begun is brought to its end first.
pub(crate) async fn run(config: Arc<Config>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    supervision::ready();
    let told_to_end = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let (polled, changed) = watch::channel(());
    let fleet = keep_in_touch(Arc::clone(&config), changed);
    tokio::select! {
        ended = poll_until(told_to_end, config, polled) => ended?,
        never = fleet => match never {},
        never = supervision::keep_alive() => match never {},
    }
    tracing::info!("ended");
    Ok(())
}

/// With the fleet's broker, if there is one.
async fn keep_in_touch(config: Arc<Config>, changed: watch::Receiver<()>) -> Infallible {
    match config.fleet() {
        Some(settings) => fleet::keep(settings, Arc::new(ForFleet(config)), changed).await,
        None => std::future::pending().await,
    }
}

/// Polls; each poll that ended is told to `done`.
async fn poll_until(told_to_end: impl Future<Output = ()>, config: Arc<Config>, done: watch::Sender<()>) -> Result<()> {
    tokio::pin!(told_to_end);
    // What an interruption left half-done is not left so until the first poll. The service is up meanwhile: a trial may
    // take long, and ask whether it is.
    let recovering = Arc::clone(&config);
    let mut recovery = tokio::task::spawn_blocking(move || own_unit::end_interrupted(&recovering));
    let (recovered, is_last) = tokio::select! {
        recovered = &mut recovery => (recovered?, false),
        () = &mut told_to_end => {
            supervision::stopping();
            if own_unit::is_wanted(&config) {
                return Ok(());
            }
            (recovery.await?, true)
        }
    };
    if let Err(error) = recovered {
        tracing::error!("{error:#}");
    }
    if is_last {
        return Ok(());
    }
    let device = Device { root: config.root.clone(), scripts: config.scripts };
    let slot = Slot::of(device.machine_id().as_ref(), chance());
    let mut rounds = Rounds::default();
    let mut wait = slot.within(config.poll_interval.min(FIRST_POLL_WITHIN));
    tracing::info!(
        "polling the suite {} every {} s, first in {} s",
        config.suite,
        config.poll_interval.as_secs(),
        wait.as_secs()
    );
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = &mut told_to_end => {
                supervision::stopping();
                return Ok(());
            }
        }
        let (this, all_done) = (Arc::clone(&config), rounds.all_done.take());
        let mut polling = tokio::task::spawn_blocking(move || poll(&this, all_done));
        let (polled, is_last) = tokio::select! {
            polled = &mut polling => (polled?, false),
            () = &mut told_to_end => {
                supervision::stopping();
                // An update has a unit of its own, and may be what ends this one.
                if own_unit::is_wanted(&config) {
                    return Ok(());
                }
                (polling.await?, true)
            }
        };
        wait = rounds.next_wait(polled, &config, slot);
        done.send_replace(());
        if is_last {
            return Ok(());
        }
        tracing::debug!("the next poll is in {} s", wait.as_secs());
    }
}

impl Rounds {
    /// Takes down how a poll ended, and says how long to wait for the next.
    fn next_wait(&mut self, polled: Result<Polled>, config: &Config, slot: Slot) -> Duration {
        let now = Zoned::now();
        let regular = slot.next(now.timestamp(), config.poll_interval);
        let requested = match polled {
            Ok(Polled::AllDone(seen)) => {
                (self.all_done, self.failures) = (Some(seen), 0);
                return regular;
            }
            Ok(Polled::Waiting) => {
                self.failures = 0;
                return until_opening(&config.policy.windows, &now, slot).map_or(regular, |wait| wait.min(regular));
            }
            Ok(Polled::Other { failed: false }) => {
                self.failures = 0;
                return regular;
            }
            Ok(Polled::Other { failed: true }) => None,
            Err(error) => {
                tracing::error!("{error:#}");
                error.downcast_ref::<SuiteError>().and_then(SuiteError::retry_after)
            }
        };
        self.failures = self.failures.saturating_add(1);
        after_failures(self.failures, config.poll_interval, requested, chance())
    }
}

/// How long until this device's place in the next maintenance window; none while one is open.
fn until_opening(windows: &Windows, now: &Zoned, slot: Slot) -> Option<Duration> {
    let opening = windows.next_opening(now)?.to_zoned(now.time_zone().clone());
    let until = Duration::try_from(opening.timestamp().duration_since(now.timestamp())).ok()?;
    let length = Duration::try_from(windows.open_for(&opening)).ok()?;
    // In its first half, so that there is time left.
    (!until.is_zero()).then(|| until + slot.within((length / 2).min(SPREAD_IN_WINDOW)))
}

/// Each poll takes the device over for itself only, so that a person's command finds its turn in between.
fn poll(config: &Config, all_done: Option<Seen>) -> Result<Polled> {
    let mut agent = match Agent::open(config, Moment::Running) {
        Err(error) if error.is::<Busy>() => {
            tracing::info!("an update that somebody else asked for is under way");
            return Ok(Polled::Other { failed: false });
        }
        opened => opened?,
    };
    let seen = agent.look()?;
    if all_done.as_ref() == Some(&seen) {
        tracing::debug!("nothing has changed");
        return Ok(Polled::AllDone(seen));
    }
    let (mut did_anything, mut failed) = (false, false);
    // Where systemd runs, an update is not this process's to make.
    let hand_over = own_unit::is_wanted(config);
    let mut to_hand_over = Vec::new();
    for name in &config.packages {
        // One package that cannot be updated must not hold up the others.
        let outcome = if hand_over {
            let prepared = agent.prepare(&newest(config, name), Origin::Polled);
            prepared.map(|prepared| prepared.is_some().then(|| to_hand_over.push(name.clone())).is_some())
        } else {
            agent.update(&newest(config, name), Origin::Polled)
        };
        match outcome {
            Ok(true) => {
                did_anything = true;
                if !hand_over {
                    tracing::info!("the update of {name} ended: {}", agent.state().name());
                    failed |= matches!(agent.state(), State::Abandoned { .. });
                }
            }
            Ok(false) => {}
            Err(error) => {
                failed = true;
                tracing::error!("{name}: {error:#}");
            }
        }
    }
    agent.note_waiting()?;
    if !did_anything && !failed {
        return Ok(if agent.waiting.is_some() { Polled::Waiting } else { Polled::AllDone(agent.look()?) });
    }
    drop(agent);
    for name in to_hand_over {
        failed |= !own_unit::poll(config, &name)?;
    }
    Ok(Polled::Other { failed })
}

/// The newest version of one package.
pub(crate) fn newest(config: &Config, name: &PackageName) -> UpdateDocument {
    let packages = vec![WantedPackage { name: name.to_string(), version: None }];
    UpdateDocument::Update(Update { packages, suite: config.suite.to_string(), allow_downgrade: false })
}

impl Agent<'_> {
    /// Asks the repository whether its suite has changed, and looks whether the device has.
    fn look(&mut self) -> Result<Seen> {
        let (_, suite) = self.fetch_suite(&self.config.suite)?;
        // What is installed, what is remembered, and what apt knows of other sources.
        let places = ["var/lib/dpkg/status", "var/lib/apt/lists"].map(|path| self.config.root.join(path));
        let files = places.iter().chain([&self.places.memory]).map(|path| Stamp::of(path)).collect();
        Ok(Seen { suite: suite.digest(), files })
    }
}
