//! The daemon: polls the suite and brings the configured packages up to date.

use super::{Agent, Origin};
use crate::config::Config;
use crate::supervision;
use anyhow::{Context, Result};
use fleet_protocol::update_document::{Update, UpdateDocument, WantedPackage};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Polls until it is told to end. A transaction that has begun is brought to its end first.
pub(crate) async fn run(config: Arc<Config>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    tracing::info!("polling the suite {} every {} s", config.suite, config.poll_interval.as_secs());
    supervision::ready();
    let told_to_end = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::select! {
        ended = poll_until(told_to_end, config) => ended?,
        never = supervision::keep_alive() => match never {},
    }
    tracing::info!("ended");
    Ok(())
}

async fn poll_until(told_to_end: impl Future<Output = ()>, config: Arc<Config>) -> Result<()> {
    tokio::pin!(told_to_end);
    loop {
        let this = Arc::clone(&config);
        let mut polling = tokio::task::spawn_blocking(move || poll(&this));
        let (polled, is_last) = tokio::select! {
            polled = &mut polling => (polled?, false),
            () = &mut told_to_end => {
                supervision::stopping();
                (polling.await?, true)
            }
        };
        if let Err(error) = polled {
            tracing::error!("{error:#}");
        }
        if is_last {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(config.poll_interval) => {}
            () = &mut told_to_end => {
                supervision::stopping();
                return Ok(());
            }
        }
    }
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
