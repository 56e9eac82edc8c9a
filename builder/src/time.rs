//! The one time that stands everywhere in a package, so that the same source gives the same bytes.

use crate::git::Repository;
use jiff::Timestamp;
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

/// The variable's value if it is set; else the last commit that touched the folder, if the folder lies in a git work
/// tree and holds no uncommitted change, whatever was built into `out`; else the time of the newest source file.
pub fn of_source(variable: Option<&str>, folder: &Path, out: &Path, newest: i64) -> Result<Timestamp, TimeError> {
    if let Some(text) = variable {
        return of_variable(text);
    }
    if let Some(commit) = last_commit(folder, out) {
        return Ok(commit);
    }
    Timestamp::from_second(newest).ok().filter(|_| newest >= 0).ok_or(TimeError::File(newest))
}

/// The time that the variable says.
pub fn of_variable(text: &str) -> Result<Timestamp, TimeError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| digits);
    seconds
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or_else(|| TimeError::Variable(text.chars().take(60).collect()))
}

/// None when git is absent, does not know the folder, or sees changes in it.
fn last_commit(folder: &Path, out: &Path) -> Option<Timestamp> {
    let repository = Repository::find(folder).ok()??;
    let is_clean = repository.first_change_besides(out).ok()?.is_none();
    let commit = repository.last_commit_of_folder().ok()?;
    commit.filter(|_| is_clean).map(|commit| commit.date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_comes_first_and_must_be_a_number() {
        let here = Path::new("/");
        assert_eq!(of_source(Some("1700000000"), here, here, 5).unwrap().as_second(), 1_700_000_000);
        for bad in ["", "soon", "-1", "+1", "1.5", "99999999999999"] {
            assert_eq!(of_source(Some(bad), here, here, 5), Err(TimeError::Variable(bad.into())), "{bad}");
        }
        assert_eq!(of_source(None, here, here, 5).unwrap().as_second(), 5);
        assert_eq!(of_source(None, here, here, -5), Err(TimeError::File(-5)));
    }
}
