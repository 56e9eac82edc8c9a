//! `debfleet policy list`: which policies there are.

use crate::report::{self, printable, url_encoded};
use crate::server::ServerOptions;
use anyhow::{Context, Result, bail};
use clap::Args;
use fleet_protocol::policies::{POLICIES_PATH, PolicyPage};

/// Lists the policies of a server by name, with the version that is in force.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet policy list --server https://fleet.example.org:8443")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let server = arguments.server.connect()?;
    let (mut policies, mut after) = (Vec::new(), String::new());
    loop {
        let page: PolicyPage = server
            .get(&format!("{POLICIES_PATH}?after={}", url_encoded(&after)))
            .with_context(|| format!("could not list the policies of {}", server.address()))?;
        policies.extend(page.policies);
        let Some(next) = page.next else { break };
        if next <= after {
            bail!("the server gave a page of policies that leads nowhere; check that it is a debfleet-server");
        }
        after = next;
    }
    if arguments.json {
        return report::result(&serde_json::to_string(&policies).context("could not write the policies as JSON")?);
    }
    policies.iter().try_for_each(|policy| {
        let line = format!("{}: version {}; made {}", policy.name, policy.default_version, policy.created_at);
        report::result(&printable(&line))
    })
}
