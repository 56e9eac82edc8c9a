//! `cargo xtask crash`: the fault campaign of the end-to-end tests, which has a program of its own.

use crate::program::{build_binaries, cargo, install_missing, run};
use anyhow::{Context, Result, bail};

/// Debian packages that the campaign runs.
const NEEDED: [&str; 9] = [
    "binutils",
    "btrfs-progs",
    "curl",
    "e2fsprogs",
    "mmdebstrap",
    "mount",
    "qemu-system-x86",
    "systemd-container",
    "xfsprogs",
];

/// Runs it with these arguments.
pub(crate) fn crash(arguments: &[String]) -> Result<()> {
    if cfg!(not(target_arch = "x86_64")) {
        bail!("the campaign looks into processes as they are on amd64, and runs nowhere else");
    }
    install_missing(&NEEDED).context("could not install what the campaign needs")?;
    build_binaries()?;
    run(cargo().args(["run", "--quiet", "--package=end-to-end-tests", "--bin=crash-campaign", "--"]).args(arguments))
}
