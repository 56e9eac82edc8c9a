//! Where a device stands, asked from outside of the agent that may be at work.

use super::Places;
use crate::config::Config;
use crate::stages::Wish;
use crate::system::is_inside_own_unit;
use crate::transaction::{Journal, JournalError, State};
use anyhow::{Result, bail};
use durable_files::{DurableError, Lock};
use std::time::{Duration, Instant};

/// Another process works on this device.
#[derive(Debug, thiserror::Error)]
#[error("another debfleet-updater is at work on this device; `debfleet-updater status` says what it does: {cause}")]
pub(super) struct Busy {
    cause: DurableError,
}

/// Takes the lock that an agent holds while it lives. In an update's own unit it waits for its turn: a poll or a
/// question may hold it for a moment.
pub(super) fn alone(config: &Config) -> Result<Lock> {
    const LONGEST: Duration = Duration::from_secs(120);
    const PAUSE: Duration = Duration::from_millis(100);
    durable_files::create_dir(&config.state_dir, 0o700)?;
    let path = config.state_dir.join("lock");
    let deadline = Instant::now() + LONGEST;
    loop {
        match Lock::acquire(&path) {
            Err(DurableError::Locked { .. }) if is_inside_own_unit() && Instant::now() < deadline => {
                std::thread::sleep(PAUSE);
            }
            Err(cause @ DurableError::Locked { .. }) => return Err(Busy { cause }.into()),
            other => return Ok(other?),
        }
    }
}

/// Where the device stands, without taking it over.
pub(crate) fn state(config: &Config) -> Result<State> {
    let journal = match Journal::open_if_there(&Places::of(config).journal) {
        // Whoever takes the device over keeps such a journal aside.
        Err(JournalError::Unreadable { .. } | JournalError::Schema { .. }) => None,
        other => other?,
    };
    Ok(journal.map_or(State::Idle, |journal| journal.state().clone()))
}

/// Whether nothing is under way, nor may be: a journal that cannot be read says neither.
pub(crate) fn is_at_rest(config: &Config) -> bool {
    match Journal::open_if_there(&Places::of(config).journal) {
        Ok(journal) => journal.is_none_or(|journal| journal.state().is_at_rest()),
        Err(_) => false,
    }
}

/// Whether a trial that is under way, or that the installation leads to, will hear a wish.
fn is_heard(wish: Wish, state: &State) -> bool {
    match state {
        State::Probation { .. } | State::Rebooting { .. } => true,
        // What is not installed yet can be unwanted already, and not yet be taken as it is.
        State::Installing { .. } => wish == Wish::RollBack,
        _ => false,
    }
}

/// Tells whoever tries a version what a person wishes, and waits until the trial has ended. Gives false if there is no
/// trial under way that hears it.
pub(crate) fn wish(config: &Config, wish: Wish) -> Result<bool> {
    const LONGEST: Duration = Duration::from_secs(900);
    const PAUSE: Duration = Duration::from_millis(200);
    let places = Places::of(config);
    if !is_heard(wish, &state(config)?) {
        return Ok(false);
    }
    places.make_wish(wish)?;
    let deadline = Instant::now() + LONGEST;
    let lock = config.state_dir.join("lock");
    // Whoever holds the lock tries the version; if nobody does, the caller takes over and finds the wish.
    while matches!(Lock::acquire(&lock), Err(DurableError::Locked { .. })) {
        if Instant::now() > deadline {
            bail!("the update under way did not end within {} s; see `debfleet-updater status`", LONGEST.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
    Ok(true)
}
