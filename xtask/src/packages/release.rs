//! Release builds that tell nothing of the machine they were made on.

use super::NAMES;
use super::foreign::Foreign;
use crate::program::{cargo, run, workspace};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;

/// Builds the three programs and gives them. The updater is built by itself, for size, and without what the others ask
/// of the libraries that they share.
pub(crate) fn build() -> Result<Vec<PathBuf>> {
    run(mapped(cargo().args(["build", "--release", "--locked", "--package=cli", "--package=repo-server"]))?)?;
    run(mapped(&mut updater())?)?;
    let folder = |name| if name == UPDATER { "device" } else { "release" };
    Ok(NAMES.map(|name| workspace().join("target").join(folder(name)).join(name)).to_vec())
}

/// Builds the updater for another architecture.
pub(super) fn build_foreign(foreign: Foreign) -> Result<PathBuf> {
    foreign.prepare()?;
    let target = foreign.target();
    let linker = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
    run(mapped(updater().arg("--target").arg(target).env(linker, foreign.tool("gcc")))?)?;
    Ok(workspace().join("target").join(target).join("device").join(UPDATER))
}

const UPDATER: &str = "debfleet-updater";

/// It leaves the writer of its manual to the developer's build.
fn updater() -> Command {
    let mut command = cargo();
    command.args(["build", "--profile=device", "--locked", "--package=updater", "--no-default-features"]);
    command
}

/// Panics and assertions name source files. Where those lie differs from machine to machine, and often holds a user's
/// name.
fn mapped(command: &mut Command) -> Result<&mut Command> {
    let home = std::env::home_dir().context("could not find the home folder")?;
    let registry = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let places = [(registry, "/cargo"), (workspace(), "/debfleet")];
    let map =
        |flag: &str| places.iter().map(|(from, to)| format!("{flag}={}={to}", from.display())).collect::<Vec<_>>();
    Ok(command
        .env("CARGO_ENCODED_RUSTFLAGS", map("--remap-path-prefix").join("\u{1f}"))
        .env("CFLAGS", map("-ffile-prefix-map").join(" ")))
}
