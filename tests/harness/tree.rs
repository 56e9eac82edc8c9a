//! A picture of a whole file system tree, to compare before and after.

use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use walkdir::WalkDir;

/// What changes by nature when an update is tried: the updater's own records, and logs that tell of the attempt.
const VOLATILE: [&str; 5] = [
    "var/lib/debfleet",
    "var/log/dpkg.log",
    "var/log/alternatives.log",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
];

/// What programs write before they change a file of their own, whatever the change.
const BACKUPS: [&str; 5] = ["etc/group-", "etc/gshadow-", "etc/passwd-", "etc/shadow-", "var/lib/dpkg/status-old"];

/// Every path with its content, mode, owner, mtime, extended attributes and links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(BTreeMap<PathBuf, String>);

/// The contents of files that were read before, by inode, time of the last change and size. It holds for one file
/// system and the subvolumes that were copied from one another.
#[derive(Debug, Default)]
pub struct Known(HashMap<(u64, i64, i64, u64), String>);

impl Known {
    fn digest(&mut self, full: &Path, found: &Metadata) -> String {
        let read = || {
            let digest = Sha256::digest(std::fs::read(full).expect("the file can be read"));
            digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
        };
        let identity = (found.ino(), found.ctime(), found.ctime_nsec(), found.len());
        self.0.entry(identity).or_insert_with(read).clone()
    }
}

impl Tree {
    /// Takes the picture.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self::of_known(root, &mut Known::default())
    }

    /// Takes the picture, and reads only files that are not known yet.
    #[must_use]
    pub fn of_known(root: &Path, known: &mut Known) -> Self {
        let volatile = |path: &Path| VOLATILE.iter().any(|volatile| path == Path::new(volatile));
        let relative = |full: &Path| full.strip_prefix(root).expect("it lies in the root").to_owned();
        let walk = WalkDir::new(root).into_iter().filter_entry(|entry| !volatile(&relative(entry.path())));
        let mut first_names = BTreeMap::new();
        let nodes = walk.map(|entry| {
            let entry = entry.expect("the tree can be read");
            let path = relative(entry.path());
            let node = describe(entry.path(), &path, &mut first_names, known);
            (path, node)
        });
        Self(nodes.collect())
    }

    /// The picture without a folder's own times and what lies directly in it; `""` is the root.
    #[must_use]
    pub fn without(&self, folder: &str) -> Self {
        let folder = Path::new(folder);
        let others = self.0.iter().filter(|(path, _)| path.as_path() != folder && path.parent() != Some(folder));
        Self(others.map(|(path, node)| (path.clone(), node.clone())).collect())
    }

    /// The picture without these folders and files, and all that is in them.
    #[must_use]
    pub fn beyond(&self, left_out: &[&str]) -> Self {
        let others = self.0.iter().filter(|(path, _)| !left_out.iter().any(|out| path.starts_with(out)));
        Self(others.map(|(path, node)| (path.clone(), node.clone())).collect())
    }

    /// What a purge must leave as it was: everything without the times of changes, which a folder shows when what
    /// came into it is gone again, and without [`BACKUPS`].
    #[must_use]
    pub fn lasting(&self) -> Self {
        let strip = |node: &String| {
            let (before, after) = node.split_once(", mtime ").expect("every node has a time");
            format!("{before}, {}", after.split_once(", ").expect("xattrs follow").1)
        };
        let lasting =
            self.0.iter().filter(|(path, _)| BACKUPS.iter().all(|backup| path.as_path() != Path::new(backup)));
        Self(lasting.map(|(path, node)| (path.clone(), strip(node))).collect())
    }

    /// The picture of a tree in which times later than this are all alike: what an update writes bears the time of
    /// its writing.
    #[must_use]
    pub fn since(&self, since: SystemTime) -> Self {
        let since = since.duration_since(UNIX_EPOCH).expect("after 1970");
        let since = format!("{}.{:09}", since.as_secs(), since.subsec_nanos());
        let alike = |node: &String| {
            let (before, after) = node.split_once(", mtime ").expect("every node has a time");
            let (time, after) = after.split_once(", ").expect("xattrs follow");
            // Seconds have had ten digits since 2001, and keep them until 2286.
            let is_later = time.len() == since.len() && time > since.as_str();
            if is_later { format!("{before}, mtime since, {after}") } else { node.clone() }
        };
        Self(self.0.iter().map(|(path, node)| (path.clone(), alike(node))).collect())
    }

    /// What is not the same in another picture, a few lines for each path.
    #[must_use]
    pub fn differences(&self, after: &Self) -> Vec<String> {
        let paths = self.0.keys().chain(after.0.keys().filter(|path| !self.0.contains_key(*path)));
        let differing = paths.filter(|path| self.0.get(*path) != after.0.get(*path));
        let show = |tree: &Self, path: &Path| tree.0.get(path).cloned().unwrap_or_else(|| "absent".into());
        differing
            .map(|path| format!("/{}\n  before: {}\n  after:  {}", path.display(), show(self, path), show(after, path)))
            .collect()
    }

    /// Demands that another picture is the same, and names each path that is not.
    #[track_caller]
    pub fn assert_same(&self, after: &Self) {
        let differences = self.differences(after);
        assert!(differences.is_empty(), "{} paths differ:\n{}", differences.len(), differences.join("\n"));
    }
}

fn describe(full: &Path, path: &Path, first_names: &mut BTreeMap<(u64, u64), PathBuf>, known: &mut Known) -> String {
    let found = full.symlink_metadata().expect("the tree does not change meanwhile");
    let content = if found.is_file() {
        let hex = known.digest(full, &found);
        let same_as = (found.nlink() > 1)
            .then(|| first_names.entry((found.dev(), found.ino())).or_insert_with(|| path.to_owned()).clone());
        format!("file {hex} of {} bytes, same as {same_as:?}", found.len())
    } else if found.is_symlink() {
        format!("link to {}", std::fs::read_link(full).expect("the link can be read").display())
    } else if found.is_dir() {
        "folder".to_owned()
    } else {
        format!("device {:x}", found.rdev())
    };
    let mut xattrs: Vec<(std::ffi::OsString, Option<Vec<u8>>)> = xattr::list(full)
        .map(|names| names.map(|name| (name.clone(), xattr::get(full, name).ok().flatten())).collect())
        .unwrap_or_default();
    xattrs.sort();
    let (mode, owner) = (found.mode(), (found.uid(), found.gid()));
    format!(
        "{content}, mode {mode:o}, owner {owner:?}, mtime {}.{:09}, xattrs {xattrs:?}",
        found.mtime(),
        found.mtime_nsec()
    )
}
