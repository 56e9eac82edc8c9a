//! `debfleet token create`: a new token.

use super::expiry::Expiry;
use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use debian_formats::names::SuiteName;
use fleet_protocol::access::{CreatedToken, NewToken, Role, TOKENS_PATH};
use jiff::Timestamp;

/// Makes a token and prints its secret, which nobody can see again later.
///
/// An admin may do everything; an operator changes suites and reads the audit log; a publisher publishes, in all suites
/// or in those given; a viewer reads, also what is only for devices. Each may do what the later ones may.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    For CI, limited to two suites, for a year:\n    \
    debfleet token create ci --role publisher --suite beta --suite stable --expires 1y\n  \
    The password of devices, for apt's auth.conf:\n    \
    debfleet token create lamps --role viewer --suite stable")]
pub(crate) struct Arguments {
    /// Who or what will hold it
    #[arg(value_name = "NAME")]
    name: String,
    /// What it may do
    #[arg(long, value_name = "ROLE", value_parser = PossibleValuesParser::new(Role::ALL.map(Role::as_str))
        .try_map(|text| text.parse::<Role>()))]
    role: Role,
    /// The only suite that a publisher or viewer may publish in or read; may be given several times [default: all]
    #[arg(long, value_name = "SUITE")]
    suite: Vec<SuiteName>,
    /// When it ends: after a time such as 12h, 90d or 1y, or at a date such as 2030-01-31 [default: never]
    #[arg(long, value_name = "WHEN")]
    expires: Option<Expiry>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object, the secret in it
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let suites: Vec<String> = arguments.suite.iter().map(SuiteName::to_string).collect();
    let new = NewToken {
        name: arguments.name.clone(),
        role: arguments.role,
        suites: (!suites.is_empty()).then_some(suites),
        expires_at: arguments.expires.map(|expiry| expiry.after(Timestamp::now())).transpose()?,
    };
    let server = arguments.server.connect()?;
    let created: CreatedToken =
        server.post(TOKENS_PATH, &new).with_context(|| format!("could not make a token on {}", server.address()))?;
    if arguments.json {
        return report::result(&serde_json::to_string(&created).context("could not write the token as JSON")?);
    }
    let token = &created.token;
    let end = token.expires_at.map_or_else(|| "it does not expire".to_owned(), |at| format!("it expires at {at}"));
    eprintln!("made a token of the role {} with the id {}; {end}; its secret is shown only now:", token.role, token.id);
    report::result(&report::printable(&created.secret))
}
