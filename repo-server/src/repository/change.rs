//! What a publication changes in a suite: in its index parts, and in the tables.

use super::index::{IndexEntry, Kind, Part, PartKey, Parts, contents_entry, packages_entry};
use super::store::{Package, PoolWrite};
use debian_formats::Architecture;
use debian_formats::names::ComponentName;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// A package's place in a suite.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) package: Arc<Package>,
    /// Such as `main`.
    pub(crate) component: ComponentName,
    /// Phased-Update-Percentage, below 100.
    pub(crate) phased: Option<u8>,
}

/// One step. Steps that do not touch the same package may be published together.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// A package that was not in the pool before, and the note that its file was put there.
    AddNew(Placed, PoolWrite),
    /// One that is in the pool.
    Add(Placed),
    /// One that leaves the suite; the pool keeps it.
    Remove {
        /// SHA-256, lower-case hex.
        package: Arc<str>,
    },
    /// One that stays, with another phase.
    Phase(Placed),
}

impl Change {
    /// The SHA-256 of the package that it is about.
    pub(super) fn package(&self) -> &str {
        match self {
            Self::AddNew(placed, _) | Self::Add(placed) | Self::Phase(placed) => &placed.package.sha256,
            Self::Remove { package } => package,
        }
    }
}

/// The parts after these changes.
pub(super) fn apply(parts: &Parts, changes: &[Arc<[Change]>]) -> io::Result<Parts> {
    let mut gone: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut new: BTreeMap<PartKey, Vec<&Placed>> = BTreeMap::new();
    for change in changes.iter().flat_map(|some| some.iter()) {
        match change {
            Change::AddNew(placed, _) | Change::Add(placed) => place(placed, &mut new),
            Change::Remove { package } => drop(gone.insert(package.clone())),
            Change::Phase(placed) => {
                gone.insert(placed.package.id());
                place(placed, &mut new);
            }
        }
    }
    let mut changed = Parts::new();
    let keys: BTreeSet<PartKey> = parts.keys().chain(new.keys()).cloned().collect();
    let empty = Part::default();
    for key in keys {
        let (part, new) = (parts.get(&key).unwrap_or(&empty), new.remove(&key).unwrap_or_default());
        // Made when they are packed: all texts at once would take as much memory as the index.
        let entries = new.into_iter().filter_map(|placed| entry(key.kind, placed));
        changed.insert(key.clone(), part.changed(key.kind, &gone, entries)?);
    }
    changed.retain(|_, part| !part.blocks.is_empty());
    Ok(changed)
}

fn place<'a>(placed: &'a Placed, new: &mut BTreeMap<PartKey, Vec<&'a Placed>>) {
    // The store gives no package whose architecture is not one.
    let Ok(architecture) = placed.package.architecture.parse::<Architecture>() else { return };
    for kind in Kind::ALL {
        let key = PartKey { kind, component: placed.component.clone(), architecture: architecture.clone() };
        new.entry(key).or_default().push(placed);
    }
}

/// What an index of this kind says of a package.
fn entry(kind: Kind, placed: &Placed) -> Option<IndexEntry> {
    let package = &placed.package;
    match kind {
        Kind::Packages => Some(packages_entry(package.id(), &package.stanza, placed.phased)),
        Kind::Contents => {
            let section = package.stanza.lines().find_map(|line| line.strip_prefix("Section: "));
            contents_entry(package.id(), &package.name, section, &package.paths)
        }
    }
}
