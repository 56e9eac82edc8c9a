//! `cargo xtask packages`: debfleet's own programs as Debian packages, built by debfleet itself.

mod foreign;
mod release;
mod stage;

use crate::program::{build_binaries, output, run, workspace};
use anyhow::{Context, Result};
use clap::Args;
use foreign::Foreign;
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
    /// Build for another architecture: only debfleet-updater, with the cross compiler of Debian's packages
    #[arg(long, value_name = "ARCH", conflicts_with = "binaries")]
    architecture: Option<Foreign>,
    /// Folder for the packages, and for `stage/` with their sources [default: target/packages]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Builds the programs, stages each with its manual and completions, and lets debfleet pack them.
pub(crate) fn packages(arguments: &Arguments) -> Result<()> {
    // Those of the developer's build write the manual: what is shipped need not be able to. They also pack: what is
    // built for another machine does not run here.
    let (built, manual_writers) = match (&arguments.binaries, arguments.architecture) {
        (Some(given), _) => (NAMES.map(|name| given.join(name)).to_vec(), given.clone()),
        (None, None) => (release::build()?, build_binaries()?),
        (None, Some(foreign)) => (vec![release::build_foreign(foreign)?], build_binaries()?),
    };
    let out = arguments.out.clone().unwrap_or_else(|| workspace().join("target/packages"));
    let strip = arguments.architecture.map_or("strip".to_owned(), |foreign| foreign.tool("strip"));
    for program in &built {
        let name = program.file_name().and_then(std::ffi::OsStr::to_str).context("a program has a name")?;
        let staged = stage::stage(name, program, &strip, &manual_writers, &out.join("stage").join(name))?;
        if let Some(foreign) = arguments.architecture {
            stage::name_libraries(&staged, &foreign.libraries()?)?;
        }
        let mut build = Command::new(manual_writers.join("debfleet"));
        build.arg("build").arg(&staged).arg("--out").arg(&out);
        if let Some(foreign) = arguments.architecture {
            build.arg("--architecture").arg(foreign.debian_name());
        }
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
