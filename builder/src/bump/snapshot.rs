//! The version of a commit between two releases: `1.3.0-git20261120.abc1234`, in Debian's form
//! `1.3.0~git20261120.abc1234-1`. It is above the last release and below the next one.

use super::order::Forms;
use super::step::{Step, without_snapshot};
use crate::git::{Commit, GitError, Repository};
use debian_formats::Version;
use debian_formats::version::VersionError;
use semver::Prerelease;
use semver::Version as Semver;
use std::path::Path;

/// A commit that cannot be given a version.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// No history.
    #[error("a snapshot is named after its commit: {0}")]
    Git(#[from] GitError),
    /// What would be packed is not what was committed.
    #[error(
        "{path} is not as committed, so the snapshot would not be what its name says; commit it, or let .gitignore name it"
    )]
    Changed {
        /// Relative to the top of the work tree.
        path: String,
    },
    /// No version between two.
    #[error("there is no version for a snapshot between the last release {last} and the next one {next}; bump the version to one such as {}.{}.{}-rc.1", .next.major, .next.minor, .next.patch)]
    NoRoom {
        /// By its tag.
        last: Semver,
        /// By the source, or the one after the last.
        next: Semver,
    },
    /// A version that Debian's form cannot hold.
    #[error(transparent)]
    Version(#[from] VersionError),
}

/// The version of the commit that is checked out. What lies in the folder of outputs is no change of it; `present` is
/// the source's own version, in both forms.
pub fn of_commit(
    folder: &Path,
    outputs: Option<&Path>,
    present: &Semver,
    debian: &Version,
) -> Result<(Semver, Commit), SnapshotError> {
    let repository = Repository::open(folder)?;
    let commit = repository.head()?;
    let change = match outputs {
        Some(outputs) => repository.first_change_besides(outputs)?,
        None => repository.first_change()?,
    };
    if let Some(path) = change {
        return Err(SnapshotError::Changed { path });
    }
    let last = last_release(&repository.tags_before_head()?);
    if last.is_none() {
        repository.check_whole()?;
    }
    Ok((between(present, last.as_ref(), debian, &commit)?, commit))
}

/// The highest version that has a tag: of merged branches, the one just before may be another's. A tag is named as
/// `v1.2.0` or `1.2.0`.
pub(super) fn last_release(tags: &[String]) -> Option<Semver> {
    let versions = tags.iter().filter_map(|tag| tag.strip_prefix('v').unwrap_or(tag).parse::<Semver>().ok());
    versions.filter(|version| without_snapshot(&version.pre) == version.pre.as_str()).max()
}

/// Above the last release and below the next by both orders.
fn between(present: &Semver, last: Option<&Semver>, like: &Version, commit: &Commit) -> Result<Semver, SnapshotError> {
    let present = released(present);
    let next = match last {
        Some(last) if present.cmp_precedence(last).is_le() => {
            let step = if last.pre.is_empty() { Step::Patch } else { Step::Prerelease(None) };
            step.apply(last).map_err(|_| SnapshotError::NoRoom { last: last.clone(), next: last.clone() })?
        }
        _ => present,
    };
    let core = |version: &Semver| (version.major, version.minor, version.patch);
    let before = match last {
        // Numbers are below words, and what comes next may have a number here.
        Some(last) if next.pre.starts_with(&format!("{}.", last.pre)) && core(last) == core(&next) => {
            format!("{}.0.", last.pre)
        }
        Some(last) if !last.pre.is_empty() && core(last) == core(&next) => format!("{}.", last.pre),
        _ if !next.pre.is_empty() => "0.".to_owned(),
        _ => String::new(),
    };
    let date = commit.date.strftime("%Y%m%d");
    let no_room = || SnapshotError::NoRoom { last: last.unwrap_or(&next).clone(), next: next.clone() };
    // A number in a semver begins with no 0 (item 9): of such a name one digit more is taken, until there is a letter.
    let prerelease = (7..=commit.id.len())
        .filter_map(|digits| Prerelease::new(&format!("{before}git{date}.{}", commit.id.get(..digits)?)).ok())
        .next()
        .ok_or_else(no_room)?;
    let snapshot = Semver { pre: prerelease, build: semver::BuildMetadata::EMPTY, ..next.clone() };
    let forms = |version: &Semver| Forms::like(like, version.clone());
    let fits = forms(&next)?.check_above(&forms(&snapshot)?).is_ok();
    let follows = match last {
        Some(last) => forms(&snapshot)?.check_above(&forms(last)?).is_ok(),
        None => true,
    };
    if fits && follows { Ok(snapshot) } else { Err(no_room()) }
}

/// What a version that is a snapshot itself is a snapshot of.
fn released(version: &Semver) -> Semver {
    let pre = Prerelease::new(without_snapshot(&version.pre)).unwrap_or(Prerelease::EMPTY);
    Semver { pre, ..version.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    const ID: &str = "abc1234def5678abc1234def5678abc1234def56";

    fn snapshot_of(present: &str, last: Option<&str>, id: &str) -> Result<Semver, SnapshotError> {
        let last = last.map(|last| last.parse().unwrap());
        let commit = Commit { id: id.to_owned(), date: "2026-11-20T23:59:59Z".parse().unwrap() };
        between(&present.parse().unwrap(), last.as_ref(), &"0-1".parse().unwrap(), &commit)
    }

    fn snapshot(present: &str, last: Option<&str>) -> String {
        snapshot_of(present, last, ID).map_or_else(|error| error.to_string(), |version| version.to_string())
    }

    #[test]
    fn a_snapshot_is_of_the_next_release() {
        assert_eq!(snapshot("1.3.0", Some("1.2.0")), "1.3.0-git20261120.abc1234");
        assert_eq!(snapshot("1.3.0", None), "1.3.0-git20261120.abc1234");
        assert_eq!(snapshot("1.3.0", Some("1.3.0")), "1.3.1-git20261120.abc1234");
        assert_eq!(snapshot("1.2.0", Some("1.3.0")), "1.3.1-git20261120.abc1234");
        assert_eq!(snapshot("1.3.0-rc.1", Some("1.3.0-rc.1")), "1.3.0-rc.1.git20261120.abc1234");
        assert_eq!(snapshot("1.3.0-rc.1", Some("1.2.0")), "1.3.0-0.git20261120.abc1234");
        assert_eq!(snapshot("1.3.0", Some("1.3.0-rc.1")), "1.3.0-rc.1.git20261120.abc1234");
        assert_eq!(snapshot("1.3.0-rc", Some("1.3.0-rc")), "1.3.0-rc.0.git20261120.abc1234");
        assert_eq!(snapshot("1.3.0-git20261119.fff", Some("1.2.0")), "1.3.0-git20261120.abc1234");
        assert!(snapshot("1.3.0-0", Some("1.2.0")).contains("no version for a snapshot between"));
    }

    #[test]
    fn a_commit_whose_name_begins_with_zero_and_looks_like_a_number_has_a_version() {
        let id = "0123456789a".to_owned() + &ID[..29];
        assert_eq!(snapshot_of("1.0.0", None, &id).unwrap().to_string(), "1.0.0-git20261120.0123456789a");
    }

    #[test]
    fn the_highest_tag_is_the_last_release() {
        let tags = ["v1.9.0", "v1.10.0", "v1.10.0-rc.1", "nightly", "2.0", "v9.0.0-git20261120.abc"];
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        assert_eq!(last_release(&tags).unwrap().to_string(), "1.10.0");
        assert_eq!(last_release(&["1.2.0".to_owned()]).unwrap().to_string(), "1.2.0");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        /// The real dpkg is the judge: the last release is below the snapshot, and the next release above.
        #[test]
        fn dpkg_puts_a_snapshot_between_its_releases(
            last in "[01]\\.(0|9|10)\\.[0-2](-(alpha|beta|dev|pre|rc)(\\.[1-9])?)?",
            next in "[01]\\.(0|9|10)\\.[0-2](-(alpha|beta|dev|pre|rc)(\\.[1-9])?)?",
            id in "[0-9a-f]{40}|[0-9]{20}[a-f]{20}",
        ) {
            let snapshot = snapshot_of(&next, Some(&last), &id).unwrap();
            let (last, mut next): (Semver, Semver) = (last.parse().unwrap(), next.parse().unwrap());
            if next.cmp_precedence(&last).is_le() {
                next = Step::Patch.apply(&last).unwrap();
            }
            let form = |version: &Semver| Version::from_semver(version, 1).unwrap().to_string();
            for (low, high) in [(&last, &snapshot), (&snapshot, &next)] {
                let dpkg = Command::new("dpkg").args(["--compare-versions", &form(low), "lt", &form(high)]).status();
                prop_assert!(dpkg.unwrap().success(), "{} lt {}", form(low), form(high));
            }
        }
    }
}
