//! `debfleet thing import`: registers the things of a CSV file.

mod table;

use crate::report::{self, printable};
use crate::server::{Server, ServerOptions};
use anyhow::{Context, Result, bail};
use clap::Args;
use fleet_protocol::things::{MOST_REGISTRATIONS, Registered, Registration, Registrations, THINGS_PATH};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use table::{Line, Refused};

/// No request is longer than this by much, in bytes; the server takes four MiB.
const REQUEST_BYTES: usize = 2 << 20;

/// Registers the things of a CSV file.
///
/// Its first line names the columns: `thingName`, `thingTypeName`, `thingGroupNames` (several with blanks between them) and
/// `attributes.NAME` for each attribute; an empty field is none. Lines that cannot be registered are told with the reason,
/// the others are registered. It is safe to run twice: things that are there just so are passed over.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet thing import lamps.csv\n\n  \
    lamps.csv:\n    thingName,thingTypeName,thingGroupNames,attributes.room\n    lamp-1,lamp,kitchen,left\n    \
    lamp-2,lamp,attic unverified,\n\nTypes and groups are made before, with `debfleet thing type create` and `debfleet group create`.")]
pub(crate) struct Arguments {
    /// The file, or - for standard input
    #[arg(value_name = "CSV")]
    file: PathBuf,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let name = arguments.file.display();
    let bytes = match arguments.file.as_os_str() == "-" {
        true => io::read_to_string(io::stdin()).map(String::into_bytes),
        false => std::fs::read(&arguments.file),
    };
    let bytes = bytes.with_context(|| format!("could not read {name}"))?;
    let (lines, refused) = table::read(&bytes).with_context(|| format!("{name} cannot be used"))?;
    let server = arguments.server.connect()?;
    let total = lines.len() + refused.len();
    let progress = progress(total, refused.len());
    let mut import = Import { server: &server, progress, outcome: Registered::default(), refused };
    import.tell(0);
    let sent = lines_in_requests(lines).try_for_each(|some| import.send(&some));
    import.progress.finish_and_clear();
    let Import { outcome, refused, .. } = import;
    if arguments.json {
        let failures: Vec<_> = refused.iter().map(Refused::to_json).collect();
        let told = serde_json::json!({
            "created": outcome.created, "unchanged": outcome.unchanged, "failures": failures,
        });
        report::result(&told.to_string())?;
    } else {
        let unchanged =
            if outcome.unchanged > 0 { format!(", {} were there", outcome.unchanged) } else { String::new() };
        report::result(&format!("{} things registered{unchanged}, {} refused", outcome.created, refused.len()))?;
    }
    sent.with_context(|| format!("could not register all of {name} on {}; run it again to go on", server.address()))?;
    if !refused.is_empty() {
        bail!("{} of {total} lines of {name} were refused; mend them and run it again", refused.len());
    }
    Ok(())
}

struct Import<'a> {
    server: &'a Server,
    progress: ProgressBar,
    outcome: Registered,
    refused: Vec<Refused>,
}

impl Import<'_> {
    fn send(&mut self, lines: &[Line]) -> Result<()> {
        let things: Vec<Registration> = lines.iter().map(|line| line.thing.clone()).collect();
        let Registered { created, unchanged, failures } =
            self.server.post_once(THINGS_PATH, &Registrations { things })?;
        self.outcome.created += created;
        self.outcome.unchanged += unchanged;
        let told = self.refused.len();
        for failure in failures {
            let line = lines.get(failure.index).context("the server refused a thing that was not sent")?;
            self.refused.push(Refused { line: line.number, reason: failure.reason });
        }
        self.tell(told);
        self.progress.inc(lines.len() as u64);
        Ok(())
    }

    /// Tells the refusals from this one on.
    fn tell(&self, from: usize) {
        let text: Vec<String> =
            self.refused[from..].iter().map(|it| format!("line {}: {}", it.line, printable(&it.reason))).collect();
        if !text.is_empty() {
            self.progress.suspend(|| eprintln!("{}", text.join("\n")));
        }
    }
}

/// As many in each as a request takes.
fn lines_in_requests(lines: Vec<Line>) -> impl Iterator<Item = Vec<Line>> {
    let mut lines = lines.into_iter().peekable();
    std::iter::from_fn(move || {
        let (mut some, mut bytes) = (Vec::new(), 0);
        while some.len() < MOST_REGISTRATIONS && bytes < REQUEST_BYTES {
            let Some(line) = lines.next() else { break };
            bytes += line.bytes;
            some.push(line);
        }
        (!some.is_empty()).then_some(some)
    })
}

fn progress(total: usize, refused: usize) -> ProgressBar {
    if !io::stderr().is_terminal() {
        eprintln!("registering {total} things");
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("registering [{bar:30}] {pos}/{len} things, {eta} left");
    let bar = ProgressBar::new(total as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.inc(refused as u64);
    bar
}
