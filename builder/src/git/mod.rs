//! The one place that runs git: what a source folder's history says, and the commit and tag of a release.

mod error;
mod run;
#[cfg(test)]
mod tests;

pub use error::GitError;

use jiff::Timestamp;
use run::{git, start};
use std::path::{Path, PathBuf};

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// All of its name, in hexadecimal.
    pub id: String,
    /// When it was committed.
    pub date: Timestamp,
}

impl Commit {
    /// The first seven digits of the name, as git itself shows commits.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..7).unwrap_or(&self.id)
    }
}

/// A folder in a git work tree. What is asked about files is asked about that folder; commits and tags are the
/// whole repository's.
#[derive(Debug, Clone)]
pub struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// Looks whether a folder lies in a git work tree; it may not, and git may not be installed.
    pub fn find(folder: &Path) -> Result<Option<Self>, GitError> {
        match Self::open(folder) {
            Ok(repository) => Ok(Some(repository)),
            Err(GitError::NoRepository { .. } | GitError::NotInstalled { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same where the caller cannot do without.
    pub fn open(folder: &Path) -> Result<Self, GitError> {
        let inside = git(folder, &["rev-parse", "--is-inside-work-tree"])?;
        // A bare repository, or a folder inside `.git`.
        if inside.trim() != "true" {
            return Err(GitError::NoRepository { folder: folder.to_owned() });
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// The folder that was asked about.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The commit that is checked out.
    pub fn head(&self) -> Result<Commit, GitError> {
        self.newest(&["HEAD"])?.ok_or_else(|| GitError::NoCommit { folder: self.folder.clone() })
    }

    /// The newest commit that touched the folder; none if none did yet.
    pub fn last_commit_of_folder(&self) -> Result<Option<Commit>, GitError> {
        self.newest(&["HEAD", "--", "."])
    }

    /// Whether nothing in the folder differs from the commit that is checked out. A file that git does not know
    /// counts, unless it is ignored.
    pub fn is_clean(&self) -> Result<bool, GitError> {
        Ok(self.first_change()?.is_none())
    }

    /// One of the files that differ, relative to the top of the work tree.
    pub fn first_change(&self) -> Result<Option<String>, GitError> {
        let changes = self.ask(&["status", "--porcelain", "-z", "--untracked-files=normal", "--", "."])?;
        Ok(changed_paths(&changes).next().map(str::to_owned))
    }

    /// The same, but for what git does not know below a folder of outputs: a build's results are no change of its source.
    pub fn first_change_besides(&self, outputs: &Path) -> Result<Option<String>, GitError> {
        let Some(outputs) = self.in_work_tree(outputs)? else { return self.first_change() };
        let changes = self.ask(&["status", "--porcelain", "-z", "--untracked-files=all", "--", "."])?;
        let is_output = |change: &str| {
            let unknown = change.strip_prefix("?? ").map(Path::new);
            unknown.is_some_and(|path| path.starts_with(&outputs))
        };
        Ok(changes_of(&changes).find(|change| !is_output(change)).map(|change| path_of(change).to_owned()))
    }

    /// Those of some files that git does not hold as they are: changed, unknown or ignored.
    pub fn not_committed(&self, files: &[&Path]) -> Result<Vec<String>, GitError> {
        let options = ["status", "--porcelain", "-z", "--untracked-files=all", "--ignored", "--"];
        let changes = self.ask(&with_files(&options, files)?)?;
        Ok(changed_paths(&changes).map(str::to_owned).collect())
    }

    /// Whether the commits before this one were left out of the clone: git then shows it as if it had made every file.
    pub fn is_cut_off_at(&self, commit: &Commit) -> Result<bool, GitError> {
        let is_shallow = self.ask(&["rev-parse", "--is-shallow-repository"])?.trim() == "true";
        let with_parents = self.ask(&["rev-list", "--parents", "--max-count=1", &commit.id])?;
        Ok(is_shallow && with_parents.split_whitespace().count() == 1)
    }

    /// An error if older commits were left out of this clone, as CI services do.
    pub fn check_whole(&self) -> Result<(), GitError> {
        if self.ask(&["rev-parse", "--is-shallow-repository"])?.trim() == "true" {
            return Err(GitError::Shallow { folder: self.folder.clone() });
        }
        Ok(())
    }

    /// The names of all tags on the commit that is checked out and on those before it.
    pub fn tags_before_head(&self) -> Result<Vec<String>, GitError> {
        if !self.has_commit()? {
            return Ok(Vec::new());
        }
        let tags = self.ask(&["for-each-ref", "--merged=HEAD", "--format=%(refname:strip=2)", "refs/tags"])?;
        Ok(tags.lines().map(str::to_owned).collect())
    }

    /// The name of the commit that a tag stands at.
    pub fn tagged_commit(&self, tag: &str) -> Result<Option<String>, GitError> {
        self.resolve(&format!("refs/tags/{tag}^{{commit}}"))
    }

    /// Whether a tag stands at the commit that is checked out.
    pub fn is_tag_at_head(&self, tag: &str) -> Result<bool, GitError> {
        let tagged = self.tagged_commit(tag)?;
        Ok(tagged.is_some() && tagged == self.resolve("HEAD^{commit}")?)
    }

    /// The first lines of the messages of the commits that touched the folder, the newest first, without merges.
    /// `after` leaves out a commit and those before it.
    pub fn subjects(&self, after: Option<&str>, most: usize) -> Result<Vec<String>, GitError> {
        if !self.has_commit()? {
            return Ok(Vec::new());
        }
        let most = format!("--max-count={most}");
        let range = after.map_or_else(|| "HEAD".to_owned(), |after| format!("{after}..HEAD"));
        let log = self.ask(&["log", "-z", "--format=%s", "--no-merges", &most, &range, "--", "."])?;
        Ok(log.split_terminator('\0').map(str::to_owned).collect())
    }

    /// The newest commit that changed how often a text stands in a file.
    pub fn last_change_of(&self, text: &str, file: &Path) -> Result<Option<Commit>, GitError> {
        let search = format!("-S{text}");
        self.newest(&with_files(&[&search, "HEAD", "--"], &[file])?)
    }

    /// Commits some files as they are on disk, and nothing else; what else is staged stays so.
    pub fn commit(&self, message: &str, files: &[&Path]) -> Result<(), GitError> {
        // New files must be known before they can be named to `commit`.
        self.ask(&with_files(&["add", "--"], files)?)?;
        let committed = self.ask(&with_files(&["commit", "--quiet", "--message", message, "--"], files)?);
        if committed.is_err() {
            // Best effort: the error that counts is the commit's.
            let _ = self.ask(&with_files(&["reset", "--quiet", "--"], files)?);
        }
        committed.map(drop)
    }

    /// Makes an annotated tag at the commit that is checked out.
    pub fn tag(&self, name: &str, message: &str) -> Result<(), GitError> {
        self.ask(&["tag", "--annotate", "--message", message, "--", name]).map(drop)
    }

    /// A folder below this one, relative to the top of the work tree; none if it is elsewhere, or is this one.
    fn in_work_tree(&self, below: &Path) -> Result<Option<PathBuf>, GitError> {
        let top = self.ask(&["rev-parse", "--show-toplevel"])?;
        let top = Path::new(top.trim_end_matches('\n')).canonicalize();
        let (Ok(top), Ok(folder), Ok(below)) = (top, self.folder.canonicalize(), below.canonicalize()) else {
            return Ok(None);
        };
        let is_below = below.starts_with(&folder) && below != folder;
        Ok(below.strip_prefix(top).ok().filter(|_| is_below).map(Path::to_owned))
    }

    fn ask(&self, arguments: &[impl AsRef<str>]) -> Result<String, GitError> {
        git(&self.folder, arguments)
    }

    fn has_commit(&self) -> Result<bool, GitError> {
        Ok(self.resolve("HEAD^{commit}")?.is_some())
    }

    /// None if there is no such thing.
    fn resolve(&self, revision: &str) -> Result<Option<String>, GitError> {
        let output = start(&self.folder, &["rev-parse", "--verify", "--quiet", revision])?;
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(output.status.success().then_some(id))
    }

    fn newest(&self, arguments: &[impl AsRef<str>]) -> Result<Option<Commit>, GitError> {
        if !self.has_commit()? {
            return Ok(None);
        }
        let log = ["log", "-1", "--format=%H %ct"].into_iter().chain(arguments.iter().map(AsRef::as_ref));
        let log = self.ask(&log.collect::<Vec<_>>())?;
        let Some((id, seconds)) = log.trim().split_once(' ') else { return Ok(None) };
        let date = seconds.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        let date = date.ok_or_else(|| GitError::Date { id: id.to_owned() })?;
        Ok(Some(Commit { id: id.to_owned(), date }))
    }
}

/// The paths in the answer of `status --porcelain -z`; of a renamed file the new one.
fn changed_paths(status: &str) -> impl Iterator<Item = &str> {
    changes_of(status).map(path_of)
}

/// The changes in the answer of `status --porcelain -z`: two letters, a blank, the path.
fn changes_of(status: &str) -> impl Iterator<Item = &str> {
    let mut parts = status.split_terminator('\0');
    std::iter::from_fn(move || {
        let change = parts.next().filter(|change| change.is_char_boundary(3))?;
        // The old name of what was renamed comes behind the new one.
        if change[..2].contains(['R', 'C']) {
            parts.next();
        }
        Some(change)
    })
}

fn path_of(change: &str) -> &str {
    change.get(3..).unwrap_or_default()
}

/// Arguments followed by the names of files: whole ones, as git would read others from the folder, and without a
/// meaning for `*` and its like.
fn with_files(arguments: &[&str], files: &[&Path]) -> Result<Vec<String>, GitError> {
    let named = |file: &&Path| {
        let whole = std::path::absolute(file).ok();
        let whole = whole.as_deref().and_then(Path::to_str);
        whole.map(|file| format!(":(literal){file}")).ok_or_else(|| GitError::FileName { file: file.to_path_buf() })
    };
    arguments.iter().map(|argument| Ok((*argument).to_owned())).chain(files.iter().map(named)).collect()
}
