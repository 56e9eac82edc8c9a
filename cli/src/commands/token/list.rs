//! `debfleet token list`: which tokens there are.

use crate::report::{self, printable};
use crate::server::ServerOptions;
use anyhow::{Context, Result, bail};
use clap::Args;
use fleet_protocol::access::{TOKENS_PATH, TokenInfo, TokenPage};
use jiff::Timestamp;

/// Lists the tokens of a server, the oldest first, revoked and expired ones too; never a secret.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet token list --server https://fleet.example.org:8443\n  \
                  debfleet token list --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let server = arguments.server.connect()?;
    let (mut tokens, mut after) = (Vec::new(), String::new());
    loop {
        let page: TokenPage = server
            .get(&format!("{TOKENS_PATH}?after={after}"))
            .with_context(|| format!("could not list the tokens of {}", server.address()))?;
        tokens.extend(page.tokens);
        let Some(next) = page.next else { break };
        if next <= after || !next.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            bail!("the server gave a page of tokens that leads nowhere; check that it is a debfleet-server");
        }
        after = next;
    }
    tokens.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
    if arguments.json {
        return report::result(&serde_json::to_string(&tokens).context("could not write the tokens as JSON")?);
    }
    let now = Timestamp::now();
    tokens.iter().try_for_each(|token| report::result(&line_of(token, now)))
}

fn line_of(token: &TokenInfo, now: Timestamp) -> String {
    let TokenInfo { id, name, role, suites, created_at, last_used_at, .. } = token;
    let suites = suites.as_ref().map_or_else(|| "all suites".to_owned(), |suites| suites.join(", "));
    let used = last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("last used {at}"));
    let state = state_of(token, now);
    printable(&format!("{id} {role:<9} {name}: {state}; for {suites}; made {created_at}, {used}"))
}

fn state_of(token: &TokenInfo, now: Timestamp) -> String {
    match (token.revoked_at, token.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if at <= now => format!("expired {at}"),
        (None, Some(at)) => format!("valid until {at}"),
        (None, None) => "valid".to_owned(),
    }
}
