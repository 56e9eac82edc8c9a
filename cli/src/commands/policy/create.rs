//! `debfleet policy create`: a new policy.

use super::read_document;
use crate::report::{self, printable};
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use fleet_protocol::names::PolicyName;
use fleet_protocol::policies::{NewPolicy, POLICIES_PATH, PolicyInfo};
use std::path::PathBuf;

/// Makes a policy from a document. It counts for nobody until it is attached.
///
/// To make the same again changes nothing; what an existing policy says is changed by `debfleet policy version create`.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet policy create sensors sensors.json\n\n\
                  A document that lets each device publish on a topic of its own:\n  \
                  {\"Version\": \"2012-10-17\", \"Statement\": {\"Effect\": \"Allow\", \"Action\": \"iot:Publish\",\n  \
                   \"Resource\": \"arn:aws:iot:*:*:topic/sensors/${iot:Connection.Thing.ThingName}\"}}")]
pub(crate) struct Arguments {
    /// What to call it
    #[arg(value_name = "NAME")]
    name: PolicyName,
    /// The document, in JSON
    #[arg(value_name = "FILE")]
    document: PathBuf,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (document, _) = read_document(&arguments.document)?;
    let new = NewPolicy { name: arguments.name.clone(), document };
    let server = arguments.server.connect()?;
    let info: PolicyInfo = server
        .post_once(POLICIES_PATH, &new)
        .with_context(|| format!("could not make the policy {} on {}", new.name, server.address()))?;
    if arguments.json {
        return report::result(&serde_json::to_string(&info).context("could not write the policy as JSON")?);
    }
    let version = info.policy.default_version;
    report::result(&printable(&format!("the policy {} is there, version {version} is in force", new.name)))
}
