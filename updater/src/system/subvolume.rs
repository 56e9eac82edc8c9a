//! btrfs subvolumes: a read-only snapshot of the root's, taken in no time.

use super::process::{ProcessError, Program};
use rustix::fs::statfs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// statfs(2).
const BTRFS_MAGIC: u64 = 0x9123_683e;
/// The top of every subvolume has this inode number, and nothing else on btrfs has.
const TOP_INODE: u64 = 256;
const LONGEST: Duration = Duration::from_secs(300);

/// A subvolume that could not be taken or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubvolumeError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("`btrfs subvolume {action}` failed for {path}: {outcome}")]
    Failed { action: &'static str, path: PathBuf, outcome: String },
}

/// Whether this folder is the top of a btrfs subvolume.
pub(crate) fn is_subvolume(path: &Path) -> bool {
    let is_btrfs = statfs(path).is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|magic| magic == BTRFS_MAGIC));
    is_btrfs && path.metadata().is_ok_and(|found| found.ino() == TOP_INODE)
}

/// Takes a read-only snapshot of a subvolume at a path where nothing is yet, on the same file system. When this
/// returns, a power cut cannot undo it.
pub(crate) fn snapshot_subvolume(root: &Path, target: &Path, log: &Path) -> Result<(), SubvolumeError> {
    let program = Program::new("btrfs").args(["--quiet", "subvolume", "snapshot", "-r"]).arg(root).arg(target);
    run(program, "snapshot", target, log)
}

/// Removes a snapshot that [`snapshot_subvolume`] took.
pub(crate) fn remove_subvolume(path: &Path, log: &Path) -> Result<(), SubvolumeError> {
    run(Program::new("btrfs").args(["--quiet", "subvolume", "delete", "--commit-after"]).arg(path), "delete", path, log)
}

fn run(program: Program, action: &'static str, path: &Path, log: &Path) -> Result<(), SubvolumeError> {
    let finished = program.run(LONGEST, log)?;
    if finished.is_success() {
        return Ok(());
    }
    Err(SubvolumeError::Failed { action, path: path.to_owned(), outcome: finished.describe() })
}
