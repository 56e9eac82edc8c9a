//! `cargo xtask bench`: debfleet beside its peers, measured in the same run; writes docs/benchmarks.md.
//!
//! One file per benchmark; each gives a `Report`. Nothing here may decide whether a test passes.

mod broker;
mod builder;
mod corpus;
mod device;
mod fixture;
mod measure;
mod peers;
mod report;
mod repository;
mod serving;

use crate::program::{cargo, install_missing, run, workspace};
use anyhow::{Context, Result};
use fixture::Tools;
use report::Report;
use std::path::PathBuf;

/// Debian packages that are measured beside ours, or needed to make the input.
const NEEDED: [&str; 15] = [
    "apt-utils",
    "aptly",
    "curl",
    "eatmydata",
    "gnupg",
    "mmdebstrap",
    "mosquitto",
    "nginx-light",
    "openssl",
    "python3-pip",
    "reprepro",
    "time",
    "wrk",
    "xz-utils",
    "zstd",
];

/// A benchmark's name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Bench {
    /// Files become a .deb, beside dpkg-deb, nfpm and cargo-deb
    Builder,
    /// A suite of Debian's size is filled and changed, beside aptly and reprepro
    Repository,
    /// Indexes and packages under load, beside nginx
    Serving,
    /// An update of a 50 MB package, beside apt-get
    Device,
    /// Ten thousand devices connect and talk, beside Mosquitto
    Broker,
}

impl Bench {
    const ALL: [Self; 5] = [Self::Builder, Self::Repository, Self::Serving, Self::Device, Self::Broker];

    fn measure(self, tools: &Tools) -> Result<Vec<Report>> {
        match self {
            Self::Builder => builder::measure(tools).context("the benchmark `builder`"),
            Self::Repository => repository::measure(tools).context("the benchmark `repository`"),
            Self::Serving => serving::measure(tools).context("the benchmark `serving`"),
            Self::Broker => broker::measure(tools).context("the benchmark `broker`"),
            Self::Device => device::measure(tools).map(|report| vec![report]).context("the benchmark `device`"),
        }
    }
}

/// Measures one benchmark and prints it, or all and writes the document.
pub(crate) fn bench(only: Option<Bench>) -> Result<()> {
    install_missing(&NEEDED).context("could not install the peers")?;
    println!("building the release binaries …");
    let tools = Tools { target: release_binaries(only)? };
    if let Some(bench) = only {
        let machine = report::machine()?;
        println!("\n{machine}");
        for report in bench.measure(&tools)? {
            println!("{}", report.markdown());
        }
        println!("docs/benchmarks.md is written by a run of all of them: `cargo xtask bench`");
        return Ok(());
    }
    let machine = report::machine()?;
    let mut reports = Vec::new();
    for bench in Bench::ALL {
        // Shown at once: were a later one to fail, these are not lost.
        for report in bench.measure(&tools)? {
            println!("\n{}", report.markdown());
            reports.push(report);
        }
    }
    let text = report::document(&machine, &reports);
    let path = workspace().join("docs/benchmarks.md");
    fixture::write(&path, &text)?;
    println!("written to docs/benchmarks.md");
    Ok(())
}

/// What users get is what is measured: all of it, or what this benchmark needs.
fn release_binaries(only: Option<Bench>) -> Result<PathBuf> {
    let is_needed_by = |bench| only.is_none_or(|only| only == bench);
    let mut release = cargo();
    release.args(["build", "--release", "--quiet", "--package=cli", "--package=repo-server"]);
    if is_needed_by(Bench::Broker) {
        release.arg("--package=fleet-load");
    }
    run(&mut release)?;
    if is_needed_by(Bench::Device) {
        run(cargo().args(["build", "--profile=device", "--quiet", "--package=updater", "--no-default-features"]))?;
    }
    fixture::target_folder()
}
