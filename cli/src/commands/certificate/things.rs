//! `debfleet certificate attach` and `detach`: for which things a certificate speaks.

use super::line;
use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use fleet_protocol::certificates::{CertificateInfo, certificate_thing_path};
use fleet_protocol::names::{CertificateId, ThingName};
use jiff::Timestamp;
use serde_json::Value;

/// Has a certificate speak for a thing: whoever shows it may connect under the thing's name.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet certificate attach 94edb1639ec8… lamp-1")]
pub(crate) struct Attach {
    #[command(flatten)]
    which: Which,
}

/// Has a certificate speak for a thing no longer.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet certificate detach 94edb1639ec8… lamp-1")]
pub(crate) struct Detach {
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct Which {
    /// The certificate's id
    #[arg(value_name = "ID")]
    id: CertificateId,
    /// The thing
    #[arg(value_name = "THING")]
    thing: ThingName,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn attach(arguments: &Attach) -> Result<()> {
    let Which { id, thing, server, .. } = &arguments.which;
    let server = server.connect()?;
    let changed = server
        .put(&certificate_thing_path(id, thing), &Value::Null)
        .with_context(|| format!("could not attach the certificate to {thing} on {}", server.address()))?;
    tell(&arguments.which, &changed)
}

pub(crate) fn detach(arguments: &Detach) -> Result<()> {
    let Which { id, thing, server, .. } = &arguments.which;
    let server = server.connect()?;
    let changed = server
        .delete(&certificate_thing_path(id, thing))
        .with_context(|| format!("could not detach the certificate from {thing} on {}", server.address()))?;
    tell(&arguments.which, &changed)
}

fn tell(which: &Which, changed: &CertificateInfo) -> Result<()> {
    report::result(&if which.json { serde_json::to_string(changed)? } else { line(changed, Timestamp::now()) })
}
