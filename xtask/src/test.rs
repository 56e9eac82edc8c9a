//! `cargo xtask test`: what the tests need from Debian, then every test.

use crate::program::{build_binaries, cargo, output, run};
use crate::tidy::tidy;
use anyhow::{Context, Result};
use std::process::Command;

/// Debian packages that the tests run, besides what every Debian has.
const NEEDED: [&str; 16] = [
    "apt-utils",
    "aptly",
    "ca-certificates",
    "curl",
    "debmirror",
    "debsig-verify",
    "fakeroot",
    "git",
    "gnupg",
    "gpgv",
    "lintian",
    "mmdebstrap",
    "openssl",
    "procps",
    "python3-debian",
    "sqv",
];

/// Installs what is missing and runs all tests, with extra arguments for `cargo test`.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    install_missing().context("could not install what the tests need")?;
    tidy()?;
    build_binaries()?;
    run(cargo().args(["test", "--workspace", "--no-fail-fast"]).args(arguments))
}

fn install_missing() -> Result<()> {
    let mut missing = Vec::new();
    for package in NEEDED {
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
