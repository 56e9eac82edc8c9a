//! `debfleet certificate list`: which certificates there are.

use super::line;
use crate::report::{self, url_encoded};
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use fleet_protocol::certificates::{CERTIFICATES_PATH, CertificateKind, CertificatePage, CertificateStatus};
use fleet_protocol::names::ThingName;
use jiff::Timestamp;

/// Lists certificates by id, with their status and the things that they speak for.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet certificate list --kind claim\n  \
                  debfleet certificate list --thing lamp-1\n  \
                  debfleet certificate list --status ACTIVE --json | jq -r .certificateId")]
pub(crate) struct Arguments {
    /// Only claims, or only those of devices
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(CertificateKind::ALL.map(CertificateKind::as_str))
        .try_map(|text| text.parse::<CertificateKind>()))]
    kind: Option<CertificateKind>,
    /// Only those of this status
    #[arg(long, value_name = "STATUS", ignore_case = true,
        value_parser = PossibleValuesParser::new(CertificateStatus::ALL.map(CertificateStatus::as_str))
        .try_map(|text| text.to_uppercase().parse::<CertificateStatus>()))]
    status: Option<CertificateStatus>,
    /// Only those that speak for this thing
    #[arg(long, value_name = "THING")]
    thing: Option<ThingName>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object on each line
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { kind, status, thing, json, .. } = arguments;
    let server = arguments.server.connect()?;
    let now = Timestamp::now();
    let kind = kind.map_or_else(String::new, |kind| format!("&kind={kind}"));
    let status = status.map_or_else(String::new, |status| format!("&status={status}"));
    let thing = thing.as_ref().map_or_else(String::new, |thing| format!("&thing={}", url_encoded(thing.as_str())));
    server.pages(|after| {
        let CertificatePage { certificates, next } = server
            .get(&format!("{CERTIFICATES_PATH}?after={}{kind}{status}{thing}", url_encoded(after)))
            .with_context(|| format!("could not list the certificates of {}", server.address()))?;
        for certificate in &certificates {
            report::result(&if *json { serde_json::to_string(certificate)? } else { line(certificate, now) })?;
        }
        Ok(next)
    })
}
