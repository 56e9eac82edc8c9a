//! Files that change together: all of them or none.

use super::error::BumpError;
use durable_files::{DurableError, Replacement};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The largest file that a version is looked for in.
const MOST_BYTES: u64 = 16 << 20;

/// One change in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file.
    pub path: PathBuf,
    /// Where the change begins, counted from 1.
    pub line: usize,
    /// The lines that stand there now; none where lines are put in.
    pub old: Vec<String>,
    /// The lines that will stand there.
    pub new: Vec<String>,
}

/// New texts for files, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct Edits {
    files: Vec<Edited>,
}

#[derive(Debug)]
struct Edited {
    /// The real place: two names of one file are one file.
    path: PathBuf,
    /// As people named it.
    shown: PathBuf,
    /// None for a file that is made.
    before: Option<String>,
    after: String,
    mode: u32,
}

impl Edits {
    /// A file's text as edited so far.
    pub(super) fn read(&mut self, path: &Path) -> Result<String, BumpError> {
        let failed = |cause| BumpError::Read { path: path.to_owned(), cause };
        let real = path.canonicalize().map_err(failed)?;
        if let Some(edited) = self.find(&real) {
            return Ok(edited.after.clone());
        }
        // Before it is opened, as a pipe would wait for its writer.
        let metadata = real.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.len() > MOST_BYTES {
            return Err(BumpError::NoText { path: path.to_owned() });
        }
        if metadata.permissions().readonly() {
            return Err(BumpError::ReadOnly { path: path.to_owned() });
        }
        let mut before = String::new();
        let file = std::fs::File::open(&real).map_err(failed)?;
        file.take(MOST_BYTES).read_to_string(&mut before).map_err(|cause| match cause.kind() {
            io::ErrorKind::InvalidData => BumpError::NoText { path: path.to_owned() },
            _ => failed(cause),
        })?;
        let mode = metadata.permissions().mode() & 0o7777;
        let (shown, after) = (path.to_owned(), before.clone());
        self.files.push(Edited { path: real, shown, before: Some(before.clone()), after, mode });
        Ok(before)
    }

    /// The same for a file that may be absent, and is then made.
    pub(super) fn read_or_new(&mut self, path: &Path) -> Result<Option<String>, BumpError> {
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => self.read(path).map(Some),
        }
    }

    /// Gives a file another text.
    pub(super) fn write(&mut self, path: &Path, after: String) -> Result<(), BumpError> {
        let failed = |cause| BumpError::Read { path: path.to_owned(), cause };
        if let Ok(real) = path.canonicalize()
            && let Some(edited) = self.find(&real)
        {
            edited.after = after;
            return Ok(());
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let real = folder.canonicalize().map_err(failed)?.join(path.file_name().unwrap_or_default());
        self.files.push(Edited { path: real, shown: path.to_owned(), before: None, after, mode: 0o644 });
        Ok(())
    }

    fn find(&mut self, real: &Path) -> Option<&mut Edited> {
        self.files.iter_mut().find(|edited| edited.path == real)
    }

    /// What changes where.
    pub(super) fn changes(&self) -> Vec<Change> {
        self.files.iter().flat_map(Edited::changes).collect()
    }

    /// The real places of all files.
    pub(super) fn paths(&self) -> Vec<&Path> {
        self.files.iter().map(|edited| edited.path.as_path()).collect()
    }

    /// The real places of those that are there already.
    pub(super) fn present(&self) -> Vec<&Path> {
        let present = self.files.iter().filter(|edited| edited.before.is_some());
        present.map(|edited| edited.path.as_path()).collect()
    }

    /// Writes all files beside their places before the first is put in place, so that a full disk or a folder that
    /// may not be written changes nothing. If one can't be put in place, those before it are put back.
    pub(super) fn apply(&self) -> Result<(), BumpError> {
        let mut ready = Vec::new();
        for edited in &self.files {
            let mut replacement = Replacement::new(&edited.path)?;
            let written = replacement.write_all(edited.after.as_bytes());
            written.map_err(|cause| DurableError::Io { action: "write", path: edited.shown.clone(), cause })?;
            ready.push((replacement, edited.mode));
        }
        for (done, (replacement, mode)) in ready.into_iter().enumerate() {
            if let Err(cause) = replacement.commit(mode) {
                // The one that failed may stand in its place all the same.
                self.put_back_first(done + 1)?;
                return Err(cause.into());
            }
        }
        Ok(())
    }

    /// Undoes [`Edits::apply`].
    pub(super) fn put_back(&self) -> Result<(), BumpError> {
        self.put_back_first(self.files.len())
    }

    fn put_back_first(&self, count: usize) -> Result<(), BumpError> {
        let put_back = |edited: &Edited| {
            let done = match &edited.before {
                Some(before) => durable_files::replace(&edited.path, before.as_bytes(), edited.mode),
                None => durable_files::remove(&edited.path),
            };
            done.err().map(|cause| (edited.shown.clone(), cause))
        };
        // Each is tried, whatever became of those before it.
        let failed: Vec<_> = self.files.iter().take(count).filter_map(put_back).collect();
        match failed.into_iter().next() {
            Some((path, cause)) => Err(BumpError::NotPutBack { path, cause }),
            None => Ok(()),
        }
    }
}

impl Edited {
    /// Lines of one text against lines of the other: a version has no line end in it, so that lines keep their places,
    /// except where an entry is put above the rest of a changelog.
    fn changes(&self) -> Vec<Change> {
        let before: Vec<&str> = self.before.as_deref().unwrap_or_default().lines().collect();
        let after: Vec<&str> = self.after.lines().collect();
        let change = |line: usize, old: &[&str], new: &[&str]| {
            let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
            Change { path: self.shown.clone(), line, old: owned(old), new: owned(new) }
        };
        if before.len() != after.len() {
            let added = after.len().saturating_sub(before.len());
            return vec![change(1, &[], &after[..added])];
        }
        let pairs = before.chunks(1).zip(after.chunks(1)).enumerate();
        pairs.filter(|(_, (old, new))| old != new).map(|(at, (old, new))| change(at + 1, old, new)).collect()
    }
}
