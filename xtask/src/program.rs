//! Running programs, and where things are.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The workspace's folder.
pub(crate) fn workspace() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// Builds the three binaries and gives their folder.
pub(crate) fn build_binaries() -> Result<PathBuf> {
    run(cargo().args(["build", "--quiet", "--package=cli", "--package=repo-server", "--package=updater"]))?;
    let us = std::env::current_exe().context("could not find the folder of built binaries")?;
    Ok(us.parent().context("this binary lies in no folder")?.to_owned())
}

/// Runs a program with our own terminal; a failure is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("could not start {command:?}"))?;
    if status.success() { Ok(()) } else { bail!("{command:?} failed ({status})") }
}

/// Runs a program and gives what it printed, however it ended.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("could not start {command:?}"))
}

/// Installs those of these Debian packages that are not there.
pub(crate) fn install_missing(needed: &[&str]) -> Result<()> {
    let mut missing = Vec::new();
    for &package in needed {
        let found = output(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]))?;
        if found.stdout != b"installed" {
            missing.push(package);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing from Debian's packages: {}", missing.join(" "));
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    run(Command::new("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(missing)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}
