//! The daemon: polls the suite and brings the configured packages up to date.

use super::{Agent, Origin};
use crate::config::Config;
use anyhow::{Context, Result};
use fleet_protocol::update_document::{Update, UpdateDocument, WantedPackage};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Polls until it is told to end. A transaction that has begun is brought to its end first.
pub(crate) async fn run(config: Arc<Config>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    tracing::info!("polling the suite {} every {} s", config.suite, config.poll_interval.as_secs());
    loop {
        let this = Arc::clone(&config);
        if let Err(error) = tokio::task::spawn_blocking(move || poll(&this)).await? {
            tracing::error!("{error:#}");
        }
        tokio::select! {
            () = tokio::time::sleep(config.poll_interval) => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!("ended");
    Ok(())
}

/// Each poll takes the device over for itself only, so that a person's command finds its turn in between.
fn poll(config: &Config) -> Result<()> {
    let mut agent = Agent::open(config)?;
    for name in &config.packages {
        let packages = vec![WantedPackage { name: name.to_string(), version: None }];
        let update = Update { packages, suite: config.suite.to_string(), allow_downgrade: false };
        // One package that cannot be updated must not hold up the others.
        match agent.update(&UpdateDocument::Update(update), Origin::Polled) {
            Ok(true) => tracing::info!("the update of {name} ended: {}", agent.state().name()),
            Ok(false) => {}
            Err(error) => tracing::error!("{name}: {error:#}"),
        }
    }
    Ok(())
}
