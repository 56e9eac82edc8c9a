//! Which packages of an upstream archive are wanted. Pure.

use debian_formats::Architecture;
use debian_formats::upstream::UpstreamPackage;
use globset::{Glob, GlobSet, GlobSetBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

/// What a person asked for.
pub(crate) struct Selection {
    names: GlobSet,
    priorities: BTreeSet<String>,
    /// None: of every one.
    architectures: BTreeSet<Architecture>,
    versions: Option<NonZeroUsize>,
}

impl Selection {
    /// Without names and priorities everything is wanted; with both, what fits one of them.
    pub(crate) fn new(
        names: &[Glob],
        priorities: &[String],
        architectures: &[Architecture],
        versions: Option<NonZeroUsize>,
    ) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for name in names {
            set.add(name.clone());
        }
        Ok(Self {
            names: set.build()?,
            priorities: priorities.iter().cloned().collect(),
            architectures: architectures.iter().cloned().collect(),
            versions,
        })
    }

    /// Whether it can be for one of the wanted machines.
    pub(crate) fn fits_machine(&self, package: &UpstreamPackage) -> bool {
        let architecture = &package.architecture;
        self.architectures.is_empty() || architecture.is_all() || self.architectures.contains(architecture)
    }

    /// Whether it was asked for.
    pub(crate) fn names(&self, package: &UpstreamPackage) -> bool {
        let is_everything = self.names.is_empty() && self.priorities.is_empty();
        is_everything || self.names.is_match(package.name.as_str()) || self.priorities.contains(&package.priority)
    }

    /// Whether a stanza that cannot be read may be of a package that was asked for.
    pub(crate) fn may_name(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.is_match(name)
    }

    /// Those to keep of the packages that were asked for: each file once, and no more versions than wanted.
    pub(crate) fn keep(&self, packages: Vec<UpstreamPackage>) -> Vec<UpstreamPackage> {
        let mut files: BTreeMap<String, UpstreamPackage> = BTreeMap::new();
        for package in packages {
            files.entry(package.sha256.clone()).or_insert(package);
        }
        let mut kept: Vec<UpstreamPackage> = files.into_values().collect();
        kept.sort_by(|a, b| {
            let place = |it: &UpstreamPackage| (it.component.clone(), it.name.clone(), it.architecture.clone());
            place(a).cmp(&place(b)).then_with(|| b.version.cmp(&a.version))
        });
        if let Some(versions) = self.versions {
            let mut counts: BTreeMap<_, usize> = BTreeMap::new();
            kept.retain(|it| {
                let count = counts.entry((it.component.clone(), it.name.clone(), it.architecture.clone())).or_default();
                *count += 1;
                *count <= versions.get()
            });
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use debian_formats::names::ComponentName;

    fn package(name: &str, version: &str, architecture: &str, priority: &str) -> UpstreamPackage {
        UpstreamPackage {
            name: name.parse().unwrap(),
            version: version.parse().unwrap(),
            architecture: architecture.parse().unwrap(),
            component: ComponentName::main(),
            filename: format!("pool/{name}_{version}_{architecture}.deb"),
            size: 1,
            sha256: format!("{name}{version}{architecture}"),
            priority: priority.to_owned(),
            depends: vec![],
            provides: None,
        }
    }

    fn selection(names: &[&str], priorities: &[&str], architectures: &[&str], versions: usize) -> Selection {
        let names: Vec<Glob> = names.iter().map(|name| Glob::new(name).unwrap()).collect();
        let priorities: Vec<String> = priorities.iter().map(|&it| it.to_owned()).collect();
        let architectures: Vec<Architecture> = architectures.iter().map(|it| it.parse().unwrap()).collect();
        Selection::new(&names, &priorities, &architectures, NonZeroUsize::new(versions)).unwrap()
    }

    #[test]
    fn names_priorities_and_machines_choose() {
        let (hello, htop) = (package("hello", "1", "amd64", "optional"), package("htop", "1", "all", "required"));
        let chosen = |selection: Selection| [selection.names(&hello), selection.names(&htop)];
        assert_eq!(chosen(selection(&[], &[], &[], 0)), [true, true]);
        assert_eq!(chosen(selection(&["hel*"], &[], &[], 0)), [true, false]);
        assert_eq!(chosen(selection(&["hello"], &["required"], &[], 0)), [true, true]);
        assert_eq!(chosen(selection(&["h"], &["important"], &[], 0)), [false, false]);
        let arm = selection(&[], &[], &["arm64"], 0);
        assert_eq!([arm.fits_machine(&hello), arm.fits_machine(&htop)], [false, true]);
    }

    #[test]
    fn of_many_versions_the_newest_stay() {
        let all = ["1", "1.10", "1.9", "1.10"].map(|version| package("hi", version, "all", "")).to_vec();
        let kept = |versions| -> Vec<String> {
            let kept = selection(&[], &[], &[], versions).keep(all.clone());
            kept.iter().map(|package| package.version.to_string()).collect()
        };
        assert_eq!(kept(0), ["1.10", "1.9", "1"]);
        assert_eq!(kept(2), ["1.10", "1.9"]);
    }
}
