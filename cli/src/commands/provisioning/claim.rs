//! `debfleet provisioning claim`: what devices come with.

use crate::commands::token::Expiry;
use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use fleet_protocol::names::TemplateName;
use fleet_protocol::provisioning::rest::{CLAIMS_PATH, CreatedClaim, NewClaim};
use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum ClaimCommand {
    Create(Create),
}

/// Makes a claim: a key, which never leaves this machine, and a certificate for it.
///
/// Devices of a template are made with it, all with the same. With it they can ask for a certificate of their own and
/// be registered, and nothing else. `debfleet certificate list --kind claim` lists claims, `revoke` ends one.
#[derive(Args)]
#[command(after_help = "Example:\n  \
    debfleet provisioning claim create 'lamps, first batch' --template lamps --out claim --expires 1y\n\n\
    claim/ then holds claim.key, claim.pem and fleet-ca.pem: put them on each device.")]
pub(super) struct Create {
    /// Which devices will come with it
    #[arg(value_name = "NAME")]
    name: String,
    /// The template that they are registered by
    #[arg(long, value_name = "TEMPLATE")]
    template: TemplateName,
    /// Folder for the three files; it is created if absent, and no file in it is overwritten
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// When it ends: after a time such as 90d or 1y, or at a date such as 2030-01-31 [default: in two years]
    #[arg(long, value_name = "WHEN")]
    expires: Option<Expiry>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &ClaimCommand) -> Result<()> {
    let ClaimCommand::Create(arguments) = command;
    create(arguments)
}

fn create(arguments: &Create) -> Result<()> {
    let Create { name, template, out, expires, server, json } = arguments;
    let [key_file, certificate_file, ca_file] = ["claim.key", "claim.pem", "fleet-ca.pem"].map(|name| out.join(name));
    if let Some(there) = [&key_file, &certificate_file, &ca_file].into_iter().find(|file| file.exists()) {
        bail!("{} is there already; give another folder with --out", there.display());
    }
    let expires_at = expires.map(|expiry| expiry.after(Timestamp::now())).transpose()?;
    let server = server.connect()?;
    let key = KeyPair::generate().context("could not make a key")?;
    let request = CertificateParams::default().serialize_request(&key).and_then(|request| request.pem());
    let new = NewClaim {
        name: name.clone(),
        template_name: template.clone(),
        certificate_signing_request: request.context("could not make a signing request")?,
        expires_at,
    };
    let claim: CreatedClaim =
        server.post(CLAIMS_PATH, &new).with_context(|| format!("could not make a claim on {}", server.address()))?;
    durable_files::create_dir(out, 0o755)?;
    durable_files::replace(&key_file, key.serialize_pem().as_bytes(), 0o600)?;
    durable_files::replace(&certificate_file, claim.certificate_pem.as_bytes(), 0o644)?;
    durable_files::replace(&ca_file, claim.ca_certificate_pem.as_bytes(), 0o644)?;
    if *json {
        return report::result(&serde_json::to_string(&claim.certificate)?);
    }
    let certificate = &claim.certificate;
    eprintln!("wrote {}, {} and {}", key_file.display(), certificate_file.display(), ca_file.display());
    report::result(&format!(
        "claim {} for the template {template}, until {}",
        certificate.certificate_id, certificate.not_after
    ))
}
