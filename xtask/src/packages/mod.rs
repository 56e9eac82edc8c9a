//! `cargo xtask packages`: debfleet's own programs as Debian packages, built by debfleet itself.

mod release;
mod stage;

use crate::program::{build_binaries, output, run, workspace};
use anyhow::{Context, Result};
use clap::Args;
use std::path::PathBuf;
use std::process::Command;

/// Each is a program, a package, and a folder below `packaging/`.
const NAMES: [&str; 3] = ["debfleet", "debfleet-server", "debfleet-updater"];

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Sign with these keys, as `debfleet build --key` does [default: unsigned]
    #[arg(long, value_name = "[ROLE=]SOURCE")]
    key: Vec<String>,
    /// Pack the programs of this folder, such as target/debug, in place of a release build
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// Folder for the packages, and for `stage/` with their sources [default: target/packages]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Builds the programs, stages each with its manual and completions, and lets debfleet pack them.
pub(crate) fn packages(arguments: &Arguments) -> Result<()> {
    // Those of the developer's build write the manual: what is shipped need not be able to.
    let (binaries, manual_writers) = match &arguments.binaries {
        Some(given) => (given.clone(), given.clone()),
        None => (release::build()?, build_binaries()?),
    };
    let out = arguments.out.clone().unwrap_or_else(|| workspace().join("target/packages"));
    for name in NAMES {
        let staged = stage::stage(name, &binaries, &manual_writers, &out.join("stage").join(name))?;
        let mut build = Command::new(binaries.join("debfleet"));
        build.arg("build").arg(&staged).arg("--out").arg(&out);
        for key in &arguments.key {
            build.args(["--key", key]);
        }
        // The stage lies in no commit, so the builder could not date it.
        if std::env::var_os("SOURCE_DATE_EPOCH").is_none() {
            build.env("SOURCE_DATE_EPOCH", last_commit()?);
        }
        run(&mut build)?;
    }
    Ok(())
}

/// Its time, in seconds since 1970.
fn last_commit() -> Result<String> {
    let printed = output(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(workspace()))?;
    let time = String::from_utf8(printed.stdout)?.trim().to_owned();
    let is_time = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    is_time.then_some(time).context("git knows no last commit to date the packages by; set SOURCE_DATE_EPOCH")
}
