//! A disk whose pictures cost nothing: a btrfs file system in a file, each device's root a subvolume of it.

use crate::file_system::FileSystem;
use crate::program::run;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Sparse: what a campaign writes is much less.
const BYTES: u64 = 16 << 30;

/// The file system. It is gone when it is dropped.
pub(super) struct Disk {
    file_system: FileSystem,
    next: AtomicUsize,
}

/// A subvolume with a device's root as the folder `root` in it. The root is no subvolume itself, so that the updater
/// treats it as on any other file system, and that a copy has all that is below it.
#[derive(Debug, Clone)]
pub(super) struct Root {
    subvolume: PathBuf,
    path: PathBuf,
}

impl Disk {
    /// Makes and mounts it.
    pub(super) fn new() -> Self {
        Self {
            file_system: FileSystem::in_memory("btrfs", BYTES, &["--metadata", "single"]),
            next: AtomicUsize::new(1),
        }
    }

    /// A place for a root.
    pub(super) fn empty(&self) -> Root {
        let root = self.free_place();
        run(Command::new("btrfs").args(["--quiet", "subvolume", "create"]).arg(&root.subvolume)).success();
        root
    }

    /// A copy of a root as it is at this moment, as a power cut would leave it if nothing were lost from memory.
    pub(super) fn copy(&self, of: &Root) -> Root {
        let root = self.free_place();
        let mut snapshot = Command::new("btrfs");
        snapshot.args(["--quiet", "subvolume", "snapshot"]).arg(&of.subvolume).arg(&root.subvolume);
        run(&mut snapshot).success();
        root
    }

    fn free_place(&self) -> Root {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let subvolume = self.file_system.path().join(number.to_string());
        Root { path: subvolume.join("root"), subvolume }
    }
}

impl Root {
    /// The subvolume.
    pub(super) fn subvolume(&self) -> &Path {
        &self.subvolume
    }

    /// The device's top folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it.
    pub(super) fn discard(self) {
        run(Command::new("btrfs").args(["--quiet", "subvolume", "delete"]).arg(&self.subvolume)).success();
    }
}
