//! What `cargo xtask crash` starts: the fault campaign on a device's updates.

use clap::Parser;
use end_to_end::crash::{At, Fault, PowerCuts, Selection, campaign, power_campaign};
use std::process::ExitCode;

/// Disturbs updates at one step after the other, and counts how the devices end.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask crash", bin_name = "cargo xtask crash")]
struct CommandLine {
    /// Run a short selection
    #[arg(long, conflicts_with = "at")]
    sample: bool,
    /// Run only this case, such as upgrade
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Run only this fault: cut, kill, enospc or eio
    #[arg(long, value_name = "FAULT")]
    fault: Option<Fault>,
    /// Run only at this step, such as dpkg:17; for a second cut in the recovery dpkg:17+updater:4
    #[arg(long, value_name = "STEP", requires = "case", requires = "fault", value_delimiter = '+')]
    at: Option<Vec<At>>,
    /// Cut the power of a machine with systemd instead, so many times at random moments
    #[arg(long, value_name = "N", conflicts_with_all = ["sample", "case", "fault", "at"])]
    power_cuts: Option<usize>,
    /// Cut that of a virtual machine with a kernel of its own: slower, by software emulation
    #[arg(long, requires = "power_cuts")]
    virtual_machine: bool,
    /// Another seed takes other moments
    #[arg(long, value_name = "N", default_value_t = 1, requires = "power_cuts")]
    seed: u64,
}

fn main() -> ExitCode {
    let CommandLine { sample, case, fault, at, power_cuts, virtual_machine, seed } = CommandLine::parse();
    let ended = match power_cuts {
        Some(cuts) => Ok(power_campaign(PowerCuts { cuts, seed, is_virtual: virtual_machine })),
        None => campaign(&Selection { is_sample: sample, case, fault, at }),
    };
    match ended {
        Ok(tally) if tally.between == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}
