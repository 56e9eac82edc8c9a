//! `debfleet certificate revoke`, `deactivate` and `activate`: whether certificates count.

use super::line;
use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use fleet_protocol::certificates::{CertificateInfo, CertificateStatus, StatusChange, certificate_status_path};
use fleet_protocol::names::CertificateId;
use jiff::Timestamp;

/// Revokes certificates, at once and for good. Open connections with them end within two seconds.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet certificate revoke 94edb1639ec8…\n\n\
                  `debfleet certificate list --thing lamp-1` shows the id of a device's.")]
pub(crate) struct Revoke {
    #[command(flatten)]
    which: Which,
}

/// Has certificates count no longer, until they are activated. Open connections with them end within two seconds.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet certificate deactivate 94edb1639ec8…")]
pub(crate) struct Deactivate {
    #[command(flatten)]
    which: Which,
}

/// Has certificates count again that were deactivated.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet certificate activate 94edb1639ec8…")]
pub(crate) struct Activate {
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct Which {
    /// The certificates' ids
    #[arg(value_name = "ID", required = true)]
    ids: Vec<CertificateId>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object for each
    #[arg(long)]
    json: bool,
}

pub(crate) fn revoke(arguments: &Revoke) -> Result<()> {
    change(&arguments.which, CertificateStatus::Revoked)
}

pub(crate) fn deactivate(arguments: &Deactivate) -> Result<()> {
    change(&arguments.which, CertificateStatus::Inactive)
}

pub(crate) fn activate(arguments: &Activate) -> Result<()> {
    change(&arguments.which, CertificateStatus::Active)
}

fn change(which: &Which, status: CertificateStatus) -> Result<()> {
    let server = which.server.connect()?;
    for id in &which.ids {
        let changed: CertificateInfo = server
            .put(&certificate_status_path(id), &StatusChange { status })
            .with_context(|| format!("could not make the certificate {id} {status} on {}", server.address()))?;
        report::result(&if which.json { serde_json::to_string(&changed)? } else { line(&changed, Timestamp::now()) })?;
    }
    Ok(())
}
