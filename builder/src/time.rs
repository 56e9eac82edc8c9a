//! The one time that stands everywhere in a package, so that the same source gives the same bytes.

use crate::git::{GitError, Repository};
use jiff::Timestamp;
use std::fmt;
use std::path::Path;

/// The variable by which every reproducible build tool takes its time.
pub const VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// A time that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The variable holds something else.
    #[error(
        "SOURCE_DATE_EPOCH={0:?} is not a number of seconds since 1970; set it to one such as 1700000000, or unset it"
    )]
    Variable(String),
    /// A file dated before 1970 or after 9999.
    #[error("the newest source file is dated {0} seconds after 1970, which is no usable time; set its time by `touch`")]
    File(i64),
}

/// Where the time was taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeOrigin {
    /// SOURCE_DATE_EPOCH.
    Variable,
    /// The last commit that touched the folder.
    Commit,
    /// The oldest commit of a shallow clone, which stands there for all that were left out.
    OldestOfShallowClone,
    /// The newest source file.
    NewestFile {
        /// Why no commit tells the time.
        because: String,
    },
}

impl fmt::Display for TimeOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable => f.write_str("by SOURCE_DATE_EPOCH"),
            Self::Commit => f.write_str("as its last commit"),
            Self::OldestOfShallowClone => f.write_str(
                "as the oldest commit of this shallow clone; a whole clone may date it otherwise, and give other bytes: \
                 fetch the whole history (fetch-depth: 0), or set SOURCE_DATE_EPOCH",
            ),
            Self::NewestFile { because } => write!(f, "as its newest file: {because}"),
        }
    }
}

/// The variable's value if it is set; else the last commit that touched the folder, if the folder lies in a git work
/// tree and holds no uncommitted change, whatever was built into `out`; else the time of the newest source file.
pub fn of_source(
    variable: Option<&str>,
    folder: &Path,
    out: &Path,
    newest: i64,
) -> Result<(Timestamp, TimeOrigin), TimeError> {
    if let Some(text) = variable {
        return Ok((of_variable(text)?, TimeOrigin::Variable));
    }
    let because = match last_commit(folder, out) {
        Ok(Ok(dated)) => return Ok(dated),
        Ok(Err(because)) => because,
        Err(error) => error.to_string(),
    };
    let time = Timestamp::from_second(newest).ok().filter(|_| newest >= 0).ok_or(TimeError::File(newest))?;
    Ok((time, TimeOrigin::NewestFile { because }))
}

/// The time that the variable says.
pub fn of_variable(text: &str) -> Result<Timestamp, TimeError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| digits);
    seconds
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or_else(|| TimeError::Variable(text.chars().take(60).collect()))
}

/// Or why the history does not tell.
fn last_commit(folder: &Path, out: &Path) -> Result<Result<(Timestamp, TimeOrigin), String>, GitError> {
    let Some(repository) = Repository::find(folder)? else {
        return Ok(Err("it lies in no git work tree".to_owned()));
    };
    if let Some(path) = repository.first_change_besides(out)? {
        return Ok(Err(format!("{path} is not committed")));
    }
    let Some(commit) = repository.last_commit_of_folder()? else {
        return Ok(Err("no commit touched it yet".to_owned()));
    };
    let origin = match repository.is_cut_off_at(&commit)? {
        true => TimeOrigin::OldestOfShallowClone,
        false => TimeOrigin::Commit,
    };
    Ok(Ok((commit.date, origin)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_comes_first_and_must_be_a_number() {
        let here = Path::new("/");
        assert_eq!(of_source(Some("1700000000"), here, here, 5).unwrap().0.as_second(), 1_700_000_000);
        for bad in ["", "soon", "-1", "+1", "1.5", "99999999999999"] {
            assert_eq!(of_source(Some(bad), here, here, 5), Err(TimeError::Variable(bad.into())), "{bad}");
        }
        assert_eq!(of_source(None, here, here, 5).unwrap().0.as_second(), 5);
        assert_eq!(of_source(None, here, here, -5), Err(TimeError::File(-5)));
    }
}
