//! The project's own commands: `cargo xtask demo | test | crash | fuzz | bench | packages | tidy`.

mod bench;
mod crash;
mod demo;
mod fuzz;
mod packages;
mod program;
mod test;
mod tidy;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Runs debfleet's demo, tests and checks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct CommandLine {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Show the main job in a minute: build, publish, update, a bad release, rollback
    Demo,
    /// Install what the tests need from Debian's packages, then run every test and, briefly, the fuzz targets
    Test {
        /// Passed on to `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    #[command(disable_help_flag = true)]
    /// Disturb updates at one step after the other: each device must end on the old tree or on the new one
    Crash {
        /// `cargo xtask crash --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Feed mutated input to whatever reads what a stranger wrote, for a bounded time
    Fuzz {
        /// For how long each target runs
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
        /// Run only this one of the targets in fuzz/Cargo.toml
        target: Option<String>,
    },
    /// Measure debfleet beside its peers, and write docs/benchmarks.md
    Bench {
        /// Measure only this one, and only print it
        name: Option<bench::Bench>,
    },
    /// Build debfleet, debfleet-server and debfleet-updater for release, and make Debian packages of them
    Packages(packages::Arguments),
    /// Check the rules of docs/architecture.md
    Tidy,
}

fn main() -> Result<()> {
    match CommandLine::parse().task {
        Task::Demo => demo::demo(),
        Task::Test { arguments } => test::test(&arguments),
        Task::Crash { arguments } => crash::crash(&arguments),
        Task::Fuzz { seconds, target } => fuzz::fuzz(seconds, target.as_deref()),
        Task::Bench { name } => bench::bench(name),
        Task::Packages(arguments) => packages::packages(&arguments),
        Task::Tidy => tidy::tidy(),
    }
}
