//! `debfleet user password`: what a user signs in with.

use super::line;
use crate::report;
use crate::secret::SecretSource;
use crate::server::ServerOptions;
use anyhow::{Context, Result, bail};
use clap::Args;
use fleet_protocol::names::UserName;
use fleet_protocol::people::{NewPassword, UserInfo, password_path};
use std::io::IsTerminal as _;

/// Sets a user's password, of at least twelve characters. All that they are signed in with ends.
#[derive(Args)]
#[command(after_help = "Examples:\n  Asked for on the terminal:\n    debfleet user password anna\n  \
                  debfleet user password anna --password command:'pass show anna'")]
pub(crate) struct Arguments {
    /// The user
    #[arg(value_name = "NAME")]
    user: UserName,
    /// Where the password is: a file, env:NAME or command:COMMAND [default: it is asked for]
    #[arg(long, value_name = "SOURCE")]
    password: Option<SecretSource>,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) fn run(Arguments { user, password, server }: &Arguments) -> Result<()> {
    let password = match password {
        Some(source) => read(source)?,
        None => ask(user)?,
    };
    let server = server.connect()?;
    let info: UserInfo = server
        .put(&password_path(user), &NewPassword { password })
        .with_context(|| format!("could not set the password of {user} on {}", server.address()))?;
    report::result(&format!("{}: the password is set, and they have to sign in again", line(&info.user)))
}

/// A password from where it was said to be.
pub(super) fn read(source: &SecretSource) -> Result<String> {
    let bytes = source.read_passphrase()?;
    String::from_utf8(bytes.to_vec()).context("the password is not UTF-8 text")
}

fn ask(user: &UserName) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask for the password; give --password with a file, env:NAME or command:COMMAND");
    }
    let prompt = |text: String| rpassword::prompt_password(text).context("could not ask for the password");
    let password = prompt(format!("new password of {user}: "))?;
    if prompt("the same again: ".to_owned())? != password {
        bail!("the passwords differ; nothing was changed");
    }
    Ok(password)
}
