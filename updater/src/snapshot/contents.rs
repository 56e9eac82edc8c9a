//! The contents of files: how they are copied away and put back.

use super::rooted::is_absent;
use super::{SnapshotError, at};
use crate::system;
use rustix::fs::ioctl_ficlone;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folder in a snapshot where a read-only snapshot of the root's btrfs subvolume is.
const SUBVOLUME: &str = "root";

/// Where the content of a path is kept.
pub(super) fn content_path(folder: &Path, path: &Path, content: Option<u64>) -> PathBuf {
    match content {
        Some(number) => folder.join(number.to_string()),
        None => folder.join(SUBVOLUME).join(path),
    }
}

/// Takes a snapshot of the root's subvolume, if it is one. Without btrfs-progs the contents are copied one by one,
/// which shares their blocks all the same.
pub(super) fn take_subvolume(root: &Path, folder: &Path) -> bool {
    if !system::is_subvolume(root) {
        return false;
    }
    let taken = system::snapshot_subvolume(root, &folder.join(SUBVOLUME), &folder.with_extension("log"));
    taken.inspect_err(|error| tracing::debug!("{error}; copying file by file")).is_ok()
}

/// Whether the snapshot in this folder has one of a subvolume.
pub(super) fn has_subvolume(folder: &Path) -> bool {
    system::is_subvolume(&folder.join(SUBVOLUME))
}

/// Removes the snapshot of a subvolume that is in this folder, if one is.
pub(super) fn remove_subvolume(folder: &Path) -> Result<(), SnapshotError> {
    if has_subvolume(folder) {
        system::remove_subvolume(&folder.join(SUBVOLUME), &folder.with_extension("log"))?;
    }
    Ok(())
}

/// Makes one file hold what the other holds: by sharing its blocks (btrfs, xfs), else by copying them.
pub(super) fn copy(from: &File, to: &File) -> io::Result<()> {
    match ioctl_ficlone(to, from) {
        Ok(()) => Ok(()),
        Err(_) => io::copy(&mut &*from, &mut &*to).map(drop),
    }
}

/// Copies a file away.
pub(super) fn copy_away(from: &Path, to: &Path) -> Result<(), SnapshotError> {
    let source = File::open(from).map_err(at("read", from))?;
    let target = File::create(to).map_err(at("write", to))?;
    copy(&source, &target).map_err(at("copy away", from))
}

/// Whether a new file in this folder can share the blocks of files that lie on the same file system.
pub(super) fn shares_blocks(folder: &Path) -> bool {
    let probe = || -> io::Result<()> {
        let (from, to) = (tempfile::tempfile_in(folder)?, tempfile::tempfile_in(folder)?);
        io::Write::write_all(&mut &from, &[1; 4096])?;
        Ok(ioctl_ficlone(&to, &from)?)
    };
    probe().is_ok()
}

/// Whether two files hold the same.
pub(super) fn are_equal(a: &Path, b: &Path) -> Result<bool, SnapshotError> {
    const COMPARED: usize = 64 << 10;
    let open = |path: &Path| File::open(path).map(|file| BufReader::with_capacity(COMPARED, file));
    let (mut left, mut right) = (open(a).map_err(at("read", a))?, open(b).map_err(at("read", b))?);
    loop {
        let x = left.fill_buf().map_err(at("read", a))?;
        let y = right.fill_buf().map_err(at("read", b))?;
        let length = x.len().min(y.len());
        if length == 0 {
            return Ok(x.len() == y.len());
        }
        if x[..length] != y[..length] {
            return Ok(false);
        }
        left.consume(length);
        right.consume(length);
    }
}

/// Flushes every file system that one of these paths lies on. It says what went wrong, which `sync` does not.
pub(super) fn flush_all<'a>(root: &Path, paths: impl Iterator<Item = &'a Path>) -> Result<(), SnapshotError> {
    let mut devices: BTreeMap<u64, PathBuf> = BTreeMap::new();
    for path in paths {
        let full = root.join(path);
        match full.symlink_metadata() {
            // Opening a pipe would wait for whoever writes to it.
            Ok(found) if found.is_dir() || found.is_file() => {
                devices.entry(found.dev()).or_insert(full);
            }
            Err(error) if !is_absent(&error) => return Err(at("read", &full)(error)),
            _ => {}
        }
    }
    devices.values().try_for_each(|path| flush(path))
}

/// Flushes the file system that a path lies on.
pub(super) fn flush(path: &Path) -> Result<(), SnapshotError> {
    let opened = File::open(path).map_err(at("read", path))?;
    rustix::fs::syncfs(opened).map_err(|error| at("flush to the disk", path)(error.into()))
}
