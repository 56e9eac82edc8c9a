//! `debfleet user create`, `update` and `delete`.

use super::{line, password, tell};
use crate::report;
use crate::secret::SecretSource;
use crate::server::ServerOptions;
use anyhow::{Context, Result, bail};
use clap::Args;
use fleet_protocol::access::Role;
use fleet_protocol::names::UserName;
use fleet_protocol::people::{NewUser, UserChange, UserInfo, user_path};

/// Makes a user, who sees nothing yet: `debfleet user give` changes that.
///
/// A viewer watches things; an operator sets what is desired of them, too. Each may do what the lower roles may.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    debfleet user create anna --role operator --display-name 'Anna Berg' --password command:'pass show anna'\n  \
    For a web application that signs its users in by itself:\n    \
    debfleet user create anna@example.org --role viewer")]
pub(crate) struct Create {
    /// Their name: up to 64 letters, digits and `@._-`
    #[arg(value_name = "NAME")]
    user: UserName,
    /// What they may do: viewer, publisher, operator or admin
    #[arg(long, value_name = "ROLE")]
    role: Role,
    /// What they are called
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    display_name: String,
    /// Where their password is: a file, env:NAME or command:COMMAND [default: they have none]
    #[arg(long, value_name = "SOURCE")]
    password: Option<SecretSource>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn create(arguments: &Create) -> Result<()> {
    let Create { user, role, display_name, password, server, json } = arguments;
    let password = password.as_ref().map(password::read).transpose()?;
    let server = server.connect()?;
    let new = NewUser { display_name: display_name.clone(), role: *role, password };
    let made: UserInfo = server
        .post(&user_path(user), &new)
        .with_context(|| format!("could not make the user {user} on {}", server.address()))?;
    tell(&made, *json)
}

/// Changes a user. What is not named stays.
///
/// Of a disabled user all sessions end, and open connections within two seconds.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet user update anna --role viewer\n  debfleet user update anna --disable")]
pub(crate) struct Update {
    /// The user
    #[arg(value_name = "NAME")]
    user: UserName,
    /// What they may do: viewer, publisher, operator or admin
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,
    /// What they are called
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// They may not sign in any more
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// They may sign in again
    #[arg(long)]
    enable: bool,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn update(arguments: &Update) -> Result<()> {
    let Update { user, role, display_name, disable, enable, server, json } = arguments;
    let enabled = (*disable || *enable).then_some(*enable);
    let change = UserChange { display_name: display_name.clone(), role: *role, enabled };
    if change == UserChange::default() {
        bail!("nothing to change was named; give --role, --display-name, --disable or --enable");
    }
    let server = server.connect()?;
    let changed: UserInfo = server
        .patch(&user_path(user), &change)
        .with_context(|| format!("could not change the user {user} on {}", server.address()))?;
    tell(&changed, *json)
}

/// Deletes a user. Their sessions end, and open connections within two seconds.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet user delete anna")]
pub(crate) struct Delete {
    /// The user
    #[arg(value_name = "NAME")]
    user: UserName,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) fn delete(Delete { user, server }: &Delete) -> Result<()> {
    let server = server.connect()?;
    let gone: UserInfo = server
        .delete(&user_path(user))
        .with_context(|| format!("could not delete the user {user} on {}", server.address()))?;
    report::result(&format!("{} was deleted", line(&gone.user)))
}
