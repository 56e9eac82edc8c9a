//! `debfleet policy show`: what a policy says.

use crate::report::{self, printable, url_encoded};
use crate::server::{Server, ServerOptions};
use anyhow::{Context, Result, bail};
use clap::Args;
use fleet_protocol::names::PolicyName;
use fleet_protocol::policies::{
    PolicyInfo, PolicyTarget, PolicyTargetPage, PolicyVersion, policy_path, policy_targets_path, policy_version_path,
};

/// Shows a policy: its versions, what it is attached to, and the document that is in force.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet policy show standard\n  \
                  debfleet policy show standard --document > standard.json\n  \
                  debfleet policy show standard 1 --document")]
pub(crate) struct Arguments {
    /// The policy
    #[arg(value_name = "NAME")]
    name: PolicyName,
    /// Which version's document [default: the one that is in force]
    #[arg(value_name = "VERSION")]
    number: Option<u32>,
    /// Print the document and nothing else
    #[arg(long, conflicts_with = "json")]
    document: bool,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let server = arguments.server.connect()?;
    let failed = || format!("could not show the policy {} of {}", arguments.name, server.address());
    let info: PolicyInfo = server.get(&policy_path(&arguments.name)).with_context(failed)?;
    let document = match arguments.number {
        Some(version) => {
            let version: PolicyVersion =
                server.get(&policy_version_path(&arguments.name, version)).with_context(failed)?;
            if arguments.json {
                return report::result(&serde_json::to_string(&version).context("could not write it as JSON")?);
            }
            version.document
        }
        None => info.document.clone(),
    };
    if arguments.json {
        return report::result(&serde_json::to_string(&info).context("could not write the policy as JSON")?);
    }
    if !arguments.document {
        let targets = targets(&server, &arguments.name).with_context(failed)?;
        for version in &info.versions {
            let in_force = if version.is_default { ", in force" } else { "" };
            report::result(&printable(&format!("version {}: made {}{in_force}", version.version, version.created_at)))?;
        }
        if targets.is_empty() {
            report::result("attached to nothing")?;
        }
        targets.iter().try_for_each(|target| report::result(&printable(&format!("attached to {target}"))))?;
    }
    // As whoever wrote it laid it out.
    document.lines().try_for_each(|line| report::result(&printable(line)))
}

fn targets(server: &Server, policy: &PolicyName) -> Result<Vec<PolicyTarget>> {
    let (mut targets, mut after) = (Vec::new(), String::new());
    loop {
        let page: PolicyTargetPage =
            server.get(&format!("{}?after={}", policy_targets_path(policy), url_encoded(&after)))?;
        targets.extend(page.targets);
        let Some(next) = page.next else { return Ok(targets) };
        if next <= after {
            bail!("the server gave a page of targets that leads nowhere; check that it is a debfleet-server");
        }
        after = next;
    }
}
