//! Packages of a suite, by what people call them.

use super::change::Placed;
use debian_formats::{Architecture, PackageName, Version};
use std::fmt;

/// Some packages of a suite, by what people call them.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Of the packages.
    pub name: PackageName,
    /// Absent: every version.
    pub version: Option<Version>,
    /// Absent: every architecture.
    pub architecture: Option<Architecture>,
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        self.version.iter().try_for_each(|version| write!(f, " {version}"))?;
        self.architecture.iter().try_for_each(|architecture| write!(f, " ({architecture})"))
    }
}

impl Selection {
    pub(super) fn fits(&self, placed: &Placed) -> bool {
        placed.package.name == self.name.as_str()
            && self.version.as_ref().is_none_or(|version| placed.package.version == *version)
            && self.architecture.as_ref().is_none_or(|it| placed.package.architecture == it.as_str())
    }
}
