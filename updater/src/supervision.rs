//! What the service manager is told (sd_notify(3)): that the updater is ready, that it lives, that it stops. Without
//! one nobody listens, and nothing is said.

use sd_notify::NotifyState;
use std::convert::Infallible;

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

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("could not tell the service manager how the updater is: {error}");
    }
}
