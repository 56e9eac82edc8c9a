//! A file system of its own in an image file, as a device's disk has one.

use crate::program::run;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A file system that is mounted until it is dropped.
pub struct FileSystem {
    folder: TempDir,
}

impl FileSystem {
    /// Makes one of this many bytes with `mkfs.KIND` and these options.
    #[track_caller]
    #[must_use]
    pub fn new(kind: &str, bytes: u64, options: &[&str]) -> Self {
        Self::within(tempfile::tempdir().expect("a temporary folder"), kind, bytes, options)
    }

    /// The same in memory, if this machine has a place for it: quick, and its own flushes reach no disk.
    #[track_caller]
    #[must_use]
    pub fn in_memory(kind: &str, bytes: u64, options: &[&str]) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder");
        Self::within(folder, kind, bytes, options)
    }

    #[track_caller]
    fn within(folder: TempDir, kind: &str, bytes: u64, options: &[&str]) -> Self {
        let file_system = Self { folder };
        let image = file_system.folder.path().join("image");
        let file = std::fs::File::create(&image).expect("the image");
        file.set_len(bytes).expect("the image has its size, and no content yet");
        run(Command::new(format!("mkfs.{kind}")).args(options).arg("-q").arg(&image)).success();
        std::fs::create_dir(file_system.path()).expect("the mount point");
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(file_system.path())).success();
        file_system
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        // Lazily: that a test ends in the middle must not leave it mounted.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// Whether a file shares all of its blocks with others.
#[track_caller]
#[must_use]
pub fn is_shared(file: &Path) -> bool {
    let printed = run(Command::new("filefrag").arg("-v").arg(file)).success();
    let extents: Vec<&str> = printed.lines().filter(|line| line.contains("..")).collect();
    !extents.is_empty() && extents.iter().all(|extent| extent.contains("shared"))
}
