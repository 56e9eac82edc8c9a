//! The only place that starts processes: dpkg, apt-get, systemctl, health commands.

mod apt;
mod boot;
mod bounded;
mod chance;
mod dpkg;
mod journal;
mod leftovers;
mod machine;
mod network;
mod own_unit;
mod power;
mod process;
mod sequence;
mod services;
mod subvolume;

pub(crate) use apt::{Apt, AptError, ExactVersion, Location, SUITE, Step, Target, Unpack};
pub(crate) use boot::{current_boot, is_reboot_required, reboot};
pub(crate) use bounded::Stamp;
pub(crate) use chance::chance;
pub(crate) use dpkg::{Dpkg, FrontendLock, InstalledPackage};
pub(crate) use journal::is_journal_stream;
pub(crate) use leftovers::end_marked_processes;
pub(crate) use network::is_metered;
pub(crate) use own_unit::{end_rest_of_unit, is_inside as is_inside_own_unit, run as run_in_own_unit};
pub(crate) use process::{Finished, ProcessError};
pub(crate) use sequence::sequence;
pub(crate) use services::{Invocation, Services, Starting};
pub(crate) use subvolume::{SubvolumeError, is_subvolume, remove_subvolume, snapshot_subvolume};

use process::Program;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How maintainer scripts and health commands see the device's root when it is not `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ScriptMode {
    /// The root is theirs: chroot(2). It needs a shell and what else they call.
    #[default]
    Chroot,
    /// They run in the host's system and find the root in `DPKG_ROOT` (dpkg's `--force-script-chrootless`).
    Chrootless,
}

/// The file system that is updated, and how to run things in it.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) root: PathBuf,
    pub(crate) scripts: ScriptMode,
}

impl Device {
    /// Whether the root is the running system's own.
    pub(crate) fn is_running_system(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Runs a package's shell command as its maintainer scripts are run; `mark` names the transaction.
    pub(crate) fn run_shell(
        &self,
        command: &str,
        timeout: Duration,
        log: &Path,
        mark: &str,
    ) -> Result<Finished, ProcessError> {
        let program = match self.scripts {
            _ if self.is_running_system() => Program::new("/bin/sh").env("DPKG_ROOT", ""),
            ScriptMode::Chroot => Program::new("chroot").arg(&self.root).arg("/bin/sh").env("DPKG_ROOT", ""),
            ScriptMode::Chrootless => Program::new("/bin/sh").env("DPKG_ROOT", &self.root),
        };
        program.args(["-c", command]).mark(mark).run(timeout, log)
    }
}
