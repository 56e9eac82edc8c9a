//! `debfleet-updater`: the agent on the device.

mod agent;
mod command_line;
mod config;
#[cfg(feature = "manual")]
mod manual;
mod memory;
mod policy;
mod repository;
mod snapshot;
mod stages;
mod supervision;
mod system;
mod transaction;

use agent::{Agent, Origin};
use anyhow::{Result, anyhow, bail};
use clap::Parser;
use command_line::{Command, CommandLine};
use config::Config;
use fleet_protocol::update_document::{Update, UpdateDocument, WantedPackage};
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;
use transaction::State;

fn main() -> ExitCode {
    #[cfg(feature = "manual")]
    if let Some(out) = manual::asked_for() {
        return manual::write(&out);
    }
    let arguments = CommandLine::parse();
    let filter = EnvFilter::try_from_env("DEBFLEET_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .without_time()
        .init();
    match start(arguments) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(if error.is::<agent::CouldNotRollBack>() { 4 } else { 1 })
        }
    }
}

fn start(arguments: CommandLine) -> Result<ExitCode> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow!("could not set up the cryptography for TLS"))?;
    let config = match Config::load(&arguments.config, &arguments.root) {
        Ok(config) => config,
        Err(error) => return without_configuration(&arguments, error.into()),
    };
    match arguments.command {
        Command::Check { json } => {
            let report = Agent::open(&config)?.check()?;
            print(&if json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() })?;
        }
        Command::Status { json } => {
            let report = agent::status(&config)?;
            print(&if json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() })?;
        }
        Command::Install { packages, allow_downgrade, from } => {
            let update = wanted(&config, &packages, allow_downgrade)?;
            let mut agent = Agent::open(&config)?;
            if let Some(folder) = from {
                agent.take_from(folder);
            }
            if !agent.update(&UpdateDocument::Update(update), Origin::Asked)? {
                print("nothing to do: up to date\n")?;
                return Ok(ExitCode::SUCCESS);
            }
            return conclude(agent.state());
        }
        Command::Rollback => {
            let mut agent = Agent::open(&config)?;
            agent.roll_back()?;
            if let State::RolledBack { transaction, .. } = agent.state() {
                for package in &transaction.packages {
                    let back = package.from.as_ref().map_or("not installed".to_owned(), ToString::to_string);
                    print(&format!("{} is back at: {back}\n", package.name))?;
                }
                return Ok(ExitCode::SUCCESS);
            }
            return conclude(agent.state());
        }
        Command::Recover => {
            let agent = Agent::open(&config)?;
            print(&format!("state: {}\n", agent.state().name()))?;
        }
        Command::Run => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(agent::run(Arc::new(config)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// An interrupted update is ended also on a device whose configuration is broken: perhaps by that very update.
fn without_configuration(arguments: &CommandLine, error: anyhow::Error) -> Result<ExitCode> {
    if !matches!(arguments.command, Command::Recover | Command::Run) {
        return Err(error);
    }
    let config = Config::for_recovery(&arguments.config, &arguments.root)?;
    let agent = Agent::open(&config)?;
    if matches!(arguments.command, Command::Run) {
        return Err(error);
    }
    tracing::warn!("{error:#}; recovery needs none of it");
    print(&format!("state: {}\n", agent.state().name()))?;
    Ok(ExitCode::SUCCESS)
}

/// Says how a transaction ended, in words and as exit code.
fn conclude(state: &State) -> Result<ExitCode> {
    match state {
        State::Committed { transaction } => {
            for package in &transaction.packages {
                print(&format!("{} {} is installed and healthy\n", package.name, package.to))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        // Why stands in the log already, at the moment it happened.
        State::RolledBack { transaction, .. } => {
            for package in &transaction.packages {
                let back = package.from.as_ref().map_or("not installed".to_owned(), ToString::to_string);
                print(&format!("{} {} was rolled back; the device is at: {back}\n", package.name, package.to))?;
            }
            Ok(ExitCode::from(3))
        }
        State::Stuck { reason, .. } => {
            tracing::error!("{reason}");
            Ok(ExitCode::from(4))
        }
        State::Abandoned { reason, .. } => bail!("nothing was changed: {reason}"),
        other => bail!("the update ended in the state {}", other.name()),
    }
}

fn wanted(config: &Config, packages: &[String], allow_downgrade: bool) -> Result<Update> {
    let mut wanted: Vec<WantedPackage> = packages
        .iter()
        .map(|text| match text.split_once('=') {
            Some((name, version)) => WantedPackage { name: name.to_owned(), version: Some(version.to_owned()) },
            None => WantedPackage { name: text.clone(), version: None },
        })
        .collect();
    if wanted.is_empty() {
        wanted = config.packages.iter().map(|name| WantedPackage { name: name.to_string(), version: None }).collect();
    }
    if wanted.is_empty() {
        bail!("name a package, or list `packages` in the configuration");
    }
    Ok(Update { packages: wanted, suite: config.suite.to_string(), allow_downgrade })
}

/// A reader that went away (`| head`) is an error like any other, not a panic.
fn print(text: &str) -> Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
