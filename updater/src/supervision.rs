//! What the service manager is told (sd_notify(3)): that the updater is ready, that it lives, that it stops. Without
//! one nobody listens, and nothing is said.

use sd_notify::NotifyState;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// It polls from now on.
pub(crate) fn ready() {
    tell(NotifyState::Ready);
}

/// It was asked to end; a transaction that has begun is brought to its end first.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Says twice in each interval of the watchdog that the loop of `run` turns. An update under way may take longer than
/// any such interval: it runs beside the loop, and has time limits of its own.
pub(crate) async fn keep_alive() -> Infallible {
    let Some(interval) = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero()) else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(interval / 2);
    loop {
        ticks.tick().await;
        tell(NotifyState::Watchdog);
    }
}

/// When the step under way must have ended.
static STEP_ENDS: Mutex<Option<Instant>> = Mutex::new(None);

/// Says how long the step that begins now may take at most. When it takes longer, something hangs that no time limit
/// of its own reached; then the watchdog is not fed any more, and the service manager ends this process.
pub(crate) fn step_may_take(time: Duration) {
    *STEP_ENDS.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now().checked_add(time);
}

/// Feeds the watchdog of a transaction as long as its steps end in time.
pub(crate) fn watch_steps() {
    let Some(interval) = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero()) else { return };
    std::thread::spawn(move || {
        loop {
            let ends = *STEP_ENDS.lock().unwrap_or_else(PoisonError::into_inner);
            if ends.is_some_and(|ends| Instant::now() > ends) {
                tracing::error!("a step of the update hangs; the watchdog ends it, and the recovery follows");
                return;
            }
            tell(NotifyState::Watchdog);
            std::thread::sleep(interval / 3);
        }
    });
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("could not tell the service manager how the updater is: {error}");
    }
}
