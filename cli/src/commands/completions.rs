//! `debfleet completions`: what a shell needs to complete our words.

use crate::report;
use clap::{Args, Command};
use clap_complete::{Shell, generate};

/// Prints the completions for a shell; Debian's package has installed them already.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  debfleet completions bash > ~/.local/share/bash-completion/completions/debfleet\n  \
                  debfleet completions zsh > ~/.zfunc/_debfleet\n  \
                  debfleet completions fish > ~/.config/fish/completions/debfleet.fish"
)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, mut command: Command) -> anyhow::Result<()> {
    // Into memory first, where writing cannot fail: the generator would panic.
    let mut script = Vec::new();
    generate(arguments.shell, &mut command, "debfleet", &mut script);
    report::result(String::from_utf8_lossy(&script).trim_end())
}
