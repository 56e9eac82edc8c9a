//! What a package puts on the device: one entry per path, sorted, parents before children.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where the bytes of a file come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file on disk, of this many bytes when it was looked at.
    File {
        /// Where.
        path: PathBuf,
        /// Bytes.
        size: u64,
    },
    /// Made by the builder.
    Bytes(Vec<u8>),
}

impl Content {
    /// Length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Content::File { size, .. } => *size,
            Content::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

/// The kinds that a source can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File(Content),
    /// A folder.
    Directory,
    /// A symbolic link and its target, kept as it is.
    Symlink(String),
}

/// One path of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What stands there.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// User and group by name.
    pub owner: Owner,
}

/// User and group by name; the device looks them up when it unpacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Such as `root`.
    pub user: String,
    /// Such as `root`.
    pub group: String,
}

impl Owner {
    /// `root:root`, the owner of nearly everything.
    #[must_use]
    pub fn root() -> Self {
        Self { user: "root".into(), group: "root".into() }
    }
}

/// Two entries that cannot stand together, or a path that cannot stand in a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// One path, two sources.
    #[error("/{0} would be packed twice; give one of the two another destination")]
    Twice(String),
    /// Something below a file or link.
    #[error("/{path} cannot be packed: /{above} is packed as a file or link, not as a folder")]
    BelowFile {
        /// The lower path.
        path: String,
        /// The upper one.
        above: String,
    },
    /// A name that md5sums and dpkg's lists cannot hold.
    #[error("{0:?} cannot be packed: a path must be UTF-8 without line breaks, at most 4096 bytes long; rename it")]
    Name(String),
}

/// All entries by path, without the root itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entries {
    by_path: BTreeMap<String, Entry>,
}

impl Entries {
    /// Adds an entry at `path` (relative to the root, no leading slash). Missing parents come as folders of mode
    /// 0755; a folder may be named again and keeps what was said last.
    pub fn add(&mut self, path: &str, entry: Entry) -> Result<(), EntryError> {
        if path.is_empty() || path.len() > 4096 || path.contains(['\n', '\r', '\0']) {
            return Err(EntryError::Name(path.chars().take(120).collect()));
        }
        self.add_parents(path)?;
        if matches!(entry.kind, EntryKind::Directory) {
            let there = self.by_path.entry(path.to_owned()).or_insert_with(folder);
            if there.kind != EntryKind::Directory {
                return Err(EntryError::Twice(path.to_owned()));
            }
            *there = entry;
            return Ok(());
        }
        match self.by_path.insert(path.to_owned(), entry) {
            None => Ok(()),
            Some(old) if old.kind == EntryKind::Directory && self.has_children(path) => {
                Err(EntryError::BelowFile { path: self.first_child(path), above: path.to_owned() })
            }
            Some(_) => Err(EntryError::Twice(path.to_owned())),
        }
    }

    fn add_parents(&mut self, path: &str) -> Result<(), EntryError> {
        let Some((parent, _)) = path.rsplit_once('/') else { return Ok(()) };
        // A folder that is there has its own parents.
        if self.by_path.get(parent).is_some_and(|parent| parent.kind == EntryKind::Directory) {
            return Ok(());
        }
        for (end, _) in path.match_indices('/') {
            let above = &path[..end];
            let parent = self.by_path.entry(above.to_owned()).or_insert_with(folder);
            if parent.kind != EntryKind::Directory {
                return Err(EntryError::BelowFile { path: path.to_owned(), above: above.to_owned() });
            }
        }
        Ok(())
    }

    fn first_child(&self, path: &str) -> String {
        let prefix = format!("{path}/");
        let mut below = self.by_path.range(prefix.clone()..).map(|(child, _)| child);
        below.next().filter(|child| child.starts_with(&prefix)).cloned().unwrap_or_default()
    }

    fn has_children(&self, path: &str) -> bool {
        !self.first_child(path).is_empty()
    }

    /// The entry at a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.by_path.get(path)
    }

    /// Whether a regular file stands at the path.
    #[must_use]
    pub fn is_file(&self, path: &str) -> bool {
        self.get(path).is_some_and(|entry| matches!(entry.kind, EntryKind::File(_)))
    }

    /// In the order of the archive.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.by_path.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// `Installed-Size` in KiB as dpkg-gencontrol reckons: files and links rounded up each, 1 for every folder,
    /// the root among them.
    #[must_use]
    pub fn installed_size(&self) -> u64 {
        let of_entry = |entry: &Entry| match &entry.kind {
            EntryKind::File(content) => content.size().div_ceil(1024),
            EntryKind::Symlink(target) => (target.len() as u64).div_ceil(1024),
            EntryKind::Directory => 1,
        };
        1 + self.by_path.values().map(of_entry).sum::<u64>()
    }

    /// What the entries take in a tar at least, in bytes.
    #[must_use]
    pub fn unpacked_size(&self) -> u64 {
        let of_entry = |entry: &Entry| match &entry.kind {
            EntryKind::File(content) => content.size().saturating_add(512),
            EntryKind::Symlink(_) | EntryKind::Directory => 512,
        };
        self.by_path.values().map(of_entry).fold(0, u64::saturating_add)
    }
}

/// A folder as packages have them.
#[must_use]
pub fn folder() -> Entry {
    Entry { kind: EntryKind::Directory, mode: 0o755, owner: Owner::root() }
}

/// A file that the builder made.
#[must_use]
pub fn generated(bytes: Vec<u8>) -> Entry {
    Entry { kind: EntryKind::File(Content::Bytes(bytes)), mode: 0o644, owner: Owner::root() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Entry {
        generated(vec![b'x'; 1025])
    }

    #[test]
    fn parents_come_before_children_and_only_once() {
        let mut entries = Entries::default();
        entries.add("opt/hi/b", file()).unwrap();
        entries.add("opt/hi/a", file()).unwrap();
        entries.add("opt/hi", folder()).unwrap();
        let paths: Vec<&str> = entries.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["opt", "opt/hi", "opt/hi/a", "opt/hi/b"]);
        // The root, two folders, and two files of just over 1 KiB.
        assert_eq!(entries.installed_size(), 3 + 2 * 2);
    }

    #[test]
    fn two_sources_for_one_path_are_refused() {
        let mut entries = Entries::default();
        entries.add("a/b", file()).unwrap();
        assert_eq!(entries.add("a/b", file()), Err(EntryError::Twice("a/b".into())));
        assert!(matches!(entries.add("a/b/c", file()), Err(EntryError::BelowFile { .. })));
        assert!(matches!(entries.add("a", file()), Err(EntryError::BelowFile { .. })));
        assert!(matches!(entries.add("a\nb", file()), Err(EntryError::Name(_))));
    }
}
