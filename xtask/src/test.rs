//! `cargo xtask test`: what the tests need from Debian, then every test.

use crate::program::{build_binaries, cargo, install_missing, run};
use crate::tidy::tidy;
use anyhow::{Context, Result};

/// Debian packages that the tests run, besides what every Debian has.
const NEEDED: [&str; 20] = [
    "aptly",
    "binutils",
    "ca-certificates",
    "curl",
    "debmirror",
    "debsig-verify",
    "devscripts",
    "dpkg-dev",
    "dput",
    "git",
    "gnupg",
    "gpgv",
    "lintian",
    "mmdebstrap",
    "mount",
    "procps",
    "python3-debian",
    "python3-yaml",
    "sqv",
    "time",
];

/// Installs what is missing and runs all tests, with extra arguments for `cargo test`.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    install_missing(&NEEDED).context("could not install what the tests need")?;
    tidy()?;
    build_binaries()?;
    run(cargo().args(["test", "--workspace", "--no-fail-fast"]).args(arguments))
}
