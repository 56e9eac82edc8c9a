//! How far a version is raised.

use semver::{BuildMetadata, Prerelease, Version};
use std::str::FromStr;

/// How far to bump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// 1.2.3 becomes 1.2.4; 1.2.4-rc.1 becomes 1.2.4.
    Patch,
    /// 1.2.3 becomes 1.3.0; 1.3.0-rc.1 becomes 1.3.0.
    Minor,
    /// 1.2.3 becomes 2.0.0; 2.0.0-rc.1 becomes 2.0.0.
    Major,
    /// 1.2.3 becomes 1.2.4-rc.1, and 1.2.4-rc.1 becomes 1.2.4-rc.2; with another word than the present one that word
    /// begins at 1.
    Prerelease(Option<PrereleaseWord>),
    /// 1.3.0-rc.2 becomes 1.3.0.
    Release,
    /// Exactly this version.
    To(Version),
}

/// What a pre-release is called, such as `beta`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrereleaseWord(String);

/// A step that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// A word that is neither a step nor a version.
    #[error(
        "{0:?} is neither patch, minor, major, prerelease, release nor a version such as 1.4.0 or 1.4.0-rc.1 (semver)"
    )]
    Unknown(String),
    /// No word for a pre-release.
    #[error("{0:?} does not name a pre-release; use one word of small letters, such as beta")]
    Word(String),
    /// Only a pre-release has a release to come.
    #[error("{0} is no pre-release, so there is nothing to release; bump it by patch, minor or major")]
    NoPrerelease(Version),
    /// A number that cannot be counted up.
    #[error("{0} holds a number too large to count up; name the new version in full")]
    TooLarge(Version),
}

impl FromStr for PrereleaseWord {
    type Err = StepError;

    fn from_str(text: &str) -> Result<Self, StepError> {
        let sound = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase());
        if sound { Ok(Self(text.to_owned())) } else { Err(StepError::Word(text.chars().take(60).collect())) }
    }
}

impl FromStr for Step {
    type Err = StepError;

    fn from_str(text: &str) -> Result<Self, StepError> {
        match text {
            "patch" => Ok(Self::Patch),
            "minor" => Ok(Self::Minor),
            "major" => Ok(Self::Major),
            "prerelease" => Ok(Self::Prerelease(None)),
            "release" => Ok(Self::Release),
            _ => text.parse().map(Self::To).map_err(|_| StepError::Unknown(text.chars().take(60).collect())),
        }
    }
}

impl Step {
    /// The next version. A pre-release's own release counts as the next one.
    pub fn apply(&self, old: &Version) -> Result<Version, StepError> {
        let next = |number: u64| number.checked_add(1).ok_or_else(|| StepError::TooLarge(old.clone()));
        let mut new = Version { pre: Prerelease::EMPTY, build: BuildMetadata::EMPTY, ..old.clone() };
        let is_prerelease = !old.pre.is_empty();
        match self {
            Self::To(version) => return Ok(version.clone()),
            Self::Patch | Self::Release if is_prerelease => {}
            Self::Release => return Err(StepError::NoPrerelease(old.clone())),
            Self::Minor if is_prerelease && old.patch == 0 => {}
            Self::Major if is_prerelease && (old.minor, old.patch) == (0, 0) => {}
            Self::Patch => new.patch = next(old.patch)?,
            Self::Minor => (new.minor, new.patch) = (next(old.minor)?, 0),
            Self::Major => (new.major, new.minor, new.patch) = (next(old.major)?, 0, 0),
            Self::Prerelease(word) => {
                if !is_prerelease {
                    new.patch = next(old.patch)?;
                }
                let pre = next_prerelease(without_snapshot(&old.pre), word.as_ref());
                let pre = pre.and_then(|pre| Prerelease::new(&pre).ok());
                new.pre = pre.ok_or_else(|| StepError::TooLarge(old.clone()))?;
            }
        }
        Ok(new)
    }
}

/// Before the part that names a commit, if there is one: a pre-release is counted from what it is a snapshot of.
pub(super) fn without_snapshot(pre: &Prerelease) -> &str {
    let mut end = 0;
    for identifier in pre.split('.') {
        let date = identifier.strip_prefix("git").unwrap_or_default();
        if date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()) {
            return pre.get(..end).unwrap_or_default().trim_end_matches('.');
        }
        end += identifier.len() + 1;
    }
    pre
}

/// None if a number is too large.
fn next_prerelease(pre: &str, word: Option<&PrereleaseWord>) -> Option<String> {
    let (before, last) = pre.rsplit_once('.').map_or(("", pre), |(before, last)| (before, last));
    let first = pre.split('.').next().unwrap_or_default().trim_end_matches(|c: char| c.is_ascii_digit());
    match word {
        Some(PrereleaseWord(word)) if word != first => return Some(format!("{word}.1")),
        _ if pre.is_empty() => return Some("rc.1".to_owned()),
        _ => {}
    }
    let letters = last.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = &last[letters.len()..];
    if number.is_empty() {
        return Some(format!("{pre}.1"));
    }
    let number = number.parse::<u64>().ok()?.checked_add(1)?;
    let dot = if before.is_empty() { "" } else { "." };
    Some(format!("{before}{dot}{letters}{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(step: &Step, old: &str) -> String {
        step.apply(&old.parse().unwrap()).map_or_else(|error| error.to_string(), |new| new.to_string())
    }

    fn step(step: &str, old: &str) -> String {
        apply(&step.parse().unwrap(), old)
    }

    #[test]
    fn steps_are_semvers() {
        assert_eq!(step("patch", "1.2.3"), "1.2.4");
        assert_eq!(step("minor", "1.2.3"), "1.3.0");
        assert_eq!(step("major", "1.2.3+build"), "2.0.0");
        assert_eq!(step("patch", "1.2.4-rc.1"), "1.2.4");
        assert_eq!(step("minor", "1.2.4-rc.1"), "1.3.0");
        assert_eq!(step("major", "2.0.0-rc.1"), "2.0.0");
        assert_eq!(step("3.0.0-beta.1", "1.2.3"), "3.0.0-beta.1");
        assert!("big".parse::<Step>().is_err());
        assert!("1.2".parse::<Step>().is_err());
    }

    #[test]
    fn pre_releases_are_counted_and_released() {
        assert_eq!(step("prerelease", "1.2.3"), "1.2.4-rc.1");
        assert_eq!(step("prerelease", "1.3.0-rc.9"), "1.3.0-rc.10");
        assert_eq!(step("prerelease", "1.3.0-beta2"), "1.3.0-beta3");
        assert_eq!(step("prerelease", "1.3.0-alpha"), "1.3.0-alpha.1");
        assert_eq!(step("prerelease", "1.3.0-0.3.7"), "1.3.0-0.3.8");
        assert_eq!(step("release", "1.3.0-rc.2"), "1.3.0");
        assert!(step("release", "1.3.0").contains("is no pre-release"));
        let word = |word: &str| Step::Prerelease(Some(word.parse().unwrap()));
        assert_eq!(apply(&word("beta"), "1.2.3"), "1.2.4-beta.1");
        assert_eq!(apply(&word("beta"), "1.3.0-alpha.4"), "1.3.0-beta.1");
        assert_eq!(apply(&word("beta"), "1.3.0-beta.4"), "1.3.0-beta.5");
        for bad in ["", "Beta", "rc1", "a.b", "a-b", "ä"] {
            assert!(bad.parse::<PrereleaseWord>().is_err(), "{bad}");
        }
    }

    #[test]
    fn after_a_snapshot_comes_what_it_was_a_snapshot_of() {
        assert_eq!(step("prerelease", "1.3.0-git20261120.abc1234"), "1.3.0-rc.1");
        assert_eq!(step("prerelease", "1.3.0-rc.1.git20261120.abc1234"), "1.3.0-rc.2");
        assert_eq!(step("release", "1.3.0-git20261120.abc1234"), "1.3.0");
    }

    #[test]
    fn a_number_that_cannot_grow_is_an_error() {
        let most = u64::MAX;
        for (by, old) in [
            ("patch", format!("1.2.{most}")),
            ("minor", format!("1.{most}.3")),
            ("major", format!("{most}.2.3")),
            ("prerelease", format!("1.2.{most}")),
            ("prerelease", format!("1.2.3-rc.{most}")),
            ("prerelease", format!("1.2.3-rc.{most}0")),
        ] {
            assert!(step(by, &old).contains("too large"), "{by} {old}");
        }
    }
}
