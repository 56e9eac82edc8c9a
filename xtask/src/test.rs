//! `cargo xtask test`: what the tests need from Debian, then every test, then the fuzz targets.

use crate::fuzz::fuzz;
use crate::program::{build_binaries, cargo, install_missing, run, workspace};
use crate::tidy::tidy;
use anyhow::{Context, Result};
use std::process::Command;

/// Debian packages that the tests run, besides what every Debian has.
const NEEDED: [&str; 27] = [
    "aptly",
    "binutils",
    "ca-certificates",
    "curl",
    "debmirror",
    "debsig-verify",
    "devscripts",
    "dpkg-dev",
    "dput",
    "e2fsprogs",
    "g++",
    "git",
    "gnupg",
    "gpgv",
    "lintian",
    "mmdebstrap",
    "mount",
    "openssl",
    "postgresql",
    "procps",
    "python3-debian",
    "python3-venv",
    "python3-yaml",
    "reprepro",
    "sqv",
    "systemd",
    "time",
];

/// An S3-compatible server, from PyPI, which the server's tests find at this place in `target`.
const MOTO: (&str, &str) = ("moto", "moto[server]==5.*");

/// Enough to try the seeds and what is near them; `cargo xtask fuzz` looks further.
const FUZZ_SECONDS: u64 = 3;

/// Installs what is missing and runs all tests, with extra arguments for `cargo test`, and then the fuzz targets unless
/// the arguments choose among the tests.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    install_missing(&NEEDED).context("could not install what the tests need")?;
    install_moto()?;
    tidy()?;
    build_binaries()?;
    run(cargo().args(["test", "--workspace", "--no-fail-fast"]).args(arguments))?;
    if arguments.is_empty() { fuzz(FUZZ_SECONDS, None) } else { Ok(()) }
}

fn install_moto() -> Result<()> {
    let (folder, requirement) = (workspace().join("target").join(MOTO.0), MOTO.1);
    if folder.join("bin/moto_server").exists() {
        return Ok(());
    }
    println!("installing from PyPI into {}: {requirement}", folder.display());
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).context("could not make a venv for moto")?;
    run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", requirement]))
        .context("could not install moto")
}
