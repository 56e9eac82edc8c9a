//! Where the agent keeps its files.

use crate::config::Config;
use std::path::PathBuf;

/// Each of them.
pub(crate) struct Places {
    pub(super) journal: PathBuf,
    pub(super) history: PathBuf,
    /// What a person wishes of a version on trial.
    pub(super) wish: PathBuf,
    /// A copy of this program that no update touches.
    pub(super) recovery: PathBuf,
    pub(super) memory: PathBuf,
    pub(super) snapshot: PathBuf,
    pub(super) downloads: PathBuf,
    /// What is brought here before it may be installed.
    pub(super) ahead: PathBuf,
    /// The last index of each suite.
    pub(super) index: PathBuf,
    /// Why an update that was found waits.
    pub(super) waiting: PathBuf,
    /// What apt is given and writes while it plans.
    pub(super) apt: PathBuf,
    pub(super) log: PathBuf,
}

impl Places {
    pub(crate) fn of(config: &Config) -> Self {
        let place = |name: &str| config.state_dir.join(name);
        Self {
            journal: place("journal"),
            history: place("history.json"),
            wish: place("wish"),
            recovery: place("recovery"),
            memory: place("memory.json"),
            snapshot: place("snapshot"),
            downloads: place("downloads"),
            ahead: place("ahead"),
            index: place("index"),
            waiting: place("waiting.json"),
            apt: place("apt"),
            log: place("last-program.log"),
        }
    }
}
