//! Which version of a package to install: a pure decision.

use debian_formats::packages::PackageEntry;
use debian_formats::{Architecture, PackageName, Version};

/// What is known when the choice is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) architecture: &'a Architecture,
    pub(crate) installed: Option<&'a Version>,
    /// No version below; signed by a package key.
    pub(crate) floor: Option<&'a Version>,
    /// The version that was asked for; none: the newest.
    pub(crate) wanted: Option<&'a Version>,
    pub(crate) allow_downgrade: bool,
}

/// What to do about one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The installed version is the one.
    UpToDate,
    /// Install this.
    Update(Box<PackageEntry>),
}

/// Why a package is not installed as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{name} is not in the suite for {architecture}")]
    NotInSuite { name: PackageName, architecture: Architecture },
    #[error("{name} {version} is not in the suite; it has {available}")]
    VersionNotInSuite { name: PackageName, version: Version, available: String },
    #[error("{name} {version} is below {floor}, the lowest version that its signed policy still allows on this device")]
    BelowFloor { name: PackageName, version: Version, floor: Version },
    #[error("{name} {version} is older than the installed {installed}; ask with --allow-downgrade if that is meant")]
    Downgrade { name: PackageName, version: Version, installed: Version },
}

/// Chooses among a package's entries in the index. `is_held_back` names versions that are not to be taken unasked.
pub(crate) fn choose(
    name: &PackageName,
    entries: &[PackageEntry],
    rules: Rules<'_>,
    is_held_back: impl Fn(&Version) -> bool,
) -> Result<Choice, Refusal> {
    let fits = |entry: &&PackageEntry| {
        let architecture = entry.control().architecture();
        architecture.is_all() || architecture == rules.architecture
    };
    let fitting: Vec<&PackageEntry> = entries.iter().filter(fits).collect();
    if fitting.is_empty() {
        return Err(Refusal::NotInSuite { name: name.clone(), architecture: rules.architecture.clone() });
    }
    let chosen = match rules.wanted {
        Some(wanted) => {
            let found = fitting.iter().find(|entry| entry.control().version() == wanted);
            Some(*found.ok_or_else(|| Refusal::VersionNotInSuite {
                name: name.clone(),
                version: wanted.clone(),
                available: versions(&fitting),
            })?)
        }
        None => fitting
            .into_iter()
            .filter(|entry| !is_held_back(entry.control().version()))
            .max_by(|a, b| a.control().version().cmp(b.control().version())),
    };
    let Some(chosen) = chosen else { return Ok(Choice::UpToDate) };
    let version = chosen.control().version();
    if let Some(installed) = rules.installed {
        if version == installed || (version < installed && rules.wanted.is_none()) {
            return Ok(Choice::UpToDate);
        }
        if version < installed && !rules.allow_downgrade {
            return Err(Refusal::Downgrade {
                name: name.clone(),
                version: version.clone(),
                installed: installed.clone(),
            });
        }
    }
    if let Some(floor) = rules.floor.filter(|floor| version < floor) {
        return Err(Refusal::BelowFloor { name: name.clone(), version: version.clone(), floor: floor.clone() });
    }
    Ok(Choice::Update(Box::new(chosen.clone())))
}

fn versions(entries: &[&PackageEntry]) -> String {
    let mut versions: Vec<&Version> = entries.iter().map(|entry| entry.control().version()).collect();
    versions.sort();
    let newest: Vec<&str> = versions.iter().rev().take(5).map(|version| version.as_str()).collect();
    newest.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use debian_formats::checksums::Checksums;
    use debian_formats::control::Control;

    fn entries(versions: &[&str]) -> Vec<PackageEntry> {
        let entry = |version: &&str| {
            let control: Control =
                format!("Package: hi\nVersion: {version}\nArchitecture: all\nMaintainer: a\nDescription: d\n")
                    .parse()
                    .unwrap();
            let stanza = PackageEntry::stanza_for(&control, "pool/hi.deb", &Checksums::of_bytes(b""));
            PackageEntry::from_stanza(&stanza).unwrap()
        };
        versions.iter().map(entry).collect()
    }

    /// Chooses with 1.0 and 2.0 in the suite; 2.0 was rolled back here before.
    fn choice(installed: Option<&str>, wanted: Option<&str>, floor: Option<&str>, allow_downgrade: bool) -> String {
        let version = |text: Option<&str>| text.map(|text| text.parse::<Version>().unwrap());
        let (installed, wanted, floor) = (version(installed), version(wanted), version(floor));
        let architecture = "amd64".parse().unwrap();
        let rules = Rules {
            architecture: &architecture,
            installed: installed.as_ref(),
            floor: floor.as_ref(),
            wanted: wanted.as_ref(),
            allow_downgrade,
        };
        let held_back = |version: &Version| version.as_str() == "2.0";
        match choose(&"hi".parse().unwrap(), &entries(&["1.0", "2.0"]), rules, held_back) {
            Ok(Choice::Update(entry)) => entry.control().version().to_string(),
            Ok(Choice::UpToDate) => "up to date".into(),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn a_version_that_was_rolled_back_comes_only_when_it_is_asked_for() {
        assert_eq!(choice(None, None, None, false), "1.0");
        assert_eq!(choice(Some("1.0"), None, None, false), "up to date");
        assert_eq!(choice(Some("1.0"), Some("2.0"), None, false), "2.0");
    }

    #[test]
    fn an_older_version_needs_a_word_and_stays_above_the_floor() {
        assert_eq!(choice(Some("3.0"), None, None, false), "up to date");
        assert!(choice(Some("3.0"), Some("1.0"), None, false).contains("--allow-downgrade"));
        assert_eq!(choice(Some("3.0"), Some("1.0"), None, true), "1.0");
        assert!(choice(Some("3.0"), Some("1.0"), Some("1.5"), true).contains("below 1.5"));
        assert!(choice(None, None, Some("1.5"), true).contains("below 1.5"));
    }

    #[test]
    fn what_the_suite_does_not_hold_is_named() {
        assert!(choice(None, Some("4.0"), None, false).contains("it has 2.0, 1.0"));
    }
}
