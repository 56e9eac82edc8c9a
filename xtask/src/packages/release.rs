//! A release build that tells nothing of the machine it was made on.

use crate::program::{cargo, run, workspace};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Builds the three programs for release and gives their folder.
pub(crate) fn build() -> Result<PathBuf> {
    // Panics and assertions name source files. Where those lie differs from machine to machine, and often holds
    // a user's name.
    let home = std::env::home_dir().context("could not find the home folder")?;
    let registry = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let places = [(registry, "/cargo"), (workspace(), "/debfleet")];
    let map =
        |flag: &str| places.iter().map(|(from, to)| format!("{flag}={}={to}", from.display())).collect::<Vec<_>>();
    run(cargo()
        .args(["build", "--release", "--locked", "--package=cli", "--package=repo-server", "--package=updater"])
        // The updater stays small: it leaves the writer of its manual to the developer's build.
        .arg("--no-default-features")
        .env("CARGO_ENCODED_RUSTFLAGS", map("--remap-path-prefix").join("\u{1f}"))
        .env("CFLAGS", map("-ffile-prefix-map").join(" ")))?;
    Ok(workspace().join("target/release"))
}
