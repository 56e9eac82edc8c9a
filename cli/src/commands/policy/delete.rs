//! `debfleet policy delete`: a policy is no more.

use crate::report::{self, printable};
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use fleet_protocol::names::PolicyName;
use fleet_protocol::policies::{PolicyInfo, policy_path};

/// Deletes a policy that is attached to nothing, with all its versions.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet policy delete sensors")]
pub(crate) struct Arguments {
    /// The policy
    #[arg(value_name = "NAME")]
    name: PolicyName,
    #[command(flatten)]
    server: ServerOptions,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let server = arguments.server.connect()?;
    let name = &arguments.name;
    let deleted: PolicyInfo = server
        .delete(&policy_path(name))
        .with_context(|| format!("could not delete the policy {name} on {}", server.address()))?;
    report::result(&printable(&format!("deleted the policy {}", deleted.policy.name)))
}
