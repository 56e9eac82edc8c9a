//! Taking a snapshot.

use super::contents::{self, content_path, copy_away};
use super::manifest::{Identity, Kind, Manifest, Metadata, Node, Present, RootedPath};
use super::rooted::{is_absent, lies_in_real_folders, resolve, resolve_parent};
use super::scope::{Scope, is_excluded, with_siblings};
use super::{SnapshotError, at, manifest, room};
use crate::transaction::Transaction;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// What a snapshot is taken for.
pub(crate) struct Captured<'a> {
    pub(crate) root: &'a Path,
    /// Where the snapshot is kept; an older one there is discarded.
    pub(crate) folder: &'a Path,
    /// The updater's own folder: never part of a snapshot, whatever a package declares.
    pub(crate) ours: &'a Path,
    pub(crate) transaction: &'a Transaction,
    pub(crate) units: Vec<String>,
    pub(crate) active_units: Vec<String>,
    /// Bytes that the installation itself will need.
    pub(crate) install_bytes: u64,
    /// Files and folders that it may make.
    pub(crate) install_files: u64,
}

/// Copies away everything in the scope. When this returns, a power cut cannot undo it.
pub(crate) fn capture(scope: &Scope, what: Captured<'_>) -> Result<Manifest, SnapshotError> {
    let Captured { root, folder, ours, transaction, units, active_units, install_bytes, install_files } = what;
    let excluded = excluded(root, scope, ours)?;
    let (trees, paths) = resolve_all(root, scope, &excluded)?;
    // Before the older snapshot goes: an update that does not fit must not cost the way back from the last one.
    room::check(&room::Plan { root, folder, paths: &paths, install_bytes, install_files })?;
    manifest::discard(folder)?;
    durable_files::create_dir(folder, 0o700)?;
    let by_subvolume = contents::take_subvolume(root, folder);
    let mut capture = Capture { root, folder, by_subvolume, contents: 0, inodes: BTreeMap::new() };
    let mut entries = Vec::with_capacity(paths.len());
    for path in paths {
        let node = match capture.node(&path) {
            // It went while we looked: a program that is still at work removed it.
            Err(SnapshotError::Io { cause, .. }) if is_absent(&cause) => Node::Absent,
            other => other?,
        };
        entries.push((RootedPath(path), node));
    }
    // One flush for all contents instead of one for each, before the list is written.
    contents::flush(folder)?;
    let rooted = |paths: BTreeSet<PathBuf>| paths.into_iter().map(RootedPath).collect();
    let manifest = Manifest {
        transaction: transaction.clone(),
        units,
        active_units,
        trees: rooted(trees),
        excluded: rooted(excluded),
        entries,
    };
    manifest::write(folder, &manifest)?;
    Ok(manifest)
}

/// Makes all that was written outlast a power cut, and says where that failed within the scope.
pub(crate) fn flush(root: &Path, manifest: &Manifest) -> Result<(), SnapshotError> {
    // Scripts may have written to any file system.
    rustix::fs::sync();
    contents::flush_all(root, manifest.entries.iter().map(|(path, _)| path.0.as_path()))
}

/// A snapshot of a subvolume keeps all that anybody removes afterwards from being freed. Once the update is
/// committed, only what is in the scope is worth that.
pub(crate) fn release_subvolume(folder: &Path) -> Result<(), SnapshotError> {
    if !contents::has_subvolume(folder) {
        return Ok(());
    }
    let Some(mut manifest) = manifest::load(folder)? else { return Ok(()) };
    let numbers = manifest.entries.iter().filter_map(|(_, node)| match node {
        Node::Present(Present { kind: Kind::File { content }, .. }) => *content,
        _ => None,
    });
    let mut next = numbers.max().map_or(0, |number| number + 1);
    for (path, node) in &mut manifest.entries {
        if let Node::Present(Present { kind: Kind::File { content: content @ None }, .. }) = node {
            copy_away(&content_path(folder, &path.0, None), &content_path(folder, &path.0, Some(next)))?;
            *content = Some(next);
            next += 1;
        }
    }
    contents::flush(folder)?;
    manifest::write(folder, &manifest)?;
    contents::remove_subvolume(folder)
}

/// What is left alone within the trees, where it really lies.
fn excluded(root: &Path, scope: &Scope, ours: &Path) -> Result<BTreeSet<PathBuf>, SnapshotError> {
    let mut excluded = BTreeSet::new();
    for lock in scope.locks() {
        excluded.insert(resolve_parent(root, lock)?.path);
    }
    let ours = ours.canonicalize().map_err(at("read", ours))?;
    excluded.extend(ours.strip_prefix(root).ok().map(Path::to_owned));
    Ok(excluded)
}

/// The trees, and every path to record, really where it lies: with all folders above, because their times change
/// with their content, and with the links that led there.
fn resolve_all(
    root: &Path,
    scope: &Scope,
    excluded: &BTreeSet<PathBuf>,
) -> Result<(BTreeSet<PathBuf>, BTreeSet<PathBuf>), SnapshotError> {
    let mut paths = BTreeSet::from([PathBuf::new()]);
    let mut add = |path: PathBuf| {
        for above in path.ancestors() {
            if !paths.insert(above.to_owned()) {
                break;
            }
        }
    };
    for path in &scope.paths {
        let resolved = resolve_parent(root, path)?;
        if let Some(target) = linked_conffile(root, &resolved.path)? {
            with_siblings(&target).into_iter().for_each(&mut add);
        }
        resolved.links.into_iter().for_each(&mut add);
        add(resolved.path);
    }
    let mut trees = BTreeSet::new();
    for tree in &scope.trees {
        let resolved = resolve(root, tree)?;
        resolved.links.into_iter().for_each(&mut add);
        // A link to the root itself declares nothing that could be copied away.
        if !resolved.path.as_os_str().is_empty() {
            trees.insert(resolved.path);
        }
    }
    for tree in &trees {
        add(tree.clone());
        walk_tree(root, tree, excluded)?.into_iter().for_each(&mut add);
    }
    paths.retain(|path| !is_excluded(path, excluded));
    Ok((trees, paths))
}

/// The file behind a link in /etc: dpkg writes a conffile through such a link.
fn linked_conffile(root: &Path, path: &Path) -> Result<Option<PathBuf>, SnapshotError> {
    let is_link = path.starts_with("etc") && root.join(path).is_symlink();
    if !is_link {
        return Ok(None);
    }
    let target = resolve(root, path)?.path;
    let kept_elsewhere = ["dev", "proc", "sys", "run"].iter().any(|folder| target.starts_with(folder));
    let is_file = root.join(&target).symlink_metadata().is_ok_and(|found| found.is_file());
    Ok((is_file && !kept_elsewhere).then_some(target))
}

/// Everything below a tree, relative to the root; nothing if it is absent, or if a link leads elsewhere now.
pub(super) fn walk_tree(root: &Path, tree: &Path, excluded: &BTreeSet<PathBuf>) -> Result<Vec<PathBuf>, SnapshotError> {
    let top = root.join(tree);
    let mut found = Vec::new();
    if !lies_in_real_folders(root, tree) {
        return Ok(found);
    }
    let relative = |full: &Path| full.strip_prefix(root).unwrap_or(full).to_owned();
    let walk = WalkDir::new(&top).follow_links(false).follow_root_links(false).into_iter();
    for entry in walk.filter_entry(|entry| !is_excluded(&relative(entry.path()), excluded)) {
        match entry {
            Ok(entry) => found.push(relative(entry.path())),
            Err(error) if error.io_error().is_some_and(is_absent) => {}
            Err(error) => return Err(at("read", &top)(error.into())),
        }
    }
    Ok(found)
}

struct Capture<'a> {
    root: &'a Path,
    folder: &'a Path,
    by_subvolume: bool,
    contents: u64,
    /// The first path of each inode that has several names.
    inodes: BTreeMap<(u64, u64), RootedPath>,
}

impl Capture<'_> {
    /// What is at a path.
    fn node(&mut self, path: &Path) -> Result<Node, SnapshotError> {
        let full = self.root.join(path);
        let found = match full.symlink_metadata() {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(Node::Absent),
            Err(error) => return Err(at("read", &full)(error)),
        };
        let kind = found.file_type();
        let kind = if kind.is_dir() {
            Kind::Directory
        } else if kind.is_symlink() {
            Kind::Symlink { target: RootedPath(std::fs::read_link(&full).map_err(at("read the link", &full))?) }
        } else if kind.is_file() {
            self.file(path, &full, &found)?
        } else {
            Kind::Special { mode: found.mode(), device: found.rdev() }
        };
        let metadata = metadata(&full, &found).map_err(at("read the attributes of", &full))?;
        Ok(Node::Present(Present { kind, metadata, identity: identity(&found) }))
    }

    fn file(&mut self, path: &Path, full: &Path, found: &std::fs::Metadata) -> Result<Kind, SnapshotError> {
        if found.nlink() > 1 {
            let inode = (found.dev(), found.ino());
            if let Some(first) = self.inodes.get(&inode) {
                return Ok(Kind::HardLink { to: first.clone() });
            }
            self.inodes.insert(inode, RootedPath(path.to_owned()));
        }
        if self.by_subvolume && self.is_in_subvolume(path, found) {
            return Ok(Kind::File { content: None });
        }
        let content = Some(self.contents);
        self.contents += 1;
        copy_away(full, &content_path(self.folder, path, content))?;
        Ok(Kind::File { content })
    }

    /// Not so: what lies in another subvolume or on another file system, and what changed since.
    fn is_in_subvolume(&self, path: &Path, found: &std::fs::Metadata) -> bool {
        let same = |kept: &std::fs::Metadata| {
            (kept.ino(), kept.ctime(), kept.ctime_nsec()) == (found.ino(), found.ctime(), found.ctime_nsec())
        };
        content_path(self.folder, path, None).symlink_metadata().is_ok_and(|kept| same(&kept))
    }
}

pub(super) fn identity(found: &std::fs::Metadata) -> Identity {
    Identity { device: found.dev(), inode: found.ino(), ctime: (found.ctime(), found.ctime_nsec()) }
}

pub(super) fn metadata(full: &Path, found: &std::fs::Metadata) -> io::Result<Metadata> {
    let mut xattrs = Vec::new();
    match xattr::list(full) {
        Ok(names) => {
            for name in names {
                if let Some(value) = xattr::get(full, &name)? {
                    xattrs.push((RootedPath(name.into()), value));
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(error) => return Err(error),
    }
    xattrs.sort();
    Ok(Metadata {
        mode: found.mode() & 0o7777,
        uid: found.uid(),
        gid: found.gid(),
        mtime: (found.mtime(), found.mtime_nsec()),
        xattrs,
    })
}
