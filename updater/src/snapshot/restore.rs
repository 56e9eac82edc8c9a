//! Putting a snapshot back. Everything here may be repeated: power may fail in the middle, and it starts again.

use super::capture::{identity, metadata, walk_tree};
use super::manifest::{Identity, Kind, Manifest, Metadata, Node, Present, RootedPath, content_path};
use super::rooted::is_absent;
use super::scope::is_excluded;
use super::{SnapshotError, at};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Where a file is written before it takes its place. The name is fixed, so a second try writes over the first.
const UNFINISHED: &str = ".debfleet-restore";

/// Makes everything in the snapshot's scope what it was. When this returns, a power cut cannot undo it.
pub(crate) fn restore(root: &Path, folder: &Path, manifest: &Manifest) -> Result<(), SnapshotError> {
    let present = manifest.present();
    remove_what_was_absent(root, manifest, &present)?;
    for (path, present) in &present {
        put_back(root, folder, path, present)?;
    }
    // Deepest first, and last of all: whatever happens in a folder changes its times.
    for (path, present) in present.iter().rev().filter(|(_, present)| present.kind == Kind::Directory) {
        let full = root.join(path);
        set_metadata(&full, &present.metadata).map_err(at("restore the attributes of", &full))?;
    }
    rustix::fs::sync();
    Ok(())
}

pub(super) fn remove_what_was_absent(
    root: &Path,
    manifest: &Manifest,
    present: &BTreeMap<&Path, &Present>,
) -> Result<(), SnapshotError> {
    let mut doomed: Vec<PathBuf> = Vec::new();
    for tree in &manifest.trees {
        doomed.extend(walk_tree(root, &tree.0)?.into_iter().filter(|path| !present.contains_key(path.as_path())));
    }
    let absent = manifest.entries.iter().filter(|(_, node)| *node == Node::Absent);
    doomed.extend(absent.map(|(path, _)| path.0.clone()).filter(|path| !is_excluded(path)));
    doomed.extend(present.keys().map(|path| unfinished(path)));
    // What lies in a folder sorts behind it.
    doomed.sort();
    for path in doomed.iter().rev() {
        remove(&root.join(path))?;
    }
    Ok(())
}

/// Removes a file, or a folder if it is empty: what others put into it is theirs.
fn remove(full: &Path) -> Result<(), SnapshotError> {
    let outcome = match full.symlink_metadata() {
        Ok(found) if found.is_dir() => std::fs::remove_dir(full),
        Ok(_) => std::fs::remove_file(full),
        Err(error) => Err(error),
    };
    match outcome {
        Err(error) if is_absent(&error) || error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => other.map_err(at("remove", full)),
    }
}

pub(super) fn put_back(root: &Path, folder: &Path, path: &Path, present: &Present) -> Result<(), SnapshotError> {
    let full = root.join(path);
    let now = match full.symlink_metadata() {
        Ok(now) => Some(now),
        Err(error) if is_absent(&error) => None,
        Err(error) => return Err(at("read", &full)(error)),
    };
    if let (Some(now), false) = (&now, present.kind == Kind::Directory)
        && now.is_dir()
    {
        std::fs::remove_dir(&full).map_err(at("remove the folder that took the place of", &full))?;
    }
    match &present.kind {
        Kind::Directory => {
            if !now.as_ref().is_some_and(std::fs::Metadata::is_dir) {
                if now.is_some() {
                    std::fs::remove_file(&full).map_err(at("remove", &full))?;
                }
                std::fs::create_dir(&full).map_err(at("create", &full))?;
            }
            Ok(())
        }
        Kind::HardLink { to } => put_back_hard_link(root, &full, to, now.as_ref()),
        _ if now.as_ref().is_some_and(|now| is_untouched(now, &present.identity)) => Ok(()),
        Kind::File { content } => {
            let copy = content_path(folder, *content);
            let write = |to: &Path| {
                let mut to = File::create(to)?;
                io::copy(&mut File::open(&copy)?, &mut to).map(drop)
            };
            replace(&full, &present.metadata, write)
        }
        Kind::Symlink { target } => replace(&full, &present.metadata, |to| symlink(&target.0, to)),
        Kind::Special { mode, device } => replace(&full, &present.metadata, |to| {
            let kind = FileType::from_raw_mode(*mode);
            Ok(rustix::fs::mknodat(CWD, to, kind, Mode::from_raw_mode(mode & 0o7777), *device)?)
        }),
    }
}

fn put_back_hard_link(
    root: &Path,
    full: &Path,
    to: &RootedPath,
    now: Option<&std::fs::Metadata>,
) -> Result<(), SnapshotError> {
    let first = root.join(&to.0);
    let inode = |found: &std::fs::Metadata| (found.dev(), found.ino());
    let wanted = first.symlink_metadata().map_err(at("read", &first))?;
    if now.map(inode) == Some(inode(&wanted)) {
        return Ok(());
    }
    let new = unfinished(full);
    std::fs::hard_link(&first, &new).map_err(at("link", &new))?;
    take_place(&new, full)
}

fn is_untouched(now: &std::fs::Metadata, then: &Identity) -> bool {
    identity(now) == *then
}

fn replace(full: &Path, metadata: &Metadata, make: impl Fn(&Path) -> io::Result<()>) -> Result<(), SnapshotError> {
    let new = unfinished(full);
    let made = match make(&new) {
        // The version that is going away must make room for the one that comes back.
        Err(error) if durable_files::is_full(&error) => std::fs::remove_file(full)
            .or_else(|error| if is_absent(&error) { Ok(()) } else { Err(error) })
            .and_then(|()| make(&new)),
        other => other,
    };
    made.map_err(at("write", full))?;
    set_metadata(&new, metadata).map_err(at("restore the attributes of", full))?;
    take_place(&new, full)
}

#[expect(clippy::disallowed_methods, reason = "one flush at the end makes all of them durable")]
fn take_place(new: &Path, full: &Path) -> Result<(), SnapshotError> {
    std::fs::rename(new, full).map_err(at("put in place", full))
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

/// Owner before mode, because a change of owner clears setuid; both before attributes, because it clears
/// capabilities; the time last.
fn set_metadata(full: &Path, wanted: &Metadata) -> io::Result<()> {
    let found = full.symlink_metadata()?;
    let now = metadata(full, &found)?;
    if now == *wanted {
        return Ok(());
    }
    if (now.uid, now.gid) != (wanted.uid, wanted.gid) {
        let (uid, gid) = (Uid::from_raw(wanted.uid), Gid::from_raw(wanted.gid));
        rustix::fs::chownat(CWD, full, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    if !found.is_symlink() {
        std::fs::set_permissions(full, std::fs::Permissions::from_mode(wanted.mode))?;
    }
    for (name, _) in now.xattrs.iter().filter(|(name, _)| !wanted.xattrs.iter().any(|(wanted, _)| wanted == name)) {
        xattr::remove(full, &name.0)?;
    }
    for (name, value) in &wanted.xattrs {
        xattr::set(full, &name.0, value)?;
    }
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: wanted.mtime.0, tv_nsec: wanted.mtime.1 },
    };
    Ok(rustix::fs::utimensat(CWD, full, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
