//! What the service manager is told (sd_notify(3)): that the server is ready, that it lives, that it reloads or stops.
//! Without one nobody listens, and nothing is said.

use sd_notify::NotifyState;

/// All addresses are served.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Its settings are read again; `ready` ends it.
pub(crate) fn reloading() {
    // The time tells a service manager from 253 on which reload this belongs to.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "could not tell the service manager that the server reloads"),
    }
}

/// It was asked to stop; requests under way still end.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says twice in each interval of the watchdog that the server lives, for as long as it does. Never ends.
pub(crate) async fn keep_alive() {
    let Some(interval) = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero()) else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(interval / 2);
    loop {
        ticks.tick().await;
        // As a task of its own it is run by the threads that answer requests. Where all of them hang, so does this.
        if tokio::spawn(async {}).await.is_ok() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "could not tell the service manager how the server is");
    }
}
