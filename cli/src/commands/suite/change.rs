//! `debfleet suite withdraw`, `promote` and `phase`: what a suite holds, without an upload.

use crate::report;
use crate::server::{Server, ServerOptions};
use anyhow::{Context, Result};
use clap::Args;
use debian_formats::names::SuiteName;
use debian_formats::{Architecture, PackageName, Version};
use fleet_protocol::suites::{Changed, Phase, Promotion, package_path, phase_path, promotions_path};

/// Which packages, on which server.
#[derive(Args)]
struct Selected {
    /// The package
    #[arg(value_name = "PACKAGE")]
    package: PackageName,
    /// Only this version; absent: every version
    #[arg(long, value_name = "VERSION")]
    version: Option<Version>,
    /// Only for this architecture; absent: for every one
    #[arg(long, value_name = "ARCH")]
    architecture: Option<Architecture>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object for each package
    #[arg(long)]
    json: bool,
}

impl Selected {
    fn query(&self) -> String {
        let version = self.version.as_ref().map(|version| format!("version={}", report::url_encoded(version.as_str())));
        let architecture = self.architecture.as_ref().map(|architecture| format!("architecture={architecture}"));
        let fields: Vec<String> = version.into_iter().chain(architecture).collect();
        if fields.is_empty() { String::new() } else { format!("?{}", fields.join("&")) }
    }
}

/// Takes packages out of a suite.
///
/// Devices that have installed them keep them; the same version may be promoted into the suite again.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet suite withdraw stable hi --version 1.3.0-1", disable_version_flag = true)]
pub(crate) struct Withdraw {
    /// The suite
    #[arg(value_name = "SUITE")]
    suite: SuiteName,
    #[command(flatten)]
    selected: Selected,
}

pub(crate) fn withdraw(arguments: &Withdraw) -> Result<()> {
    let Withdraw { suite, selected } = arguments;
    let server = selected.server.connect()?;
    let path = package_path(suite.as_str(), selected.package.as_str()) + &selected.query();
    let changed: Changed = server.delete(&path).with_context(|| failed("withdraw", selected, suite, &server))?;
    tell(&changed, "withdrawn from", selected.json)
}

/// Puts packages of one suite into another, exactly as they are.
#[derive(Args)]
#[command(
    after_help = "Example:\n  debfleet suite promote beta stable hi --version 1.3.0-1",
    disable_version_flag = true
)]
pub(crate) struct Promote {
    /// The suite that holds them
    #[arg(value_name = "FROM")]
    from: SuiteName,
    /// The suite that shall hold them, too
    #[arg(value_name = "TO")]
    to: SuiteName,
    #[command(flatten)]
    selected: Selected,
}

pub(crate) fn promote(arguments: &Promote) -> Result<()> {
    let Promote { from, to, selected } = arguments;
    let server = selected.server.connect()?;
    let asked = Promotion {
        from: from.to_string(),
        package: selected.package.to_string(),
        version: selected.version.as_ref().map(ToString::to_string),
        architecture: selected.architecture.as_ref().map(ToString::to_string),
    };
    let answer = server.post_once(&promotions_path(to.as_str()), &asked);
    tell(&answer.with_context(|| failed("promote", selected, to, &server))?, "promoted into", selected.json)
}

/// Has apt give packages only to a share of the devices, which each finds out by itself.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  debfleet suite phase stable hi 10 --version 1.3.0-1\n  debfleet suite phase stable hi 100",
    disable_version_flag = true
)]
pub(crate) struct SetPhase {
    /// The suite
    #[arg(value_name = "SUITE")]
    suite: SuiteName,
    #[command(flatten)]
    selected: Selected,
    /// The share in percent; 100: all
    #[arg(value_name = "PERCENTAGE", value_parser = clap::value_parser!(u8).range(0..=100))]
    percentage: u8,
}

pub(crate) fn phase(arguments: &SetPhase) -> Result<()> {
    let SetPhase { suite, selected, percentage } = arguments;
    let server = selected.server.connect()?;
    let path = phase_path(suite.as_str(), selected.package.as_str()) + &selected.query();
    let answer = server.put(&path, &Phase { percentage: *percentage });
    let told = format!("goes to {percentage} % of the devices of");
    tell(&answer.with_context(|| failed("phase", selected, suite, &server))?, &told, selected.json)
}

fn failed(what: &str, selected: &Selected, suite: &SuiteName, server: &Server) -> String {
    format!("could not {what} {} ({suite}) at {}", selected.package, server.address())
}

fn tell(changed: &Changed, what: &str, json: bool) -> Result<()> {
    if changed.packages.is_empty() {
        eprintln!("nothing to change: {} is so already", changed.suite);
    }
    for package in &changed.packages {
        let line = super::line(package, json)?;
        report::result(&if json { line } else { format!("{line} {what} {}", changed.suite) })?;
    }
    Ok(())
}
