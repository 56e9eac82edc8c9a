//! `debfleet bump`: the next version, everywhere it stands.

use crate::report;
use anyhow::{Context, Result};
use builder::bump::{Bump, Step};
use clap::Args;
use std::path::PathBuf;

/// Raises the version in debfleet.toml, and in every file that its [bump] names.
///
/// In a tree with a DEBIAN/ it raises Version in DEBIAN/control, and the files that the [bump] of an optional
/// DEBIAN/debfleet.toml names. Nothing is written unless every file holds the old version where its pattern says.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet bump minor\n  debfleet bump 1.4.0-rc.1 examples/hi")]
pub(crate) struct Arguments {
    /// patch, minor, major, or the new version (semver)
    #[arg(value_name = "STEP")]
    step: Step,
    /// The source folder
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let failed = || format!("could not bump the version in {}", arguments.folder.display());
    let bump = Bump::plan(&arguments.folder, &arguments.step).with_context(failed)?;
    bump.apply().with_context(failed)?;
    for change in bump.changes() {
        report::result(&format!("{}: {} -> {}", change.path.display(), change.old, change.new))?;
    }
    Ok(())
}
