//! Atomic creation of a file that has no name before it is whole, so that a killed process leaves nothing behind.

use crate::error::DurableError;
use crate::replace::{Replacement, folder_of, sync_dir};
use rustix::fs::{AtFlags, CWD, OFlags, linkat};
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Links to the process's own open files.
const OPEN_FILES: &str = "/proc/self/fd";

/// A file in the making that will stand at its place whole or not at all. Where the file system cannot do without a
/// name, it is a [`Replacement`].
pub struct Nameless {
    kind: Kind,
}

enum Kind {
    Nameless { target: PathBuf, file: File },
    Named(Replacement),
}

impl Nameless {
    /// Begins a file that will stand at `target`.
    pub fn new(target: &Path) -> Result<Self, DurableError> {
        let flags = i32::try_from(OFlags::TMPFILE.bits()).unwrap_or_default();
        let folder = folder_of(target);
        let opened = OpenOptions::new().write(true).mode(0o600).custom_flags(flags).open(folder);
        let kind = match opened {
            Ok(file) if Path::new(OPEN_FILES).is_dir() => Kind::Nameless { target: target.to_owned(), file },
            // Which error an old kernel or a file system gives that does not know of this varies.
            _ => Kind::Named(Replacement::new(target)?),
        };
        Ok(Self { kind })
    }

    /// The file itself.
    #[must_use]
    pub fn file(&self) -> &File {
        match &self.kind {
            Kind::Nameless { file, .. } => file,
            Kind::Named(replacement) => replacement.file(),
        }
    }

    /// Flushes what is in it so far to the disk, so that [`Self::commit`] has less left to do.
    pub fn flush(&self) -> io::Result<()> {
        self.file().sync_data()
    }

    /// Flushes it to the disk and puts it in place, over what stands there.
    pub fn commit(self, mode: u32) -> Result<(), DurableError> {
        let (target, file) = match self.kind {
            Kind::Named(replacement) => return replacement.commit(mode),
            Kind::Nameless { target, file } => (target, file),
        };
        file.set_permissions(Permissions::from_mode(mode))
            .and_then(|()| file.sync_all())
            .map_err(DurableError::io("write", &target))?;
        let placed = match name(&file, &target) {
            // A name can be given only where there is none yet; another file is replaced by a rename.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => tempfile::Builder::new()
                .prefix(".new-")
                .make_in(folder_of(&target), |path| name(&file, path))
                .and_then(|named| named.persist(&target).map(drop).map_err(|error| error.error)),
            named => named,
        };
        placed.map_err(DurableError::io("put in place", &target))?;
        sync_dir(folder_of(&target))
    }
}

/// open(2), O_TMPFILE: how a file gets its first name.
fn name(file: &File, path: &Path) -> io::Result<()> {
    let open = format!("{OPEN_FILES}/{}", file.as_raw_fd());
    Ok(linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn names(folder: &Path) -> Vec<String> {
        let entries = folder.read_dir().unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn nothing_is_seen_of_it_before_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for content in ["one", "two"] {
            let before = names(folder.path());
            let file = Nameless::new(&path).unwrap();
            file.file().write_all(content.as_bytes()).unwrap();
            assert_eq!(names(folder.path()), before);
            file.commit(0o640).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
            assert_eq!(names(folder.path()), ["a"]);
        }
    }

    #[test]
    fn what_stands_in_its_place_stays_when_it_cannot_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::create_dir(&path).unwrap();
        let error = Nameless::new(&path).unwrap().commit(0o644).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert_eq!(names(folder.path()), ["a"]);
        assert!(Nameless::new(Path::new("/nowhere/at/all")).is_err());
    }
}
