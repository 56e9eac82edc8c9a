//! Paths that must stay inside the folder they belong to: a manifest may come from a stranger, and must not
//! pack `/etc/shadow`.

use std::io;
use std::path::{Component, Path, PathBuf};

/// A path that leaves its folder, or leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// Nothing to look for.
    #[error("the path is empty; name a file or folder")]
    Empty,
    /// Absolute, or with `..`.
    #[error("{path:?} leaves the folder {base}; give a path below it, without `..` and not beginning with `/`")]
    Leaves {
        /// As given.
        path: String,
        /// Where it should stay.
        base: PathBuf,
    },
    /// A symbolic link on the way points elsewhere.
    #[error("{path:?} leads out of the folder {base} through a symbolic link, to {target}; copy the file into it")]
    LinkLeaves {
        /// As given.
        path: String,
        /// Where it should stay.
        base: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// No such file.
    #[error("there is no {path}; create it or correct the path")]
    Missing {
        /// The whole path.
        path: PathBuf,
    },
    /// The system refused to look.
    #[error("could not look at {path}: {source}")]
    Io {
        /// The whole path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The real place of `path` below `base`. Symbolic links on the way are followed as long as they stay inside.
pub fn resolve_inside(base: &Path, path: &str) -> Result<PathBuf, ConfineError> {
    if path.is_empty() {
        return Err(ConfineError::Empty);
    }
    let sound = Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !sound {
        return Err(ConfineError::Leaves { path: path.to_owned(), base: base.to_owned() });
    }
    let joined = base.join(path);
    let real = |wanted: &Path| {
        wanted.canonicalize().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ConfineError::Missing { path: joined.clone() },
            _ => ConfineError::Io { path: joined.clone(), source },
        })
    };
    let real_base = real(base)?;
    let target = real(&joined)?;
    if target.starts_with(&real_base) {
        Ok(target)
    } else {
        Err(ConfineError::LinkLeaves { path: path.to_owned(), base: base.to_owned(), target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        std::fs::create_dir(base.join("sub")).unwrap();
        std::os::unix::fs::symlink("/etc", base.join("out")).unwrap();
        std::os::unix::fs::symlink("sub", base.join("in")).unwrap();
        for bad in ["/etc/passwd", "../x", "sub/../../x", "sub/.."] {
            assert!(matches!(resolve_inside(base, bad), Err(ConfineError::Leaves { .. })), "{bad}");
        }
        assert!(matches!(resolve_inside(base, "out/passwd"), Err(ConfineError::LinkLeaves { .. })));
        assert!(matches!(resolve_inside(base, "nothing"), Err(ConfineError::Missing { .. })));
        assert!(matches!(resolve_inside(base, ""), Err(ConfineError::Empty)));
        assert!(resolve_inside(base, "./sub").unwrap().ends_with("sub"));
        assert!(resolve_inside(base, "in").unwrap().ends_with("sub"));
    }
}
