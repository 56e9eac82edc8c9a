//! Debian's changelog (Policy 4.4, deb-changelog(5)).

mod entry;

pub use entry::Entry;

use crate::names::{NameError, PackageName};
use crate::version::{Version, VersionError};

/// The first line of an entry: `package (version) distribution; urgency=medium`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// The source package.
    pub package: PackageName,
    /// The version that the entry tells of.
    pub version: Version,
    /// The suites that it was meant for, such as `stable`.
    pub distribution: String,
}

/// A text that is no changelog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangelogError {
    /// No entry, or a first line of another form.
    #[error("its first line must be like `hi (1.3.0-1) stable; urgency=medium` (deb-changelog(5)), and is {0:?}")]
    Heading(String),
    /// The package's name.
    #[error("its first line: {0}")]
    Name(#[from] NameError),
    /// The version.
    #[error("its first line: {0}")]
    Version(#[from] VersionError),
}

/// The heading of the newest entry, which is the first.
pub fn newest(text: &str) -> Result<Heading, ChangelogError> {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let wrong = || ChangelogError::Heading(line.chars().take(80).collect());
    let (package, rest) = line.split_once(" (").ok_or_else(wrong)?;
    let (version, rest) = rest.split_once(')').ok_or_else(wrong)?;
    let (distribution, keys) = rest.split_once(';').ok_or_else(wrong)?;
    let distribution = distribution.trim();
    if distribution.is_empty() || !keys.trim_start().starts_with("urgency=") {
        return Err(wrong());
    }
    Ok(Heading { package: package.parse()?, version: version.parse()?, distribution: distribution.to_owned() })
}

/// The number of entries, each of which ends with a line that begins with ` -- `.
#[must_use]
pub fn entries(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with(" -- ")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_entry_comes_first() {
        let text = "\nhi (1:1.3.0~rc.1-1) stable beta; urgency=low\n\n  * x\n\n -- A <a@b>  date\n\nhi (1.2.0-1) stable; urgency=low\n";
        let heading = newest(text).unwrap();
        assert_eq!((heading.package.as_str(), heading.version.as_str()), ("hi", "1:1.3.0~rc.1-1"));
        assert_eq!(heading.distribution, "stable beta");
        for bad in [
            "",
            "hi 1.0 stable; urgency=low",
            "hi (1.0) ; urgency=low",
            "hi (1.0) stable",
            "Hi (1.0) stable; urgency=low",
        ] {
            assert!(newest(bad).is_err(), "{bad:?}");
        }
    }
}
