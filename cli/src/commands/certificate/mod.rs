//! `debfleet certificate`: the client certificates of devices.

mod change;
mod list;
mod register;
mod show;

use crate::report::printable;
use anyhow::Result;
use clap::{Args, Subcommand};
use fleet_protocol::certificates::{CertificateInfo, CertificateStatus};
use fleet_protocol::names::ThingName;
use jiff::Timestamp;

/// Lists, shows and revokes the certificates that devices and their claims connect with.
///
/// DEBFLEET_TOKEN holds a token: any to look, an admin's to change.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: CertificateCommand,
}

#[derive(Subcommand)]
enum CertificateCommand {
    List(list::Arguments),
    Show(show::Arguments),
    Register(register::Arguments),
    Revoke(change::Revoke),
    Deactivate(change::Deactivate),
    Activate(change::Activate),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        CertificateCommand::List(arguments) => list::run(arguments),
        CertificateCommand::Show(arguments) => show::run(arguments),
        CertificateCommand::Register(arguments) => register::run(arguments),
        CertificateCommand::Revoke(arguments) => change::revoke(arguments),
        CertificateCommand::Deactivate(arguments) => change::deactivate(arguments),
        CertificateCommand::Activate(arguments) => change::activate(arguments),
    }
}

/// A certificate, on one line.
fn line(certificate: &CertificateInfo, now: Timestamp) -> String {
    let CertificateInfo { certificate_id, name, kind, status, subject, things, template, not_after, .. } = certificate;
    let end = if *not_after <= now { "ended" } else { "until" };
    let things: Vec<&str> = things.iter().map(ThingName::as_str).collect();
    let whose = match (things.is_empty(), name.is_empty()) {
        (false, _) => things.join(", "),
        (true, false) => format!("{name:?}"),
        (true, true) => subject.clone(),
    };
    let template = template.as_ref().map_or_else(String::new, |template| format!("; template {template}"));
    let used = match (certificate.first_used_at, status) {
        (None, CertificateStatus::Active) => "; never used",
        _ => "",
    };
    printable(&format!("{certificate_id} {kind:<6} {status}: {whose}; {end} {not_after}{template}{used}"))
}
