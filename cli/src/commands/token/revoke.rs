//! `debfleet token revoke`: a token counts no longer.

use crate::report::{self, printable};
use crate::server::ServerOptions;
use anyhow::{Context, Result, bail};
use clap::Args;
use fleet_protocol::access::{TokenInfo, token_path};

/// Revokes tokens, at once and for good. To revoke one again changes nothing.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet token revoke 716d5d10d064114f\n\n\
                  `debfleet token list` shows the ids.")]
pub(crate) struct Arguments {
    /// The ids of the tokens
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object for each token
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // A secret in place of an id would land in logs; it is not repeated here either.
    if arguments.ids.iter().any(|id| id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        bail!("a token is named by its id, hex digits such as 716d5d10d064114f; `debfleet token list` shows them");
    }
    let server = arguments.server.connect()?;
    for id in &arguments.ids {
        let token: TokenInfo = server
            .delete(&token_path(id))
            .with_context(|| format!("could not revoke the token {id} on {}", server.address()))?;
        if arguments.json {
            report::result(&serde_json::to_string(&token).context("could not write the token as JSON")?)?;
        } else {
            let at = token.revoked_at.map(|at| format!(" at {at}")).unwrap_or_default();
            report::result(&printable(&format!("{id} ({}, {}) was revoked{at}", token.name, token.role)))?;
        }
    }
    Ok(())
}
