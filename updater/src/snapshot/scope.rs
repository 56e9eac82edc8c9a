//! Which paths an update may change: decided from what is known about the packages, before anything is touched.

use debian_formats::control::Control;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Paths, relative to the root and not yet resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Scope {
    /// Single paths; a folder among them is its metadata only.
    pub(super) paths: BTreeSet<PathBuf>,
    /// Folders with all that is in them.
    pub(super) trees: BTreeSet<PathBuf>,
}

/// What a package occupies, old or new.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackageFootprint<'a> {
    /// Its files and folders, absolute or relative.
    pub(crate) paths: &'a [String],
    /// State that its update policy declares.
    pub(crate) state: &'a [String],
}

/// Files that dpkg and its helpers leave beside a package's file, or move it to.
const SIBLINGS: [&str; 7] =
    [".dpkg-new", ".dpkg-tmp", ".dpkg-dist", ".dpkg-old", ".dpkg-backup", ".distrib", ".diverted"];
/// The same beside a configuration file: by dpkg-maintscript-helper and ucf.
const CONFFILE_SIBLINGS: [&str; 5] = [".dpkg-remove", ".dpkg-bak", ".ucf-new", ".ucf-dist", ".ucf-old"];

/// The longest name that a file system of Linux takes, in bytes. A longer sibling cannot exist.
const MAX_NAME: usize = 255;

/// Databases that maintainer scripts change through Debian's helpers. All of dpkg's own is here because triggers
/// reach other packages.
const DATABASE_TREES: [&str; 18] = [
    "var/lib/dpkg",
    "etc/alternatives",
    "etc/systemd/system",
    "etc/systemd/user",
    "var/lib/systemd/deb-systemd-helper-enabled",
    "var/lib/systemd/deb-systemd-helper-masked",
    "var/lib/systemd/deb-systemd-user-helper-enabled",
    "var/lib/systemd/deb-systemd-user-helper-masked",
    "var/lib/ucf",
    "var/cache/debconf",
    "etc/rc0.d",
    "etc/rc1.d",
    "etc/rc2.d",
    "etc/rc3.d",
    "etc/rc4.d",
    "etc/rc5.d",
    "etc/rc6.d",
    "etc/rcS.d",
];
const DATABASE_FILES: [&str; 16] = [
    "etc/passwd",
    "etc/group",
    "etc/shadow",
    "etc/gshadow",
    "etc/subuid",
    "etc/subgid",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/subuid-",
    "etc/subgid-",
    "etc/ld.so.cache",
    "var/cache/ldconfig/aux-cache",
    "var/lib/apt/extended_states",
    "etc/shells",
];

const LOCKS: [&str; 2] = ["var/lib/dpkg/lock", "var/lib/dpkg/lock-frontend"];

impl Scope {
    /// The scope of a set of packages: each one's old and new footprint, and dpkg's diversions (the text of its file
    /// `diversions`: lines of three, from, to, by whom).
    pub(crate) fn of<'a>(footprints: impl IntoIterator<Item = PackageFootprint<'a>>, diversions: &str) -> Self {
        let lines: Vec<&str> = diversions.lines().collect();
        let diverted: Vec<(&Path, &Path)> =
            lines.chunks_exact(3).map(|lines| (relative(lines[0]), relative(lines[1]))).collect();
        let mut scope = Self {
            paths: DATABASE_FILES.iter().map(PathBuf::from).collect(),
            trees: DATABASE_TREES.iter().map(PathBuf::from).collect(),
        };
        for footprint in footprints {
            for path in footprint.paths {
                let path = relative(path);
                scope.add_with_siblings(path);
                for (_, to) in diverted.iter().filter(|(from, _)| *from == path) {
                    scope.add_with_siblings(to);
                }
            }
            scope.trees.extend(footprint.state.iter().map(|path| relative(path).to_owned()));
        }
        scope
    }

    /// Adds single paths that no package owns.
    pub(crate) fn add_paths<'a>(&mut self, paths: impl IntoIterator<Item = &'a String>) {
        paths.into_iter().for_each(|path| self.add_with_siblings(relative(path)));
    }

    fn add_with_siblings(&mut self, path: &Path) {
        if !path.as_os_str().is_empty() {
            self.paths.extend(with_siblings(path));
        }
    }

    /// Locks within the trees: they are held while a transaction runs, and carry no data.
    pub(super) fn locks(&self) -> impl Iterator<Item = &'static Path> {
        LOCKS.iter().map(Path::new)
    }
}

/// A path, and what dpkg and its helpers may leave beside it.
pub(super) fn with_siblings(path: &Path) -> Vec<PathBuf> {
    let more = if path.starts_with("etc") { CONFFILE_SIBLINGS.as_slice() } else { &[] };
    let name = path.file_name().map_or(0, |name| name.len());
    let sibling = |ending: &&str| {
        let mut sibling = path.as_os_str().to_owned();
        sibling.push(ending);
        (name + ending.len() <= MAX_NAME).then(|| sibling.into())
    };
    let siblings = SIBLINGS.iter().chain(more).filter_map(sibling);
    std::iter::once(path.to_owned()).chain(siblings).collect()
}

/// Whether a path inside a tree is left alone.
pub(super) fn is_excluded(path: &Path, excluded: &BTreeSet<PathBuf>) -> bool {
    path.ancestors().any(|above| excluded.contains(above))
}

fn relative(path: &str) -> &Path {
    let path = path.trim_start_matches("./").trim_matches('/');
    Path::new(if path == "." { "" } else { path })
}

/// The packages that installing this one may remove or change: named in Conflicts, Breaks or Replaces.
pub(crate) fn displaced_packages(control: &Control) -> BTreeSet<String> {
    ["Conflicts", "Breaks", "Replaces"]
        .iter()
        .filter_map(|field| control.stanza().get(field))
        .flat_map(|value| value.split([',', '|']))
        .filter_map(|relation| relation.split_whitespace().next())
        .map(|name| name.split([':', '(']).next().unwrap_or(name).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_paths_their_siblings_and_diversions_are_in_the_scope() {
        let (old, new) = (["/.".to_owned(), "/opt/hi/old".to_owned()], ["opt/hi/new".to_owned()]);
        let state = ["/var/lib/hi".to_owned()];
        let footprints =
            [PackageFootprint { paths: &old, state: &[] }, PackageFootprint { paths: &new, state: &state }];
        let scope = Scope::of(footprints, "/opt/hi/new\n/opt/hi/new.theirs\nother\n");
        for path in ["opt/hi/old", "opt/hi/new.dpkg-new", "opt/hi/new.theirs", "etc/passwd"] {
            assert!(scope.paths.contains(Path::new(path)), "{path}");
        }
        assert!(scope.trees.contains(Path::new("var/lib/hi")));
        assert!(!scope.paths.contains(Path::new("")));
    }

    #[test]
    fn displaced_packages_are_found_in_all_three_fields() {
        let control: Control = "Package: hi\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: d\n\
            Conflicts: old (<< 2), other:any\nReplaces: old\nBreaks: third | fourth\n"
            .parse()
            .unwrap();
        let found: Vec<String> = displaced_packages(&control).into_iter().collect();
        assert_eq!(found, ["fourth", "old", "other", "third"]);
    }
}
