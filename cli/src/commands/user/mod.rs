//! `debfleet user`: one module for each group of its commands.

mod change;
mod given;
mod list;
mod password;
mod token;

use crate::report::{self, printable};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use fleet_protocol::people::{User, UserInfo};

/// Makes people known to the server, and says which things they see over MQTT.
///
/// A person sees the things given to them, and those of the groups given to them and of the groups below. What they may
/// do with these is said by the policies of their role and their own. DEBFLEET_TOKEN holds a token: one of the role operator
/// lists users, gives them things and makes their tokens; an admin's does the rest.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Subcommand)]
enum UserCommand {
    Create(change::Create),
    List(list::List),
    Show(list::Show),
    Update(change::Update),
    Delete(change::Delete),
    Password(password::Arguments),
    Give(given::Give),
    Take(given::Take),
    Things(list::Things),
    Token(token::Token),
    EndSessions(token::EndSessions),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        UserCommand::Create(arguments) => change::create(arguments),
        UserCommand::List(arguments) => list::list(arguments),
        UserCommand::Show(arguments) => list::show(arguments),
        UserCommand::Update(arguments) => change::update(arguments),
        UserCommand::Delete(arguments) => change::delete(arguments),
        UserCommand::Password(arguments) => password::run(arguments),
        UserCommand::Give(arguments) => given::give(arguments),
        UserCommand::Take(arguments) => given::take(arguments),
        UserCommand::Things(arguments) => list::things(arguments),
        UserCommand::Token(arguments) => token::token(arguments),
        UserCommand::EndSessions(arguments) => token::end_sessions(arguments),
    }
}

/// A user on one line.
fn line(user: &User) -> String {
    let name = if user.display_name.is_empty() { String::new() } else { format!(" ({})", user.display_name) };
    let state = match (user.enabled, user.has_password) {
        (false, _) => ", disabled",
        (true, false) => ", without a password",
        (true, true) => "",
    };
    printable(&format!("{}{name} {}{state}", user.user_name, user.role))
}

fn tell(info: &UserInfo, json: bool) -> Result<()> {
    if json {
        return report::result(&serde_json::to_string(info).context("could not write the user as JSON")?);
    }
    report::result(&line(&info.user))?;
    let groups = info.thing_groups.iter().map(|group| format!("  the group {group}"));
    let things = info.things.iter().map(|thing| format!("  the thing {thing}"));
    groups.chain(things).try_for_each(|line| report::result(&printable(&line)))
}
