//! `debfleet provisioning`: how devices come into the fleet.

mod claim;
mod serials;
mod template;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Sets up how devices come into the fleet: templates, lists of serial numbers, and claims.
///
/// DEBFLEET_TOKEN holds a token: any to look, an admin's to change.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: ProvisioningCommand,
}

#[derive(Subcommand)]
enum ProvisioningCommand {
    /// What devices become
    #[command(subcommand)]
    Template(template::TemplateCommand),
    /// Which devices are let in, where a template has a list
    #[command(subcommand)]
    Serials(serials::SerialsCommand),
    /// What devices come with
    #[command(subcommand)]
    Claim(claim::ClaimCommand),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        ProvisioningCommand::Template(command) => template::run(command),
        ProvisioningCommand::Serials(command) => serials::run(command),
        ProvisioningCommand::Claim(command) => claim::run(command),
    }
}
