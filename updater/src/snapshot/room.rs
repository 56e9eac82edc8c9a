//! Whether a snapshot and the installation after it fit, asked before anything changes.

use super::contents::shares_blocks;
use super::{SnapshotError, at};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Room that is left over for what nobody foresees: logs, caches, the journal.
const MARGIN: u64 = 16 << 20;
/// A path in the snapshot's list, with its extended attributes.
const LISTED: u64 = 1024;

/// What something takes on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Need {
    bytes: u64,
    inodes: u64,
}

/// What is about to be done.
pub(super) struct Plan<'a> {
    pub(super) root: &'a Path,
    /// Where the snapshot will be kept, in place of the one that is there now.
    pub(super) folder: &'a Path,
    pub(super) paths: &'a BTreeSet<PathBuf>,
    pub(super) install_bytes: u64,
    /// Entries of the packages.
    pub(super) install_files: u64,
}

/// Demands the room that the plan takes.
pub(super) fn check(plan: &Plan<'_>) -> Result<(), SnapshotError> {
    let above = plan.folder.parent().unwrap_or(plan.root);
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    let (kept_on, installed_on) = (device(above), device(plan.root));
    let sharing = shares_blocks(above);
    let block = rustix::fs::statvfs(above).map_or(4096, |room| room.f_frsize.max(1));
    let mut snapshot = Need::default();
    for path in plan.paths {
        let Ok(found) = plan.root.join(path).symlink_metadata() else { continue };
        snapshot.bytes += LISTED;
        if found.is_file() {
            snapshot.inodes += 1;
            if !(sharing && Some(found.dev()) == kept_on) {
                snapshot.bytes = snapshot.bytes.saturating_add(found.len().next_multiple_of(block));
            }
        }
    }
    let older = occupied(plan.folder);
    snapshot.bytes = snapshot.bytes.saturating_sub(older.bytes);
    snapshot.inodes = snapshot.inodes.saturating_sub(older.inodes);
    // The last block of each file is half empty, on average.
    let rounding = plan.install_files.saturating_mul(block / 2);
    let install = Need { bytes: plan.install_bytes.saturating_add(rounding), inodes: plan.install_files };
    if kept_on == installed_on {
        let both = Need {
            bytes: snapshot.bytes.saturating_add(install.bytes),
            inodes: snapshot.inodes.saturating_add(install.inodes),
        };
        return demand(above, both);
    }
    demand(above, snapshot)?;
    demand(plan.root, install)
}

fn demand(path: &Path, need: Need) -> Result<(), SnapshotError> {
    let needed = need.bytes.saturating_add(MARGIN);
    let room = rustix::fs::statvfs(path).map_err(|error| at("ask for the free room of", path)(error.into()))?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    if free < needed {
        return Err(SnapshotError::NoRoom { path: path.to_owned(), needed, free });
    }
    // A file system that makes inodes as they are needed counts none.
    if room.f_files > 0 && room.f_favail < need.inodes {
        return Err(SnapshotError::NoInodes { path: path.to_owned(), needed: need.inodes, free: room.f_favail });
    }
    Ok(())
}

/// What an older snapshot gives back when it is discarded. Shared blocks count too, though nobody knows whether they
/// will be free; what it shares it shares with the installation, which is what the margin is for.
fn occupied(folder: &Path) -> Need {
    let files = WalkDir::new(folder).max_depth(1).into_iter().flatten().filter_map(|entry| entry.metadata().ok());
    let mut occupied = Need::default();
    for file in files.filter(std::fs::Metadata::is_file) {
        occupied.bytes = occupied.bytes.saturating_add(file.blocks().saturating_mul(512));
        occupied.inodes += 1;
    }
    occupied
}
