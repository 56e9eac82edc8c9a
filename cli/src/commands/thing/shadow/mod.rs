//! `debfleet thing shadow`: one module for each of its commands.

mod delete;
mod get;
mod lines;
mod list;
mod set;

use anyhow::Result;
use clap::{Args, Subcommand};
use fleet_protocol::names::{ShadowName, ThingName};
use fleet_protocol::shadow::ShadowId;

/// Shows and changes things' shadows: what devices reported, and what is desired of them.
///
/// DEBFLEET_TOKEN holds a token: of the role viewer to look, of the role operator to change something.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: ShadowCommand,
}

#[derive(Subcommand)]
enum ShadowCommand {
    Get(get::Arguments),
    Set(set::Arguments),
    Delete(delete::Arguments),
    List(list::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        ShadowCommand::Get(arguments) => get::run(arguments),
        ShadowCommand::Set(arguments) => set::run(arguments),
        ShadowCommand::Delete(arguments) => delete::run(arguments),
        ShadowCommand::List(arguments) => list::run(arguments),
    }
}

/// Which shadow a command is about.
#[derive(Args)]
struct WhichShadow {
    /// The thing
    #[arg(value_name = "THING")]
    thing: ThingName,
    /// A named shadow, such as $package; absent: the classic one
    #[arg(long, value_name = "NAME")]
    name: Option<ShadowName>,
}

impl WhichShadow {
    fn id(&self) -> ShadowId {
        ShadowId { thing: self.thing.clone(), name: self.name.clone() }
    }
}
