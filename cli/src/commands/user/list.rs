//! `debfleet user list`, `show` and `things`.

use super::{line, tell};
use crate::report::{self, url_encoded};
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use fleet_protocol::names::{ThingName, UserName};
use fleet_protocol::people::{USERS_PATH, UserInfo, UserPage, user_path, user_things_path};
use fleet_protocol::things::GroupMembers;

/// Lists all users, by name.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet user list")]
pub(crate) struct List {
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object on each line
    #[arg(long)]
    json: bool,
}

pub(super) fn list(List { server, json }: &List) -> Result<()> {
    let server = server.connect()?;
    server.pages(|after| {
        let UserPage { users, next } = server
            .get(&format!("{USERS_PATH}?after={}", url_encoded(after)))
            .with_context(|| format!("could not list the users of {}", server.address()))?;
        for user in &users {
            let text =
                if *json { serde_json::to_string(user).context("could not write a user as JSON")? } else { line(user) };
            report::result(&text)?;
        }
        Ok(next)
    })
}

/// Shows a user, and what was given to them.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet user show anna --json")]
pub(crate) struct Show {
    /// The user
    #[arg(value_name = "NAME")]
    user: UserName,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn show(Show { user, server, json }: &Show) -> Result<()> {
    let server = server.connect()?;
    let found: UserInfo = server
        .get(&user_path(user))
        .with_context(|| format!("could not ask {} for the user {user}", server.address()))?;
    tell(&found, *json)
}

/// Lists the things that a user sees, by themselves and in groups.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet user things anna")]
pub(crate) struct Things {
    /// The user
    #[arg(value_name = "NAME")]
    user: UserName,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) fn things(Things { user, server }: &Things) -> Result<()> {
    let server = server.connect()?;
    server.pages(|after| {
        let GroupMembers { things, next } = server
            .get(&format!("{}?after={}", user_things_path(user), url_encoded(after)))
            .with_context(|| format!("could not ask {} for the things of {user}", server.address()))?;
        things.iter().map(ThingName::as_str).try_for_each(report::result)?;
        Ok(next)
    })
}
