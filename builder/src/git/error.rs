use std::io;
use std::path::PathBuf;

/// What git could not tell or do.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No program.
    #[error("git is needed for the history of {folder}, and is not installed; install the package git", folder = .folder.display())]
    NotInstalled {
        /// The folder asked about.
        folder: PathBuf,
    },
    /// The program does not start.
    #[error("could not run git in {folder}: {cause}", folder = .folder.display())]
    Start {
        /// The folder asked about.
        folder: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// No work tree.
    #[error("{folder} is in no git work tree; run `git init` there, or name a folder of a clone", folder = .folder.display())]
    NoRepository {
        /// The folder asked about.
        folder: PathBuf,
    },
    /// Another user's repository, as in a container.
    #[error(
        "git does not trust the repository of {folder}, because another user owns it; \
         run `git config --global --add safe.directory FOLDER` with the top of the work tree, or change the owner", folder = .folder.display()
    )]
    NotTrusted {
        /// The folder asked about.
        folder: PathBuf,
    },
    /// An empty repository.
    #[error("the repository of {folder} has no commit yet; commit the source first", folder = .folder.display())]
    NoCommit {
        /// The folder asked about.
        folder: PathBuf,
    },
    /// A clone without its older commits.
    #[error(
        "the clone of {folder} is shallow, so its older commits and their tags are not known; run \
         `git fetch --unshallow --tags` (in GitHub Actions `fetch-depth: 0`, in GitLab `GIT_DEPTH: 0`)", folder = .folder.display()
    )]
    Shallow {
        /// The folder asked about.
        folder: PathBuf,
    },
    /// A commit dated before the year -9999 or after 9999.
    #[error("commit {id} has no usable date; amend it")]
    Date {
        /// The commit.
        id: String,
    },
    /// A name that cannot be told to git here.
    #[error("{file:?} is not UTF-8, so it cannot be committed; rename it")]
    FileName {
        /// The file.
        file: PathBuf,
    },
    /// Everything else, in git's own words.
    #[error("`git {command}` failed in {folder}: {said}", folder = .folder.display())]
    Failed {
        /// Which of git's commands.
        command: String,
        /// The folder asked about.
        folder: PathBuf,
        /// What git said, or its exit code.
        said: String,
    },
}
