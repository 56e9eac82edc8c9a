//! `cargo xtask test`: what the tests need from Debian, then every test, then the fuzz targets.

use crate::fuzz::fuzz;
use crate::program::{build_binaries, cargo, install_missing, run};
use crate::tidy::tidy;
use anyhow::{Context, Result};

/// Debian packages that the tests run, besides what every Debian has.
const NEEDED: [&str; 23] = [
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
    "procps",
    "python3-debian",
    "python3-yaml",
    "sqv",
    "time",
];

/// Enough to try the seeds and what is near them; `cargo xtask fuzz` looks further.
const FUZZ_SECONDS: u64 = 3;

/// Installs what is missing and runs all tests, with extra arguments for `cargo test`, and then the fuzz targets unless
/// the arguments choose among the tests.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    install_missing(&NEEDED).context("could not install what the tests need")?;
    tidy()?;
    build_binaries()?;
    run(cargo().args(["test", "--workspace", "--no-fail-fast"]).args(arguments))?;
    if arguments.is_empty() { fuzz(FUZZ_SECONDS, None) } else { Ok(()) }
}
