//! `debfleet certificate register`: a certificate that was made elsewhere.

use super::line;
use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use fleet_protocol::certificates::{
    CERTIFICATES_PATH, CertificateDescription, CertificateInfo, NewCertificate, certificate_path,
};
use fleet_protocol::names::ThingName;
use fleet_protocol::things::{Done, principal_path};
use jiff::Timestamp;
use std::path::PathBuf;

/// Registers a device's certificate that was made with the fleet CA's key elsewhere. It counts from then on.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet certificate register lamp-1.pem --thing lamp-1")]
pub(crate) struct Arguments {
    /// The certificate, in PEM form
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A thing that it speaks for
    #[arg(long, value_name = "THING")]
    thing: Option<ThingName>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { file, thing, server, json } = arguments;
    let certificate_pem =
        std::fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?;
    let server = server.connect()?;
    let failed = || format!("could not register {} on {}", file.display(), server.address());
    let mut registered: CertificateInfo =
        server.post(CERTIFICATES_PATH, &NewCertificate { certificate_pem }).with_context(failed)?;
    if let Some(thing) = thing {
        let id = &registered.certificate_id;
        let Done { .. } = server.put(&principal_path(thing, id), &()).with_context(failed)?;
        registered = server.get::<CertificateDescription>(&certificate_path(id)).with_context(failed)?.certificate;
    }
    let told = if *json { serde_json::to_string(&registered)? } else { line(&registered, Timestamp::now()) };
    report::result(&told)
}
