//! `debfleet certificate show`: all that is known of a certificate.

use super::line;
use crate::report::{self, printable};
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use fleet_protocol::certificates::{CertificateDescription, certificate_path};
use fleet_protocol::names::CertificateId;
use jiff::Timestamp;

/// Shows a certificate, with --pem itself.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet certificate show 94edb1639ec8… --pem | openssl x509 -noout -text")]
pub(crate) struct Arguments {
    /// The certificate's id
    #[arg(value_name = "ID")]
    id: CertificateId,
    /// Print the certificate in PEM form, and nothing else
    #[arg(long, conflicts_with = "json")]
    pem: bool,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let server = arguments.server.connect()?;
    let described: CertificateDescription = server
        .get(&certificate_path(&arguments.id))
        .with_context(|| format!("could not read the certificate on {}", server.address()))?;
    if arguments.json {
        return report::result(&serde_json::to_string(&described).context("could not write it as JSON")?);
    }
    if arguments.pem {
        return described.certificate_pem.lines().try_for_each(|line| report::result(&printable(line)));
    }
    let certificate = &described.certificate;
    report::result(&line(certificate, Timestamp::now()))?;
    let used = certificate.first_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    report::result(&printable(&format!("subject: {}; serial number: {}", certificate.subject, certificate.serial)))?;
    report::result(&format!(
        "valid from {}; known since {}; first used: {used}",
        certificate.not_before, certificate.creation_date
    ))
}
