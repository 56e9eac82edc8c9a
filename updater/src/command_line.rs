//! What a person may type.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Updates Debian packages on this device, and puts everything back if the new version does not work.
#[derive(Debug, Parser)]
#[command(
    name = "debfleet-updater",
    version,
    after_help = "Exit codes:\n  0  done, or nothing to do\n  1  failed; nothing was changed\n  2  wrong usage\n  3  the new version did not work and was rolled back\n  4  the device may be in between: see `status`, and try `recover`\n  5  postponed: the installed version says not now"
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
    /// Say what an update would do and why not, if it is refused; change nothing
    #[command(
        after_help = "Exit codes:\n  0  it can be done, or there is nothing to do\n  1  it is refused\n\nExamples:\n  debfleet-updater plan               the configured packages, newest versions\n  debfleet-updater plan hi=0.1.0-1 --allow-downgrade\n  debfleet-updater plan --json hi"
    )]
    Plan {
        /// NAME or NAME=VERSION; none: the configured packages
        packages: Vec<String>,
        /// A version below the installed one is meant
        #[arg(long)]
        allow_downgrade: bool,
        /// A copy of the repository in a folder, as `install --from` takes it
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take the version on trial as it is, without waiting for its health checks
    Commit,
    /// Put back what was there before the version on trial, or before the last committed update
    Rollback,
    /// Say where this device stands, and why the last failed update failed
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List what was tried on this device, the newest first
    History {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell in plain words what happened in an attempt, and why
    Explain {
        /// Which, as `history` numbers them; 1 is the newest
        #[arg(default_value_t = 1)]
        number: usize,
    },
    /// Get this device an identity of its own from the fleet's server
    #[command(
        after_help = "It goes on where an earlier attempt was cut off, and does nothing once the device has its identity.\nThe device's key is made here and never leaves it.\n\nExamples:\n  debfleet-updater provision"
    )]
    Provision,
    /// Poll the suite and keep the configured packages up to date
    Run,
    /// End what a power cut or a kill left half-done; every command that changes something does so first
    Recover {
        /// Early in the boot: put files back, and leave trials to the service that starts later
        #[arg(long)]
        at_boot: bool,
    },
    /// Bring one package up to date, as `run` does
    #[command(hide = true)]
    Poll {
        /// Its name
        package: String,
    },
    /// Carry out an update document, as the fleet's server wished it
    #[command(hide = true)]
    Apply {
        /// In JSON
        document: String,
    },
    /// Say whether this program can read its configuration and reach its repository; changes nothing
    #[command(hide = true)]
    SelfCheck,
}
