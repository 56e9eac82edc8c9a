//! Debian's package versions, and how a semver becomes one.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// `[epoch:]upstream[-revision]`, ordered as dpkg orders (Policy 5.6.12).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    text: String,
    parsed: debversion::Version,
}

/// A text that Policy does not allow as a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("version {text:?} is not a Debian version: {rule} (Policy 5.6.12)")]
pub struct VersionError {
    text: String,
    rule: &'static str,
}

impl Version {
    /// The Debian form of a semver: a pre-release sorts before its release (`1.3.0-rc.1` becomes `1.3.0~rc.1-1`).
    ///
    /// Hyphens inside the pre-release would end the upstream version at the wrong place, so they become `.`.
    pub fn from_semver(version: &semver::Version, revision: u32) -> Result<Self, VersionError> {
        let mut text = format!("{}.{}.{}", version.major, version.minor, version.patch);
        if !version.pre.is_empty() {
            text.push('~');
            text.push_str(&version.pre.as_str().replace('-', "."));
        }
        if !version.build.is_empty() {
            text.push('+');
            text.push_str(&version.build.as_str().replace('-', "."));
        }
        format!("{text}-{revision}").parse()
    }

    /// The same with this epoch, or as it is.
    pub fn with_epoch(self, epoch: Option<u32>) -> Result<Self, VersionError> {
        match epoch {
            Some(epoch) => format!("{epoch}:{}", self.without_epoch()).parse(),
            None => Ok(self),
        }
    }

    /// The version exactly as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Without the epoch: the form that file names carry.
    #[must_use]
    pub fn without_epoch(&self) -> &str {
        self.text.split_once(':').map_or(self.text.as_str(), |(_, rest)| rest)
    }

    /// The part before the last hyphen, without the epoch.
    #[must_use]
    pub fn upstream(&self) -> &str {
        let rest = self.without_epoch();
        rest.rsplit_once('-').map_or(rest, |(upstream, _)| upstream)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let fail = |rule| VersionError { text: text.chars().take(80).collect(), rule };
        if text.len() > 256 {
            return Err(fail("it is longer than 256 characters"));
        }
        let (epoch, rest) = text.split_once(':').map_or((None, text), |(epoch, rest)| (Some(epoch), rest));
        if let Some(epoch) = epoch
            && (epoch.is_empty() || epoch.len() > 9 || !epoch.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(fail("the epoch before ':' must be a number"));
        }
        let (upstream, revision) = rest.rsplit_once('-').map_or((rest, None), |(u, r)| (u, Some(r)));
        if !upstream.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(fail("it must begin with a digit"));
        }
        if !upstream.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-~".contains(&b)) {
            return Err(fail("only letters, digits and . + - ~ may stand in it"));
        }
        if let Some(revision) = revision
            && (revision.is_empty() || !revision.bytes().all(|b| b.is_ascii_alphanumeric() || b".+~".contains(&b)))
        {
            return Err(fail("the revision after the last '-' must be letters, digits and . + ~"));
        }
        let parsed = text.parse().map_err(|_| fail("it cannot be parsed"))?;
        Ok(Self { text: text.to_owned(), parsed })
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;
    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.text
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parsed.cmp(&other.parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_hyphen_begins_the_revision() {
        assert_eq!(version("2:1.0-rc1-3").upstream(), "1.0-rc1");
        assert_eq!(version("2:1.0-rc1-3").without_epoch(), "1.0-rc1-3");
    }

    #[test]
    fn what_policy_forbids_is_refused() {
        for bad in ["", "a1", "1.0_2", "1:", ":1", "x:1", "1-", "1.0\n", "1 0", "é1", "1.0/../../x"] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_prerelease_sorts_before_its_release() {
        let form = |text: &str| Version::from_semver(&text.parse().unwrap(), 1).unwrap();
        assert_eq!(form("1.3.0-rc.1").as_str(), "1.3.0~rc.1-1");
        assert!(form("1.3.0-rc.1") < form("1.3.0"));
        assert!(form("1.2.9") < form("1.3.0-rc.1"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        /// The real dpkg is the judge of the order.
        #[test]
        fn order_is_dpkgs(a in "[0-9]{1,2}(:[0-9])?[a-z0-9.+~]{0,6}(-[a-z0-9.+~]{1,3})?", b in "[0-9]{1,2}(:[0-9])?[a-z0-9.+~]{0,6}(-[a-z0-9.+~]{1,3})?") {
            let (x, y) = (version(&a), version(&b));
            let relation = match x.cmp(&y) { Ordering::Less => "lt", Ordering::Equal => "eq", Ordering::Greater => "gt" };
            let status = std::process::Command::new("dpkg").args(["--compare-versions", &a, relation, &b]).status().unwrap();
            prop_assert!(status.success(), "dpkg disagrees: {} {} {}", a, relation, b);
        }
    }
}
