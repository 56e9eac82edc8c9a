//! Paths within a root, with symbolic links resolved as a program inside that root would resolve them.

use super::{SnapshotError, at};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

const MAX_LINKS: u32 = 40;

/// Where `path` (relative to `root`) really lies: its folders resolved, its last part left as it is. Folders that
/// do not exist yet stay as written. The answer is relative to `root` and never leaves it.
pub(super) fn resolve_parent(root: &Path, path: &Path) -> Result<PathBuf, SnapshotError> {
    let mut rest: VecDeque<OsString> = parts(path).collect();
    let Some(last) = rest.pop_back() else { return Ok(PathBuf::new()) };
    let mut resolved = PathBuf::new();
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&part);
        let full = root.join(&next);
        match std::fs::read_link(&full) {
            Ok(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(SnapshotError::SymlinkLoop { path: path.to_owned() });
                }
                if target.is_absolute() {
                    resolved = PathBuf::new();
                }
                for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                    rest.push_front(part);
                }
            }
            // EINVAL: it is there and no link.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => resolved = next,
            Err(error) if is_absent(&error) => resolved = next,
            Err(error) => return Err(at("read the link", &full)(error)),
        }
    }
    Ok(resolved.join(last))
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
        let resolve = |path: &str| resolve_parent(root.path(), Path::new(path)).unwrap();
        assert_eq!(resolve("lib/systemd/x.service"), Path::new("usr/lib/systemd/x.service"));
        assert_eq!(resolve("absolute/lib/y"), Path::new("usr/lib/y"));
        assert_eq!(resolve("usr/escape/passwd"), Path::new("etc/passwd"));
        assert_eq!(resolve("lib"), Path::new("lib"));
        assert!(resolve_parent(root.path(), Path::new("loop/x")).is_err());
    }
}
