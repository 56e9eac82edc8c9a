//! `debfleet suite`: one module for each of its commands.

mod access;
mod change;
mod import;
mod list;
mod retention;
mod snapshot;

use anyhow::Result;
use clap::{Args, Subcommand};
use fleet_protocol::suites::SuitePackage;

/// Sets up the suites of a server.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: SuiteCommand,
}

#[derive(Subcommand)]
enum SuiteCommand {
    List(list::Arguments),
    Create(list::Create),
    Promote(change::Promote),
    Withdraw(change::Withdraw),
    Phase(change::SetPhase),
    Snapshot(snapshot::Snapshot),
    Return(snapshot::Return),
    Retention(retention::Arguments),
    Import(import::Arguments),
    Access(access::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        SuiteCommand::List(arguments) => list::run(arguments),
        SuiteCommand::Create(arguments) => list::create(arguments),
        SuiteCommand::Promote(arguments) => change::promote(arguments),
        SuiteCommand::Withdraw(arguments) => change::withdraw(arguments),
        SuiteCommand::Phase(arguments) => change::phase(arguments),
        SuiteCommand::Snapshot(arguments) => snapshot::snapshot(arguments),
        SuiteCommand::Return(arguments) => snapshot::return_to(arguments),
        SuiteCommand::Retention(arguments) => retention::run(arguments),
        SuiteCommand::Import(arguments) => import::run(arguments),
        SuiteCommand::Access(arguments) => access::run(arguments),
    }
}

/// A package as one line.
fn line(package: &SuitePackage, json: bool) -> Result<String> {
    if json {
        return Ok(serde_json::to_string(package)?);
    }
    let SuitePackage { package, version, architecture, component, phased, .. } = package;
    let phased = phased.map_or(String::new(), |percentage| format!(", {percentage} % of the devices"));
    Ok(format!("{package} {version} ({architecture}, {component}{phased})"))
}
