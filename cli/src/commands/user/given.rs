//! `debfleet user give` and `take`: which things a user sees.

use crate::report::{self, printable};
use crate::server::{Server, ServerOptions};
use anyhow::{Context, Result};
use clap::Args;
use fleet_protocol::names::{GroupName, ThingName, UserName};
use fleet_protocol::people::{user_group_path, user_thing_path};
use fleet_protocol::things::Done;
use serde_json::Value;

/// Has a user see things. It holds at once, also on open connections.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet user give anna --group kitchen\n  \
                  debfleet user give anna --thing lamp-1 --thing lamp-2")]
pub(crate) struct Give {
    #[command(flatten)]
    which: Which,
}

/// Has a user see things no longer. It holds at once, also on open connections.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet user take anna --group kitchen")]
pub(crate) struct Take {
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct Which {
    /// The user
    #[arg(value_name = "NAME")]
    user: UserName,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct Given {
    /// A group, static or dynamic: its things, and those of the groups below it; may be given several times
    #[arg(long, value_name = "GROUP")]
    group: Vec<GroupName>,
    /// A thing; may be given several times
    #[arg(long, value_name = "THING")]
    thing: Vec<ThingName>,
}

impl Which {
    /// Each path, and how it is called.
    fn paths(&self) -> impl Iterator<Item = (String, String)> {
        let Self { user, given, .. } = self;
        let groups = given.group.iter().map(|group| (user_group_path(user, group), format!("the group {group}")));
        let things = given.thing.iter().map(|thing| (user_thing_path(user, thing), format!("the thing {thing}")));
        groups.chain(things)
    }

    fn each(&self, word: &str, change: impl Fn(&Server, &str) -> Result<Done>) -> Result<()> {
        let server = self.server.connect()?;
        for (path, what) in self.paths() {
            let Done { changed } = change(&server, &path)
                .with_context(|| format!("could not change what {} sees on {}", self.user, server.address()))?;
            let already = if changed { "" } else { " already" };
            report::result(&printable(&format!("{} {word} {what}{already}", self.user)))?;
        }
        Ok(())
    }
}

pub(super) fn give(Give { which }: &Give) -> Result<()> {
    which.each("has", |server, path| server.put(path, &Value::Null))
}

pub(super) fn take(Take { which }: &Take) -> Result<()> {
    which.each("does not have", |server, path| server.delete(path))
}
