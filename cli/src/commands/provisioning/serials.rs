//! `debfleet provisioning serials`: which devices are let in.

use crate::report::{self, printable, url_encoded};
use crate::server::ServerOptions;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use fleet_protocol::names::TemplateName;
use fleet_protocol::provisioning::rest::{
    AddedSerials, MOST_SERIALS, NewSerials, SerialInfo, SerialPage, is_serial, serial_path, serials_path,
};
use std::io::Read as _;
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
pub(super) enum SerialsCommand {
    Add(Add),
    List(List),
    Remove(Remove),
}

/// Adds serial numbers to a template's list. With `template set --listed-only true` no other device is registered by it.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet provisioning serials add lamps L-0001 L-0002\n  \
                  debfleet provisioning serials add lamps --file batch.txt")]
pub(super) struct Add {
    /// The template
    #[arg(value_name = "TEMPLATE")]
    template: TemplateName,
    /// The serial numbers
    #[arg(value_name = "SERIAL")]
    serials: Vec<String>,
    /// File with one on each line; - is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    server: ServerOptions,
}

/// Lists a template's serial numbers, and which are used.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet provisioning serials list lamps")]
pub(super) struct List {
    /// The template
    #[arg(value_name = "TEMPLATE")]
    template: TemplateName,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object on each line
    #[arg(long)]
    json: bool,
}

/// Takes serial numbers from a template's list. Devices that were registered with them stay.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet provisioning serials remove lamps L-0002")]
pub(super) struct Remove {
    /// The template
    #[arg(value_name = "TEMPLATE")]
    template: TemplateName,
    /// The serial numbers
    #[arg(value_name = "SERIAL", required = true)]
    serials: Vec<String>,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) fn run(command: &SerialsCommand) -> Result<()> {
    match command {
        SerialsCommand::Add(arguments) => add(arguments),
        SerialsCommand::List(arguments) => list(arguments),
        SerialsCommand::Remove(arguments) => remove(arguments),
    }
}

fn add(arguments: &Add) -> Result<()> {
    let Add { template, serials, file, server } = arguments;
    let mut serials = serials.clone();
    if let Some(file) = file {
        let text = read(file)?;
        serials.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
    }
    if serials.is_empty() {
        bail!("there is no serial number to add; name some, or a file with --file");
    }
    // Nothing is sent while one is wrong, so that a corrected file can simply be sent again.
    if let Some(wrong) = serials.iter().find(|serial| !is_serial(serial)) {
        bail!("{:?} is no serial number: 1 to 128 letters, digits and ._:+-", printable(wrong));
    }
    let server = server.connect()?;
    let mut added = 0;
    for part in serials.chunks(MOST_SERIALS) {
        let new = NewSerials { serials: part.to_vec() };
        let answer: AddedSerials = server
            .post(&serials_path(template), &new)
            .with_context(|| format!("could not add serial numbers to {template} on {}", server.address()))?;
        added += answer.added;
    }
    let known = (serials.len() as u64).saturating_sub(added);
    report::result(&format!("{added} serial numbers were added to {template}; {known} were there or came twice"))
}

fn read(file: &Path) -> Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("could not read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))
}

fn list(arguments: &List) -> Result<()> {
    let server = arguments.server.connect()?;
    server.pages(|after| {
        let SerialPage { serials, next } = server
            .get(&format!("{}?after={}", serials_path(&arguments.template), url_encoded(after)))
            .with_context(|| format!("could not list the serial numbers on {}", server.address()))?;
        for serial in &serials {
            report::result(&if arguments.json { serde_json::to_string(serial)? } else { line(serial) })?;
        }
        Ok(next)
    })
}

fn line(serial: &SerialInfo) -> String {
    let used = serial.used_at.map_or_else(|| "free".to_owned(), |at| format!("used {at}"));
    printable(&format!("{}: {used}", serial.serial))
}

fn remove(arguments: &Remove) -> Result<()> {
    let server = arguments.server.connect()?;
    for serial in &arguments.serials {
        let gone: SerialInfo = server
            .delete(&serial_path(&arguments.template, &url_encoded(serial)))
            .with_context(|| format!("could not remove the serial number on {}", server.address()))?;
        report::result(&printable(&format!("{} is not on the list any more", gone.serial)))?;
    }
    Ok(())
}
