//! What each command does, and its exit code.

use crate::agent::{self, Agent, InBetween, Moment, Origin, own_unit};
use crate::command_line::{Command, CommandLine};
use crate::config::Config;
use crate::device_key;
use crate::identity::{self, Identity};
use crate::stages::Wish;
use crate::supervision;
use crate::transaction::State;
use anyhow::{Context, Result, anyhow, bail};
use fleet_protocol::update_document::{Update, UpdateDocument, WantedPackage};
use serde::Serialize;
use std::fmt::Display;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Exit codes, as `--help` tells them.
const ROLLED_BACK: u8 = 3;
const IN_BETWEEN: u8 = 4;
const POSTPONED: u8 = 5;

/// Carries out a command.
pub(crate) fn run(arguments: &CommandLine) -> Result<ExitCode> {
    device_key::provider().install_default().map_err(|_| anyhow!("could not set up the cryptography for TLS"))?;
    // The service's own loop feeds its watchdog itself, and not before it can be told to end.
    if !matches!(arguments.command, Command::Run) {
        supervision::watch_steps();
    }
    let config = match Config::load(&arguments.config, &arguments.root) {
        Ok(config) => config,
        Err(error) => return without_configuration(arguments, error.into()),
    };
    match &arguments.command {
        Command::Status { json } => show(&agent::status(&config)?, *json)?,
        Command::History { json } => {
            let entries = agent::history(&config);
            if *json {
                print(&(serde_json::to_string_pretty(&entries)? + "\n"))?;
            } else {
                print(&agent::history_lines(&entries))?;
            }
        }
        Command::Explain { number } => print(&agent::explain(&config, *number)?)?,
        Command::SelfCheck => {
            agent::self_check(&config)?;
            print(concat!("debfleet-updater ", env!("CARGO_PKG_VERSION"), " reaches its repository\n"))?;
        }
        Command::Recover { at_boot: true } => return recover(&config, Moment::Boot),
        Command::Run => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let ended = runtime.block_on(agent::run(Arc::new(config)));
            // Not waited for: who hands updates to a unit of their own need not see their end.
            runtime.shutdown_background();
            ended?;
        }
        Command::Plan { packages, allow_downgrade, from, json } => {
            let update = wanted(&config, packages, *allow_downgrade)?;
            own_unit::end_interrupted(&config)?;
            let mut agent = Agent::open(&config, Moment::Running)?;
            if let Some(folder) = from {
                agent.take_from(folder.clone());
            }
            let report = agent.preview(&update);
            show(&report, *json)?;
            return Ok(if report.is_refused() { ExitCode::FAILURE } else { ExitCode::SUCCESS });
        }
        Command::Check { json } => {
            own_unit::end_interrupted(&config)?;
            show(&Agent::open(&config, Moment::Running)?.check()?, *json)?;
        }
        Command::Provision => {
            let settings = config.provisioning().context("the configuration has no table [provisioning]")?;
            let Identity { thing, .. } = identity::provision(&settings)?;
            print(&format!("this device is the thing {thing}; its key and certificate are in {}\n", settings.store))?;
        }
        Command::Commit => return end_trial(&config, Wish::Commit, || bail!("no update is on trial")),
        Command::Rollback => return end_trial(&config, Wish::RollBack, || change(&config, &arguments.command)),
        Command::Poll { package } => return poll(&config, package),
        Command::Apply { document } => return apply(&config, document),
        Command::Recover { at_boot: false } | Command::Install { .. } => return change(&config, &arguments.command),
    }
    Ok(ExitCode::SUCCESS)
}

/// Carries out a command that changes the device: where systemd runs, in a unit of its own.
fn change(config: &Config, command: &Command) -> Result<ExitCode> {
    if own_unit::is_wanted(config) {
        let before = agent::state(config)?;
        let code = own_unit::run(config)?;
        let after = agent::state(config)?;
        let began = |state: &State| state.transaction().map(|transaction| transaction.began);
        // To systemd-run, also a program that its watchdog ended has failed like any other; the journal knows better.
        let went_on = began(&before) != began(&after) && !matches!(after, State::Abandoned { .. });
        return match code {
            Some(code) if code != own_unit::FAILED || !went_on => {
                if matches!(command, Command::Recover { .. }) {
                    print(&format!("state: {}\n", after.name()))?;
                }
                Ok(ExitCode::from(code))
            }
            _ => {
                tracing::error!("the update was ended from outside, and the recovery followed");
                conclude(&after)
            }
        };
    }
    match command {
        Command::Install { packages, allow_downgrade, from } => {
            install(config, packages, *allow_downgrade, from.as_deref())
        }
        Command::Rollback => roll_back(config),
        _ => recover(config, Moment::Running),
    }
}

fn install(config: &Config, packages: &[String], allow_downgrade: bool, from: Option<&Path>) -> Result<ExitCode> {
    let update = wanted(config, packages, allow_downgrade)?;
    let mut agent = Agent::open(config, Moment::Running)?;
    if let Some(folder) = from {
        agent.take_from(folder.to_owned());
    }
    if !agent.update(&UpdateDocument::Update(update), Origin::Asked)? {
        print("nothing to do: up to date\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    conclude(agent.state())
}

/// One package of a poll, in the unit that the polling service handed it to.
fn poll(config: &Config, package: &str) -> Result<ExitCode> {
    let mut agent = Agent::open(config, Moment::Running)?;
    if !agent.update(&agent::newest(config, &package.parse()?), Origin::Polled)? {
        return Ok(ExitCode::SUCCESS);
    }
    conclude(agent.state())
}

/// What the fleet's server wished, in the unit that the service handed it to.
fn apply(config: &Config, document: &str) -> Result<ExitCode> {
    let document = serde_json::from_str(document).context("this is no update document")?;
    let mut agent = Agent::open(config, Moment::Running)?;
    if !agent.update(&document, Origin::Asked)? {
        return Ok(ExitCode::SUCCESS);
    }
    conclude(agent.state())
}

fn roll_back(config: &Config) -> Result<ExitCode> {
    let mut agent = Agent::open(config, Moment::Running)?;
    agent.roll_back()?;
    let State::RolledBack { transaction, .. } = agent.state() else { return conclude(agent.state()) };
    for package in transaction.asked_first() {
        let back = package.from.as_ref().map_or("not installed".to_owned(), ToString::to_string);
        print(&format!("{} is back at: {back}\n", package.name))?;
    }
    for package in &transaction.removed {
        print(&format!("{} is back at: {}\n", package.name, package.version))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn recover(config: &Config, moment: Moment) -> Result<ExitCode> {
    let agent = Agent::open(config, moment)?;
    // In the unit of an update that has said all itself it is only there to look after it.
    if !crate::system::is_inside_own_unit() {
        print(&format!("state: {}\n", agent.state().name()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends a version's trial as a person wishes; without a trial, does `otherwise`.
fn end_trial(config: &Config, wish: Wish, otherwise: impl FnOnce() -> Result<ExitCode>) -> Result<ExitCode> {
    // The unit that a rollback runs in has no wishes of its own.
    if crate::system::is_inside_own_unit() || !agent::wish(config, wish)? {
        return otherwise();
    }
    // Whoever tried it has ended; if nobody did, this finds the wish.
    if !agent::is_at_rest(config) {
        own_unit::end_interrupted(config)?;
    }
    match (wish, agent::state(config)?) {
        (Wish::RollBack, state @ State::RolledBack { .. }) => conclude(&state).map(|_| ExitCode::SUCCESS),
        (_, state) => conclude(&state),
    }
}

/// An interrupted update is ended also on a device whose configuration is broken: perhaps by that very update.
fn without_configuration(arguments: &CommandLine, error: anyhow::Error) -> Result<ExitCode> {
    let moment = match arguments.command {
        Command::Recover { at_boot: true } => Moment::Boot,
        Command::Recover { at_boot: false } | Command::Run => Moment::Running,
        _ => return Err(error),
    };
    let config = Config::for_recovery(&arguments.config, &arguments.root)?;
    if moment == Moment::Running && own_unit::is_wanted(&config) {
        own_unit::recover(&config)?;
        return Err(error);
    }
    let agent = Agent::open(&config, moment)?;
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
            for package in transaction.asked_first() {
                print(&format!("{} {} is installed and healthy\n", package.name, package.to))?;
            }
            for package in &transaction.removed {
                let (name, version) = (&package.name, &package.version);
                print(&format!("{name} {version} was removed; something in the set took its place\n"))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        State::Rebooting { transaction, .. } => {
            for package in transaction.asked_first() {
                let (name, to) = (&package.name, &package.to);
                print(&format!("{name} {to} is installed; the device boots now and tries it\n"))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        // Why stands in the log already, at the moment it happened.
        State::RolledBack { transaction, .. } => {
            for package in transaction.asked_first() {
                let back = package.from.as_ref().map_or("not installed".to_owned(), ToString::to_string);
                print(&format!("{} {} was rolled back; the device is at: {back}\n", package.name, package.to))?;
            }
            Ok(ExitCode::from(ROLLED_BACK))
        }
        State::Stuck { reason, .. } => {
            tracing::error!("{reason}");
            Ok(ExitCode::from(IN_BETWEEN))
        }
        State::Postponed { reason, .. } => {
            print(&format!("postponed, and nothing was changed: {reason}\n"))?;
            Ok(ExitCode::from(POSTPONED))
        }
        State::Abandoned { reason, .. } => bail!("nothing was changed: {reason}"),
        other => Err(InBetween::new(format!("the update ended in the state {}", other.name())).into()),
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

fn show(report: &(impl Serialize + Display), json: bool) -> Result<()> {
    print(&if json { serde_json::to_string_pretty(report)? + "\n" } else { report.to_string() })
}

/// A reader that went away (`| head`) is an error like any other, not a panic.
fn print(text: &str) -> Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
