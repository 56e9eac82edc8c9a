//! `debfleet suite access`: who may read a suite.

use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use debian_formats::names::SuiteName;
use fleet_protocol::access::{ReadAccess, SuiteAccess, suite_access_path};
use serde_json::json;

/// Shows or sets who may read a suite: everybody, or only devices.
///
/// A device shows a client certificate of the fleet CA, or sends a token of the role viewer (or above) as its password,
/// which apt takes from /etc/apt/auth.conf.d. DEBFLEET_TOKEN holds a token of the role operator or admin.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet suite access stable\n  debfleet suite access customers devices")]
pub(crate) struct Arguments {
    /// The suite
    #[arg(value_name = "SUITE")]
    suite: SuiteName,
    /// Who may read it from now on; absent: show who may
    #[arg(value_name = "ACCESS", value_parser = PossibleValuesParser::new(ReadAccess::ALL.map(ReadAccess::as_str))
        .try_map(|text| text.parse::<ReadAccess>()))]
    access: Option<ReadAccess>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let server = arguments.server.connect()?;
    let (suite, path) = (&arguments.suite, suite_access_path(arguments.suite.as_str()));
    let SuiteAccess { access } = match arguments.access {
        None => server.get(&path).with_context(|| format!("could not ask {} about {suite}", server.address()))?,
        Some(access) => server
            .put(&path, &SuiteAccess { access })
            .with_context(|| format!("could not change who may read {suite} on {}", server.address()))?,
    };
    if arguments.json {
        return report::result(&json!({ "suite": suite, "access": access }).to_string());
    }
    let readers = match access {
        ReadAccess::Public => "everybody may read it",
        ReadAccess::Devices => "only devices and holders of a token may read it",
    };
    report::result(&format!("{suite}: {access}, {readers}"))
}
