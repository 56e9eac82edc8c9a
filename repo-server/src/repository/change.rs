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
    let mut new: BTreeMap<PartKey, Vec<IndexEntry>> = BTreeMap::new();
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
        changed.insert(key.clone(), part.changed(key.kind, &gone, new)?);
    }
    changed.retain(|_, part| !part.blocks.is_empty());
    Ok(changed)
}

fn place(placed: &Placed, new: &mut BTreeMap<PartKey, Vec<IndexEntry>>) {
    let Placed { package, component, phased } = placed;
    // The store gives no package whose architecture is not one.
    let Ok(architecture) = package.architecture.parse::<Architecture>() else { return };
    let key = |kind| PartKey { kind, component: component.clone(), architecture: architecture.clone() };
    let id = package.id();
    new.entry(key(Kind::Packages)).or_default().push(packages_entry(id.clone(), &package.stanza, *phased));
    let section = package.stanza.lines().find_map(|line| line.strip_prefix("Section: "));
    if let Some(entry) = contents_entry(id, &package.name, section, &package.paths) {
        new.entry(key(Kind::Contents)).or_default().push(entry);
    }
}
