//! The manual pages and completions that a command's Debian package carries, made from its command line's own words.

use anyhow::Context as _;
use clap::CommandFactory;
use clap_complete::{Generator as _, Shell, generate};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes them and gives how that went, if `cargo xtask packages` asks: `NAME write-manual DIR`. This is no command for
/// people, so neither the help nor the manual nor a completion knows it.
#[must_use]
pub fn write_if_asked<C: CommandFactory>(name: &str) -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let out = if arguments.next()? == "write-manual" { PathBuf::from(arguments.next()?) } else { return None };
    Some(match write::<C>(name, &out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    })
}

fn write<C: CommandFactory>(name: &str, out: &Path) -> anyhow::Result<()> {
    durable_files::create_dir(out, 0o755)?;
    let mut command = C::command();
    clap_mangen::generate_to(command.clone(), out)
        .with_context(|| format!("could not write manual pages into {}", out.display()))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        // Into memory first, where writing cannot fail: the generator would panic.
        let mut script = Vec::new();
        generate(shell, &mut command, name, &mut script);
        durable_files::replace(&out.join(shell.file_name(name)), &script, 0o644)?;
    }
    Ok(())
}
