//! Taking a snapshot.

use super::manifest::{Identity, Kind, Manifest, Metadata, Node, Present, RootedPath, content_path, manifest_path};
use super::rooted::{is_absent, resolve_parent};
use super::scope::{Scope, is_excluded};
use super::{SnapshotError, at, manifest};
use crate::transaction::Transaction;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// What a snapshot is taken for.
pub(crate) struct Captured<'a> {
    pub(crate) root: &'a Path,
    /// Where the snapshot is kept; an older one there is discarded.
    pub(crate) folder: &'a Path,
    pub(crate) transaction: &'a Transaction,
    pub(crate) active_units: Vec<String>,
    /// Bytes that the installation itself will need.
    pub(crate) install_bytes: u64,
}

/// Room that is left over for what nobody foresees: logs, caches, the journal.
const MARGIN: u64 = 16 << 20;

/// Copies away everything in the scope. When this returns, a power cut cannot undo it.
pub(crate) fn capture(scope: &Scope, what: Captured<'_>) -> Result<Manifest, SnapshotError> {
    let Captured { root, folder, transaction, active_units, install_bytes } = what;
    manifest::discard(folder)?;
    let trees: BTreeSet<PathBuf> =
        scope.trees.iter().map(|tree| resolve_parent(root, tree)).collect::<Result<_, _>>()?;
    let paths = resolve_all(root, scope, &trees)?;
    check_room(root, folder, &paths, install_bytes)?;
    durable_files::create_dir(folder, 0o700)?;
    let mut capture = Capture { root, folder, contents: 0, inodes: BTreeMap::new() };
    let mut entries = Vec::with_capacity(paths.len());
    for path in paths {
        if let Some(node) = capture.node(&path)? {
            entries.push((RootedPath(path), node));
        }
    }
    // One flush for all contents instead of one for each; the list is written after it.
    rustix::fs::sync();
    let trees = trees.into_iter().map(RootedPath).collect();
    let manifest = Manifest { transaction: transaction.clone(), active_units, trees, entries };
    let path = manifest_path(folder);
    let bytes = serde_json::to_vec(&manifest).map_err(|cause| SnapshotError::Manifest { path: path.clone(), cause })?;
    durable_files::replace(&path, &bytes, 0o600)?;
    Ok(manifest)
}

/// Every path to record, really where it lies, with all folders above: their times change with their content.
fn resolve_all(root: &Path, scope: &Scope, trees: &BTreeSet<PathBuf>) -> Result<BTreeSet<PathBuf>, SnapshotError> {
    let mut paths = BTreeSet::from([PathBuf::new()]);
    let mut add = |path: PathBuf| {
        for above in path.ancestors() {
            if !paths.insert(above.to_owned()) {
                break;
            }
        }
    };
    for path in &scope.paths {
        add(resolve_parent(root, path)?);
        // A folder that is a symbolic link: what is written "into" it lies elsewhere.
        add(path.clone());
    }
    for tree in trees {
        add(tree.clone());
        for path in walk_tree(root, tree)? {
            add(path);
        }
    }
    Ok(paths)
}

/// Everything below a tree, relative to the root; nothing if it is absent.
pub(super) fn walk_tree(root: &Path, tree: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let top = root.join(tree);
    let mut found = Vec::new();
    for entry in WalkDir::new(&top).follow_links(false) {
        match entry {
            Ok(entry) => {
                let path = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_owned();
                if !is_excluded(&path) {
                    found.push(path);
                }
            }
            Err(error) if error.io_error().is_some_and(is_absent) => {}
            Err(error) => return Err(at("read", &top)(error.into())),
        }
    }
    Ok(found)
}

fn check_room(root: &Path, folder: &Path, paths: &BTreeSet<PathBuf>, install_bytes: u64) -> Result<(), SnapshotError> {
    let sizes = paths.iter().filter_map(|path| root.join(path).symlink_metadata().ok());
    let copied: u64 = sizes.filter(|metadata| metadata.is_file()).map(|metadata| metadata.len()).sum();
    let needed = copied.saturating_add(install_bytes).saturating_add(MARGIN);
    let above = folder.parent().unwrap_or(root);
    let room = rustix::fs::statvfs(above).map_err(|error| at("ask for the free room of", above)(error.into()))?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    if free < needed {
        return Err(SnapshotError::NoRoom { path: above.to_owned(), needed, free });
    }
    Ok(())
}

struct Capture<'a> {
    root: &'a Path,
    folder: &'a Path,
    contents: u64,
    /// The first path of each inode that has several names.
    inodes: BTreeMap<(u64, u64), RootedPath>,
}

impl Capture<'_> {
    /// What is at a path; none for what cannot be put back and needs not be (a socket).
    fn node(&mut self, path: &Path) -> Result<Option<Node>, SnapshotError> {
        let full = self.root.join(path);
        let found = match full.symlink_metadata() {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(Some(Node::Absent)),
            Err(error) => return Err(at("read", &full)(error)),
        };
        let kind = found.file_type();
        let kind = if kind.is_dir() {
            Kind::Directory
        } else if kind.is_symlink() {
            Kind::Symlink { target: RootedPath(std::fs::read_link(&full).map_err(at("read the link", &full))?) }
        } else if kind.is_file() {
            self.file(path, &full, &found)?
        } else if kind.is_socket() {
            return Ok(None);
        } else {
            Kind::Special { mode: found.mode(), device: found.rdev() }
        };
        let metadata = metadata(&full, &found).map_err(at("read the attributes of", &full))?;
        Ok(Some(Node::Present(Present { kind, metadata, identity: identity(&found) })))
    }

    fn file(&mut self, path: &Path, full: &Path, found: &std::fs::Metadata) -> Result<Kind, SnapshotError> {
        if found.nlink() > 1 {
            let inode = (found.dev(), found.ino());
            if let Some(first) = self.inodes.get(&inode) {
                return Ok(Kind::HardLink { to: first.clone() });
            }
            self.inodes.insert(inode, RootedPath(path.to_owned()));
        }
        let content = self.contents;
        self.contents += 1;
        let copy = content_path(self.folder, content);
        // The kernel shares the blocks where the file system can.
        let mut from = File::open(full).map_err(at("read", full))?;
        let mut to = File::create(&copy).map_err(at("write", &copy))?;
        io::copy(&mut from, &mut to).map_err(at("copy away", full))?;
        Ok(Kind::File { content })
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
