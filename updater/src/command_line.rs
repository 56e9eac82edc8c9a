//! What a person may type.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Updates Debian packages on this device, and puts everything back if the new version does not work.
#[derive(Debug, Parser)]
#[command(
    name = "debfleet-updater",
    version,
    after_help = "Exit codes:\n  0  done, or nothing to do\n  1  failed; nothing was changed\n  2  wrong usage\n  3  the new version did not work and was rolled back\n  4  a rollback could not be completed; see `status`"
)]
pub(crate) struct CommandLine {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/debfleet/updater.toml", env = "DEBFLEET_UPDATER_CONFIG")]
    pub(crate) config: PathBuf,
    /// The device's file system, if not this machine's own
    #[arg(long, value_name = "DIR", default_value = "/", env = "DEBFLEET_UPDATER_ROOT")]
    pub(crate) root: PathBuf,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look what the suite offers; install nothing
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Install packages from the suite as a whole or not at all
    #[command(
        after_help = "Examples:\n  debfleet-updater install            the configured packages, newest versions\n  debfleet-updater install hi\n  debfleet-updater install hi=0.1.0-1 --allow-downgrade\n  debfleet-updater install --from /media/stick"
    )]
    Install {
        /// NAME or NAME=VERSION; none: the configured packages
        packages: Vec<String>,
        /// A version below the installed one is meant
        #[arg(long)]
        allow_downgrade: bool,
        /// A copy of the repository in a folder, such as a USB stick: no network, the same signatures
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
    },
    /// Put back what was there before the last committed update
    Rollback,
    /// Say where this device stands, and why the last failed update failed
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Poll the suite and keep the configured packages up to date
    Run,
    /// End what a power cut or a kill left half-done; every other command does so first
    Recover,
}
