//! The manual pages and completions that the Debian package carries, made from the command line's own words.

use crate::Cli;
use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::{Generator as _, Shell, generate};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const NAME: &str = "debfleet";

/// Where to write them, if `cargo xtask packages` asks: `debfleet write-manual DIR`. This is no command for people, so
/// neither the help nor the manual nor a completion knows it.
pub(crate) fn asked_for() -> Option<PathBuf> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? == "write-manual" { arguments.next().map(PathBuf::from) } else { None }
}

/// Writes them into a folder.
pub(crate) fn write(out: &Path) -> ExitCode {
    match try_write(out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("debfleet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn try_write(out: &Path) -> anyhow::Result<()> {
    durable_files::create_dir(out, 0o755)?;
    let mut command = Cli::command();
    clap_mangen::generate_to(command.clone(), out)
        .with_context(|| format!("could not write manual pages into {}", out.display()))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        // Into memory first, where writing cannot fail: the generator would panic.
        let mut script = Vec::new();
        generate(shell, &mut command, NAME, &mut script);
        durable_files::replace(&out.join(shell.file_name(NAME)), &script, 0o644)?;
    }
    Ok(())
}
