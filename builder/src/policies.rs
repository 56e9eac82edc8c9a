//! The update policies that a source packs as plain files: a device must never meet one that it cannot obey.

use crate::entries::{Content, EntryKind};
use crate::gathered::Gathered;
use debian_formats::limits::Limits;
use debian_formats::{Version, version::VersionError};
use fleet_protocol::update_policy::{PolicyError, UpdatePolicy, path_in_package};
use std::io;
use std::path::PathBuf;

/// An update policy that no device could obey.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// It cannot be read.
    #[error("could not read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Larger than the updater reads.
    #[error("{path} is larger than the {limit} bytes that a device reads")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        limit: u64,
    },
    /// Not TOML of the right shape.
    #[error("{path}: {source}")]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: PolicyError,
    },
    /// The rollback floor is no version.
    #[error("{path}: rollback-floor: {source}")]
    FloorForm {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: VersionError,
    },
    /// The package would forbid itself.
    #[error("{path}: rollback-floor {floor} is above this package's own version {version}; lower it")]
    FloorAbove {
        /// The file.
        path: PathBuf,
        /// As written.
        floor: String,
        /// Of the package.
        version: Version,
    },
    /// A file of another name, which nobody would read.
    #[error("{path} would never be read; a device looks for /{expected}: rename it")]
    Name {
        /// The file.
        path: PathBuf,
        /// Where the updater looks.
        expected: String,
    },
}

const FOLDER: &str = "usr/lib/debfleet/update.d/";

/// Checks every file below [`FOLDER`] that comes from disk.
pub(crate) fn check(gathered: &Gathered) -> Result<(), PolicyFileError> {
    let package = gathered.stanza.get("Package").unwrap_or_default();
    let expected = path_in_package(package);
    for (packed, entry) in gathered.entries.iter().filter(|(path, _)| path.starts_with(FOLDER)) {
        let EntryKind::File(Content::File { path, size }) = &entry.kind else { continue };
        let path = path.clone();
        if packed != expected {
            return Err(PolicyFileError::Name { path, expected });
        }
        let limit = Limits::DEFAULT.policy_file_bytes;
        if *size > limit {
            return Err(PolicyFileError::TooLarge { path, limit });
        }
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(PolicyFileError::Read { path, source }),
        };
        let policy = match UpdatePolicy::parse(&text) {
            Ok(policy) => policy,
            Err(source) => return Err(PolicyFileError::Policy { path, source }),
        };
        let version = gathered.stanza.get("Version").unwrap_or_default().parse::<Version>();
        let (Some(floor), Ok(version)) = (policy.rollback_floor, version) else { continue };
        match floor.parse::<Version>() {
            Err(source) => return Err(PolicyFileError::FloorForm { path, source }),
            Ok(lowest) if lowest > version => return Err(PolicyFileError::FloorAbove { path, floor, version }),
            Ok(_) => {}
        }
    }
    Ok(())
}
