//! What changed outside the scope: a maintainer script may write anywhere, and a rollback must say so.

use super::manifest::{Manifest, Node, manifest_path};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use walkdir::WalkDir;

/// Places that change all the time, whoever writes there.
const VOLATILE: [&str; 9] =
    ["dev", "proc", "sys", "run", "tmp", "var/tmp", "var/log", "var/cache", "var/lib/systemd/timers"];

/// Paths, relative to the root, whose inode changed since the snapshot and which it does not cover. The time of the
/// snapshot's list is the measure, so no clock is asked. `ours` is the updater's own folder.
pub(crate) fn changed_outside(root: &Path, folder: &Path, ours: &Path, manifest: &Manifest) -> Vec<String> {
    let Ok(taken) = manifest_path(folder).metadata() else { return Vec::new() };
    let since = (taken.ctime(), taken.ctime_nsec());
    let covered: BTreeSet<&Path> = manifest.entries.iter().map(|(path, _)| path.0.as_path()).collect();
    let absent: BTreeSet<&Path> =
        manifest.entries.iter().filter(|(_, node)| *node == Node::Absent).map(|(path, _)| path.0.as_path()).collect();
    let ours = ours.canonicalize().unwrap_or_else(|_| ours.to_owned());
    let skip = |path: &Path, full: &Path| full == ours || VOLATILE.iter().any(|volatile| path == Path::new(volatile));
    let relative = |full: &Path| full.strip_prefix(root).unwrap_or(full).to_owned();
    let walk = WalkDir::new(root)
        .same_file_system(true)
        .into_iter()
        .filter_entry(|entry| !skip(&relative(entry.path()), entry.path()));
    let changed = walk.flatten().filter_map(|entry| {
        let path = relative(entry.path());
        let found = entry.path().symlink_metadata().ok()?;
        let inside = covered.contains(path.as_path()) && !absent.contains(path.as_path());
        let in_tree = manifest.trees.iter().any(|tree| path.starts_with(&tree.0));
        let changed = (found.ctime(), found.ctime_nsec()) > since;
        (changed && !inside && !in_tree).then(|| format!("/{}", path.display()))
    });
    changed.collect()
}

/// Where the system itself lies. What changes elsewhere may well be another program's data, which only that program
/// may take back.
const SYSTEM: [&str; 9] = ["bin", "boot", "etc", "lib", "lib32", "lib64", "opt", "sbin", "usr"];

/// Whether a path that was found changed is copied away before the next attempt.
pub(crate) fn is_part_of_the_system(path: &str) -> bool {
    let below = path.trim_start_matches('/').split_once('/');
    below.is_some_and(|(top, _)| SYSTEM.contains(&top))
}
