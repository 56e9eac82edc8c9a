//! A suite's index files, kept in blocks so that a change costs what it changes and not what the suite holds. Pure: no
//! disk, no clock, no database.

mod block;
mod entry;
mod files;
mod part;
mod rope;

#[cfg(test)]
pub(super) use block::Effort;
pub(super) use block::{Block, IndexEntry};
pub(super) use entry::{contents_entry, packages_entry};
pub(super) use files::{IndexFiles, build};
pub(super) use part::{Compacted, Part};
pub(crate) use rope::{Rope, text};

use debian_formats::Architecture;
use debian_formats::names::ComponentName;
use std::collections::BTreeMap;

/// What an index lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Packages: stanzas.
    Packages,
    /// Contents: which package holds which path.
    Contents,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Packages, Self::Contents];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Packages => "packages",
            Self::Contents => "contents",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// Which part of a suite's indexes. Packages of architecture `all` are a part of their own, which stands in the index of
/// every architecture: apt asks for no order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartKey {
    pub(super) kind: Kind,
    /// Such as `main`.
    pub(super) component: ComponentName,
    pub(super) architecture: Architecture,
}

/// All parts of a suite's indexes.
pub(super) type Parts = BTreeMap<PartKey, Part>;
