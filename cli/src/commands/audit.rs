//! `debfleet audit`: who changed what on the server.

use crate::report::{self, printable};
use crate::server::ServerOptions;
use anyhow::{Context, Result, bail};
use clap::Args;
use fleet_protocol::audit::{AUDIT_PATH, AuditEntry, AuditPage};

/// Shows what was changed on a server, by whom, when and from where, the newest first.
///
/// DEBFLEET_TOKEN holds a token of the role operator or admin.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet audit --server https://fleet.example.org:8443 --limit 20\n  \
                  debfleet audit --limit 100000 --json > audit.jsonl")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerOptions,
    /// The most entries to show
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: usize,
    /// Print a JSON object for each entry
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let server = arguments.server.connect()?;
    let mut left = arguments.limit;
    let mut query = String::new();
    while left > 0 {
        let page: AuditPage = server
            .get(&format!("{AUDIT_PATH}{query}"))
            .with_context(|| format!("could not read the audit log of {}", server.address()))?;
        for entry in page.entries.iter().take(left) {
            let line = if arguments.json {
                serde_json::to_string(entry).context("could not write an entry as JSON")?
            } else {
                line_of(entry)
            };
            report::result(&line)?;
        }
        left = left.saturating_sub(page.entries.len());
        let Some(next) = page.next else { break };
        if page.entries.is_empty() || !next.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            bail!("the server gave a page of the audit log that leads nowhere; check that it is a debfleet-server");
        }
        query = format!("?before={next}");
    }
    Ok(())
}

fn line_of(entry: &AuditEntry) -> String {
    let AuditEntry { at, actor, token, action, subject, detail, remote_address, outcome, .. } = entry;
    let token = token.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    printable(&format!("{at} {outcome} {action} {subject}{detail}; by {actor}{token} from {remote_address}"))
}
