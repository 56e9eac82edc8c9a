//! What a package gives to systemd: units, users for systemd-sysusers, folders for systemd-tmpfiles.

mod conf;
mod unit;

pub use conf::{ConfError, check_sysusers, check_tmpfiles};
pub use unit::{UnitError, UnitFile, UnitWishes};

use serde::Deserialize;

/// Where unit files are packed: where lintian wants them since bookworm.
pub const UNIT_FOLDER: &str = "usr/lib/systemd/system";

/// All that scripts have to do for a package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Services {
    /// In the order of the manifest.
    pub units: Vec<Unit>,
    /// Whether unit files are packed that systemd only ever sees through their instances.
    pub has_templates: bool,
    /// The name of the file in `/usr/lib/sysusers.d`.
    pub sysusers: Option<String>,
    /// The name of the file in `/usr/lib/tmpfiles.d`.
    pub tmpfiles: Option<String>,
}

/// A unit and what its package does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Such as `hi.service`.
    pub name: String,
    /// Whether it starts at boot.
    pub enablement: Enablement,
    /// Whether it is started at installation.
    pub start: bool,
    /// What happens to it at an upgrade.
    pub on_upgrade: OnUpgrade,
}

/// Whether a unit starts at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enablement {
    /// The package enables it when it is first installed.
    ByPackage,
    /// It has an `[Install]` section, and the administrator may enable it.
    ByAdministrator,
    /// It has none; others pull it in.
    Static,
}

/// What happens to a unit at an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnUpgrade {
    /// It runs on until the new version is unpacked, then restarts.
    #[default]
    Restart,
    /// It is stopped before and started after.
    Stop,
    /// It is left alone.
    Keep,
}
