//! The entry that a bump puts at the head of the changelog.

use super::error::BumpError;
use super::record::tag_name;
use crate::git::Repository;
use debian_formats::changelog::{self, Entry, Heading};
use debian_formats::{PackageName, Version};
use jiff::Timestamp;
use std::path::Path;

/// So many commits have a point each, and the rest one together.
const MOST_CHANGES: usize = 500;

/// Who releases what.
pub(super) struct Release<'a> {
    pub(super) folder: &'a Path,
    /// Where the source says its version.
    pub(super) version_file: &'a Path,
    pub(super) package: &'a PackageName,
    pub(super) maintainer: &'a str,
    /// The version now, as people bump it.
    pub(super) old: &'a str,
    /// The version then.
    pub(super) new: &'a Version,
    pub(super) time: Timestamp,
    /// What the entry says if no commit does.
    pub(super) otherwise: &'a str,
}

/// The changelog with an entry for the new version above what it holds.
pub(super) fn with_entry(text: Option<&str>, path: &Path, release: &Release) -> Result<String, BumpError> {
    let rest = text.map(str::trim_start).filter(|rest| !rest.is_empty());
    let newest = rest.map(|rest| newest_below(rest, path, release)).transpose()?;
    let subjects = match Repository::find(release.folder)? {
        Some(repository) => subjects(&repository, release, newest.as_ref().map(|newest| (newest, path)))?,
        None => Vec::new(),
    };
    let distribution = newest.map(|newest| newest.distribution);
    // Of an entry that nobody finished (dch's mark), the suite is not known.
    let distribution = distribution.filter(|distribution| distribution != "UNRELEASED");
    let entry = Entry {
        package: release.package.clone(),
        version: release.new.clone(),
        distribution: distribution.unwrap_or_else(|| "stable".to_owned()),
        changes: changes(subjects, release),
        maintainer: release.maintainer.to_owned(),
        date: release.time,
    };
    Ok(rest.map_or_else(|| entry.to_string(), |rest| format!("{entry}\n{rest}")))
}

/// The newest entry, which must be an older one of this package: dpkg takes a changelog for a history that goes down.
fn newest_below(text: &str, path: &Path, release: &Release) -> Result<Heading, BumpError> {
    let path = || path.to_owned();
    let newest = changelog::newest(text).map_err(|cause| BumpError::Changelog { path: path(), cause })?;
    if newest.package != *release.package {
        let (found, package) = (newest.package.to_string(), release.package.to_string());
        return Err(BumpError::OtherPackage { path: path(), found, package });
    }
    if newest.version >= *release.new {
        let (newest, new) = (newest.version.to_string(), release.new.to_string());
        return Err(BumpError::AlreadyInChangelog { path: path(), newest, new });
    }
    Ok(newest)
}

/// What was committed after the present version: after its tag; else after the commit that brought the newest entry
/// into the changelog; else after the one that wrote the version into the source, and if there is none, everything.
fn subjects(
    repository: &Repository,
    release: &Release,
    newest: Option<(&Heading, &Path)>,
) -> Result<Vec<String>, BumpError> {
    let most = MOST_CHANGES + 1;
    for tag in [tag_name(release.old), release.old.to_owned()] {
        if let Some(commit) = repository.tagged_commit(&tag)? {
            return Ok(repository.subjects(Some(&commit), most)?);
        }
    }
    // In a shallow clone the oldest commit seems to bring everything.
    repository.check_whole()?;
    let commit = match newest {
        Some((newest, path)) => match repository.last_change_of(&format!("({})", newest.version), path)? {
            Some(commit) => Some(commit),
            // An entry that is not committed yet tells of everything that is.
            None => return Ok(Vec::new()),
        },
        None => repository.last_change_of(release.old, release.version_file)?,
    };
    Ok(repository.subjects(commit.as_ref().map(|commit| commit.id.as_str()), most)?)
}

/// The points of an entry, the oldest first, without the commits of releases themselves.
fn changes(subjects: Vec<String>, release: &Release) -> Vec<String> {
    let has_more = subjects.len() > MOST_CHANGES;
    let is_release = |subject: &str| {
        let version = subject.strip_prefix("Release ").and_then(|rest| rest.strip_prefix(release.package.as_str()));
        version.is_some_and(|version| version.trim_start().parse::<semver::Version>().is_ok())
    };
    let words = subjects.into_iter().take(MOST_CHANGES).filter(|subject| !is_release(subject) && !subject.is_empty());
    let earlier = has_more.then(|| "Earlier changes.".to_owned());
    let mut changes: Vec<String> = words.chain(earlier).collect();
    changes.reverse();
    if changes.is_empty() { vec![release.otherwise.to_owned()] } else { changes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commits_of_releases_are_left_out() {
        let release = Release {
            folder: Path::new(""),
            version_file: Path::new(""),
            package: &"hi".parse().unwrap(),
            maintainer: "",
            old: "",
            new: &"1-1".parse().unwrap(),
            time: Timestamp::UNIX_EPOCH,
            otherwise: "New release.",
        };
        let changes =
            |subjects: &[&str]| changes(subjects.iter().map(|subject| (*subject).to_owned()).collect(), &release);
        let subjects = ["Dim", "Release hi 1.0.0", "Release hi to everybody", "Release hippo 1.0.0", "", "Light"];
        assert_eq!(changes(&subjects), ["Light", "Release hippo 1.0.0", "Release hi to everybody", "Dim"]);
        assert_eq!(changes(&["Release hi 1.0.0-rc.1"]), ["New release."]);
        assert_eq!(changes(&["x"; 501]).first().unwrap(), "Earlier changes.");
    }
}
