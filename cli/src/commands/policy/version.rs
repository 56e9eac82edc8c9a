//! `debfleet policy version`: what a policy says changes by a new version.

use super::read_document;
use crate::report::{self, printable};
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use fleet_protocol::names::PolicyName;
use fleet_protocol::policies::{
    DefaultVersion, NewPolicyVersion, PolicyInfo, PolicyVersion, default_version_path, policy_version_path,
    policy_versions_path,
};
use std::path::PathBuf;

/// Makes versions of a policy, puts them in force and deletes them. A policy has five at the most.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: VersionCommand,
}

#[derive(Subcommand)]
enum VersionCommand {
    Create(CreateArguments),
    /// Puts a version of a policy in force, at once
    #[command(after_help = "Example:\n  debfleet policy version default sensors 1")]
    Default(NumberArguments),
    /// Deletes a version of a policy that is not in force
    #[command(after_help = "Example:\n  debfleet policy version delete sensors 1")]
    Delete(NumberArguments),
}

/// Makes a version of a policy from a document; with --set-default it is in force at once.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet policy version create sensors sensors.json --set-default")]
struct CreateArguments {
    /// The policy
    #[arg(value_name = "NAME")]
    name: PolicyName,
    /// The document, in JSON
    #[arg(value_name = "FILE")]
    document: PathBuf,
    /// Put it in force
    #[arg(long)]
    set_default: bool,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct NumberArguments {
    /// The policy
    #[arg(value_name = "NAME")]
    name: PolicyName,
    /// The number of the version
    #[arg(value_name = "VERSION")]
    number: u32,
    #[command(flatten)]
    server: ServerOptions,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        VersionCommand::Create(arguments) => create(arguments),
        VersionCommand::Default(arguments) => put_in_force(arguments),
        VersionCommand::Delete(arguments) => delete(arguments),
    }
}

fn create(arguments: &CreateArguments) -> Result<()> {
    let (document, _) = read_document(&arguments.document)?;
    let (name, new) = (&arguments.name, NewPolicyVersion { document, set_as_default: arguments.set_default });
    let server = arguments.server.connect()?;
    let made: PolicyVersion = server
        .post_once(&policy_versions_path(name), &new)
        .with_context(|| format!("could not make a version of the policy {name} on {}", server.address()))?;
    if arguments.json {
        return report::result(&serde_json::to_string(&made).context("could not write the version as JSON")?);
    }
    let number = made.version.version;
    let state = match made.version.is_default {
        true => "it is in force".to_owned(),
        false => format!("`debfleet policy version default {name} {number}` puts it in force"),
    };
    report::result(&printable(&format!("made version {number} of the policy {name}; {state}")))
}

fn put_in_force(arguments: &NumberArguments) -> Result<()> {
    let NumberArguments { name, number, server } = arguments;
    let server = server.connect()?;
    let _: PolicyInfo = server
        .put(&default_version_path(name), &DefaultVersion { version: *number })
        .with_context(|| format!("could not put version {number} of {name} in force on {}", server.address()))?;
    report::result(&printable(&format!("version {number} of the policy {name} is in force")))
}

fn delete(arguments: &NumberArguments) -> Result<()> {
    let NumberArguments { name, number, server } = arguments;
    let server = server.connect()?;
    let _: PolicyVersion = server
        .delete(&policy_version_path(name, *number))
        .with_context(|| format!("could not delete version {number} of {name} on {}", server.address()))?;
    report::result(&printable(&format!("deleted version {number} of the policy {name}")))
}
