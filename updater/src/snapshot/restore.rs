//! Putting a snapshot back. Everything here may be repeated: power may fail in the middle, and it starts again.

use super::capture::{identity, metadata, walk_tree};
use super::contents::{are_equal, content_path, copy, flush_all};
use super::manifest::{Identity, Kind, Manifest, Metadata, Node, Present, RootedPath};
use super::rooted::{is_absent, lies_in_real_folders};
use super::{SnapshotError, at};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Where a file is written before it takes its place, in the same folder. The name is fixed, so a second try writes
/// over the first, and short, so it fits beside the longest names.
const UNFINISHED: &str = ".debfleet-restore";

/// Where a folder goes that took the place of a file or link and holds what nobody declared.
const ASIDE: &str = ".debfleet-aside";

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
    flush_all(root, manifest.entries.iter().map(|(path, _)| path.0.as_path()))
}

pub(super) fn remove_what_was_absent(
    root: &Path,
    manifest: &Manifest,
    present: &BTreeMap<&Path, &Present>,
) -> Result<(), SnapshotError> {
    let mut doomed: BTreeSet<PathBuf> = BTreeSet::new();
    let excluded = manifest.excluded();
    for tree in &manifest.trees {
        let found = walk_tree(root, &tree.0, &excluded)?;
        doomed.extend(found.into_iter().filter(|path| !present.contains_key(path.as_path())));
    }
    for (path, _) in manifest.entries.iter().filter(|(_, node)| *node == Node::Absent) {
        if is_programs_only(&path.0) {
            doomed.extend(walk_new_folder(root, &path.0)?);
        }
        doomed.insert(path.0.clone());
    }
    doomed.extend(present.keys().filter(|path| !path.as_os_str().is_empty()).map(|path| unfinished(path)));
    // What lies in a folder sorts behind it.
    for path in doomed.iter().rev() {
        // Behind a link that took a folder's place lies something else; the link itself goes later.
        if lies_in_real_folders(root, path) {
            remove(&root.join(path))?;
        }
    }
    Ok(())
}

/// Where nobody but packages puts anything (FHS 4.1). A folder that came into being there goes with all that scripts made
/// in it, such as Python's `__pycache__`.
fn is_programs_only(path: &Path) -> bool {
    let below = ["bin", "lib", "lib32", "lib64", "libx32", "sbin", "usr"].iter().any(|top| path.starts_with(top));
    below && !path.starts_with("usr/local")
}

/// What lies in a folder that was not there, and not in what is mounted below it.
fn walk_new_folder(root: &Path, folder: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let top = root.join(folder);
    let is_folder = top.symlink_metadata().is_ok_and(|found| found.is_dir());
    if !is_folder || !lies_in_real_folders(root, folder) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in WalkDir::new(&top).same_file_system(true).follow_links(false) {
        match entry {
            Ok(entry) => found.push(entry.path().strip_prefix(root).unwrap_or(entry.path()).to_owned()),
            Err(error) if error.io_error().is_some_and(is_absent) => {}
            Err(error) => return Err(at("read", &top)(error.into())),
        }
    }
    Ok(found)
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
        clear_folder_away(&full)?;
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
        Kind::File { content } => {
            let kept = content_path(folder, path, *content);
            put_back_file(&full, &kept, present, now.as_ref())
        }
        _ if now.as_ref().is_some_and(|now| is_untouched(now, &present.identity)) => Ok(()),
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
    let wanted = first.symlink_metadata().map_err(at("read", &first))?;
    if now.map(inode) == Some(inode(&wanted)) {
        return Ok(());
    }
    let new = unfinished(full);
    std::fs::hard_link(&first, &new).map_err(at("link", &new))?;
    take_place(&new, full)
}

/// Makes room for the file or link that was there. What a script moved into the folder is nobody's to throw away.
#[expect(clippy::disallowed_methods, reason = "one flush at the end makes all of them durable")]
fn clear_folder_away(full: &Path) -> Result<(), SnapshotError> {
    match std::fs::remove_dir(full) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            let free = |number: &u32| full.with_file_name(format!("{ASIDE}-{number}"));
            let aside = (1..=u32::MAX).map(|number| free(&number)).find(|aside| aside.symlink_metadata().is_err());
            std::fs::rename(full, aside.unwrap_or_else(|| free(&0))).map_err(at("move aside", full))
        }
        other => other.map_err(at("remove the folder that took the place of", full)),
    }
}

fn put_back_file(
    full: &Path,
    kept: &Path,
    present: &Present,
    now: Option<&std::fs::Metadata>,
) -> Result<(), SnapshotError> {
    let metadata = &present.metadata;
    let kept_now = kept.metadata().map_err(at("read", kept))?;
    if now.map(inode) == Some(inode(&kept_now)) {
        // An earlier attempt had no room for a copy: see below.
        return set_metadata(full, metadata).map_err(at("restore the attributes of", full));
    }
    // A file that seems untouched may not be, after a power cut: its data reached the disk, and the time that would
    // tell did not.
    if now.is_some_and(|now| is_untouched(now, &present.identity)) && are_equal(full, kept)? {
        return Ok(());
    }
    let written = replace(full, metadata, |to| copy(&File::open(kept)?, &File::create(to)?));
    match written {
        // Not even with the room that the new version gave back. What is kept needs no more than a second name.
        Err(error) if error.is_full() => share(kept, full, metadata).map_err(|_| error),
        other => other,
    }
}

fn share(kept: &Path, full: &Path, metadata: &Metadata) -> Result<(), SnapshotError> {
    let new = unfinished(full);
    remove(&new)?;
    set_metadata(kept, metadata).map_err(at("restore the attributes of", full))?;
    std::fs::hard_link(kept, &new).map_err(at("link", &new))?;
    take_place(&new, full)
}

fn inode(found: &std::fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
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
    path.with_file_name(UNFINISHED)
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
