//! Paths within a root, with symbolic links resolved as a program inside that root would resolve them.

use super::{SnapshotError, at};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

const MAX_LINKS: u32 = 40;

/// Where a path really lies, relative to the root and never outside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) path: PathBuf,
    /// The symbolic links that led there, where they really lie.
    pub(super) links: Vec<PathBuf>,
}

/// Where `path` (relative to `root`) lies: its folders resolved, its last part left as it is. Folders that do not
/// exist yet stay as written.
pub(super) fn resolve_parent(root: &Path, path: &Path) -> Result<Resolved, SnapshotError> {
    let mut rest: VecDeque<OsString> = parts(path).collect();
    let Some(last) = rest.pop_back() else { return Ok(Resolved { path: PathBuf::new(), links: Vec::new() }) };
    let mut resolved = follow(root, path, rest)?;
    resolved.path.push(last);
    Ok(resolved)
}

/// Where `path` (relative to `root`) leads when also its last part is followed.
pub(super) fn resolve(root: &Path, path: &Path) -> Result<Resolved, SnapshotError> {
    follow(root, path, parts(path).collect())
}

fn follow(root: &Path, path: &Path, mut rest: VecDeque<OsString>) -> Result<Resolved, SnapshotError> {
    let mut resolved = PathBuf::new();
    let mut links = Vec::new();
    let mut followed = 0;
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&part);
        let full = root.join(&next);
        match std::fs::read_link(&full) {
            Ok(target) => {
                followed += 1;
                if followed > MAX_LINKS {
                    return Err(SnapshotError::SymlinkLoop { path: path.to_owned() });
                }
                if target.is_absolute() {
                    resolved = PathBuf::new();
                }
                for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                    rest.push_front(part);
                }
                links.push(next);
            }
            // EINVAL: it is there and no link.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => resolved = next,
            Err(error) if is_absent(&error) => resolved = next,
            Err(error) => return Err(at("read the link", &full)(error)),
        }
    }
    Ok(Resolved { path: resolved, links })
}

/// Whether every folder above `path` is a real one. Where a script has put a symbolic link in the place of a folder,
/// what lies behind it is not what `path` meant.
pub(super) fn lies_in_real_folders(root: &Path, path: &Path) -> bool {
    let above = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    above.map(|folder| root.join(folder)).all(|folder| folder.symlink_metadata().is_ok_and(|found| found.is_dir()))
}

/// Whether an error means that nothing is there.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_within_the_root_only() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        std::fs::create_dir_all(at("usr/lib")).unwrap();
        symlink("usr/lib", at("lib")).unwrap();
        symlink("/usr", at("absolute")).unwrap();
        symlink("../../../../etc", at("usr/escape")).unwrap();
        symlink("loop", at("loop")).unwrap();
        let parent = |path: &str| resolve_parent(root.path(), Path::new(path)).unwrap();
        assert_eq!(parent("lib/systemd/x.service").path, Path::new("usr/lib/systemd/x.service"));
        assert_eq!(parent("absolute/lib/y").path, Path::new("usr/lib/y"));
        assert_eq!(parent("usr/escape/passwd").path, Path::new("etc/passwd"));
        assert_eq!(parent("lib").path, Path::new("lib"));
        let whole = resolve(root.path(), Path::new("absolute/lib")).unwrap();
        assert_eq!(whole, Resolved { path: "usr/lib".into(), links: vec!["absolute".into()] });
        assert!(resolve_parent(root.path(), Path::new("loop/x")).is_err());
    }

    #[test]
    fn a_link_in_the_place_of_a_folder_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("opt/real")).unwrap();
        symlink("/etc", root.path().join("opt/hi")).unwrap();
        assert!(lies_in_real_folders(root.path(), Path::new("opt/real/file")));
        assert!(lies_in_real_folders(root.path(), Path::new("opt/hi")));
        assert!(!lies_in_real_folders(root.path(), Path::new("opt/hi/passwd")));
    }
}
