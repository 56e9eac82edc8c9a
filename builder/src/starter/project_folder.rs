//! The folder of the file that a project begins from: what lies in it, read with bounds.

use super::error::StarterError;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// No file that people write by hand is larger; package-lock.json and the like are not read.
const MAX_BYTES: u64 = 4 << 20;
/// More names of one folder are not looked at.
const MAX_NAMES: usize = 1_000;

/// Reads a text file of bounded size.
pub(super) fn read(path: &Path) -> Result<String, StarterError> {
    let failed = |cause| StarterError::Read { path: path.to_owned(), cause };
    let file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::other("it is not a regular file")));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(StarterError::TooLarge { path: path.to_owned(), limit: MAX_BYTES });
    }
    String::from_utf8(bytes).map_err(|_| StarterError::syntax(path, None, "it is not UTF-8 text; save it as such"))
}

/// A folder, and what is known of the files below it.
pub(super) struct ProjectFolder {
    path: PathBuf,
}

impl ProjectFolder {
    pub(super) fn of(file: &Path) -> Self {
        let path = file.parent().filter(|path| !path.as_os_str().is_empty());
        Self { path: path.unwrap_or(Path::new(".")).to_owned() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A path below the folder in its plain form; none if it leaves the folder.
    pub(super) fn inside(path: &str) -> Option<String> {
        let mut parts = Vec::new();
        for part in Path::new(path).components() {
            match part {
                Component::CurDir => {}
                Component::Normal(part) => parts.push(part.to_str()?),
                Component::ParentDir => {
                    parts.pop()?;
                }
                _ => return None,
            }
        }
        (!parts.is_empty()).then(|| parts.join("/"))
    }

    pub(super) fn is_file(&self, path: &str) -> bool {
        self.path.join(path).is_file()
    }

    pub(super) fn is_dir(&self, path: &str) -> bool {
        self.path.join(path).is_dir()
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.path.join(path).exists()
    }

    pub(super) fn is_executable(&self, path: &str) -> bool {
        self.path.join(path).metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o100 != 0)
    }

    /// The text of a file, if it is there and can be read.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        read(&self.path.join(path)).ok()
    }

    /// The names in a folder, sorted; none if it is not there.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let Ok(entries) = self.path.join(path).read_dir() else { return Vec::new() };
        let names = entries.flatten().take(MAX_NAMES).filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_inside_or_is_none() {
        assert_eq!(ProjectFolder::inside("./a//b/../c").as_deref(), Some("a/c"));
        for bad in ["..", "a/../../b", "/etc/passwd", "", "."] {
            assert_eq!(ProjectFolder::inside(bad), None, "{bad}");
        }
    }
}
