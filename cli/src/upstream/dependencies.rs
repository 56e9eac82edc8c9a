//! What the chosen packages of an archive need. Pure.

use debian_formats::relation::{Alternative, read_field};
use debian_formats::upstream::UpstreamPackage;
use debian_formats::{Architecture, Version};
use std::collections::{BTreeMap, BTreeSet};

/// The best first. Where several packages provide what is needed, apt's choice is also by priority.
const PRIORITIES: [&str; 4] = ["required", "important", "standard", "optional"];

/// The chosen packages with what they depend on (Pre-Depends, Depends) among the others; and what nothing there satisfies.
///
/// Of alternatives one is taken: what is chosen already, else the first that there is, else what provides it. So it is
/// with each architecture by itself.
pub(crate) fn with_dependencies(
    mut chosen: Vec<UpstreamPackage>,
    others: &[UpstreamPackage],
) -> (Vec<UpstreamPackage>, BTreeSet<String>) {
    let (mut needed, mut missing) = (BTreeMap::new(), BTreeSet::new());
    let machines = chosen.iter().chain(others).map(|package| &package.architecture);
    let mut machines: BTreeSet<Architecture> = machines.filter(|it| !it.is_all()).cloned().collect();
    if machines.is_empty() {
        machines.insert(Architecture::all());
    }
    for machine in &machines {
        let mut closure = Closure::new(machine, &chosen, others);
        closure.follow();
        needed.extend(closure.taken);
        missing.extend(closure.missing);
    }
    let held: BTreeSet<String> = chosen.iter().map(|package| package.sha256.clone()).collect();
    let new = needed.into_iter().filter(|(sha256, _)| !held.contains(*sha256));
    let new: Vec<UpstreamPackage> = new.map(|(_, package)| package.clone()).collect();
    chosen.extend(new);
    (chosen, missing)
}

/// What one architecture needs.
struct Closure<'a> {
    /// By name, and by what they provide, with the version that they provide it in.
    packages: BTreeMap<&'a str, Vec<(&'a UpstreamPackage, &'a Version)>>,
    provided: BTreeMap<String, Vec<(&'a UpstreamPackage, Option<Version>)>>,
    /// By SHA-256.
    taken: BTreeMap<&'a str, &'a UpstreamPackage>,
    /// Whose dependencies are to be looked at.
    waiting: Vec<&'a UpstreamPackage>,
    missing: BTreeSet<String>,
}

impl<'a> Closure<'a> {
    fn new(machine: &Architecture, chosen: &'a [UpstreamPackage], others: &'a [UpstreamPackage]) -> Self {
        let fits = |package: &&UpstreamPackage| package.architecture.is_all() || package.architecture == *machine;
        let waiting: Vec<&UpstreamPackage> = chosen.iter().filter(fits).collect();
        let mut packages: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        let mut provided: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for package in chosen.iter().chain(others).filter(fits) {
            packages.entry(package.name.as_str()).or_default().push((package, &package.version));
            let provides = package.provides.as_deref().and_then(|text| read_field(text).ok());
            for Alternative { name, version } in provides.into_iter().flatten().flatten() {
                let version = version.map(|(_, version)| version);
                provided.entry(name.to_string()).or_default().push((package, version));
            }
        }
        packages.values_mut().for_each(|versions| versions.sort_by(|(_, a), (_, b)| b.cmp(a)));
        let rank = |package: &UpstreamPackage| PRIORITIES.iter().position(|it| *it == package.priority).unwrap_or(4);
        for providers in provided.values_mut() {
            providers.sort_by_key(|(package, _)| (rank(package), package.name.clone()));
        }
        let taken = waiting.iter().map(|package| (package.sha256.as_str(), *package)).collect();
        Self { packages, provided, taken, waiting, missing: BTreeSet::new() }
    }

    fn follow(&mut self) {
        while let Some(package) = self.waiting.pop() {
            for field in &package.depends {
                // What cannot be read, the server will refuse.
                for alternatives in read_field(field).unwrap_or_default() {
                    self.satisfy(package, &alternatives);
                }
            }
        }
    }

    fn satisfy(&mut self, package: &UpstreamPackage, alternatives: &[Alternative]) {
        let real: Vec<&'a UpstreamPackage> = alternatives.iter().flat_map(|it| self.named(it)).collect();
        let provided: Vec<&'a UpstreamPackage> = alternatives.iter().flat_map(|it| self.providing(it)).collect();
        let mut all = real.iter().chain(&provided);
        if all.any(|candidate| self.taken.contains_key(candidate.sha256.as_str())) {
            return;
        }
        match real.first().or(provided.first()) {
            Some(candidate) => {
                self.taken.insert(&candidate.sha256, candidate);
                self.waiting.push(candidate);
            }
            None => {
                let names: Vec<&str> = alternatives.iter().map(|it| it.name.as_str()).collect();
                self.missing.insert(format!("{}, which {} needs", names.join(" or "), package.name));
            }
        }
    }

    fn named(&self, wanted: &Alternative) -> Vec<&'a UpstreamPackage> {
        let versions = self.packages.get(wanted.name.as_str()).into_iter().flatten();
        versions.filter(|(_, version)| wanted.admits(version)).map(|(package, _)| *package).collect()
    }

    /// A version that is demanded must be said (Policy 7.5).
    fn providing(&self, wanted: &Alternative) -> Vec<&'a UpstreamPackage> {
        let providers = self.provided.get(wanted.name.as_str()).into_iter().flatten();
        let admits = |version: &Option<Version>| {
            version.as_ref().map_or(wanted.version.is_none(), |version| wanted.admits(version))
        };
        providers.filter(|(_, version)| admits(version)).map(|(package, _)| *package).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use debian_formats::names::ComponentName;

    fn package(name: &str, version: &str, architecture: &str, depends: &str, provides: &str) -> UpstreamPackage {
        UpstreamPackage {
            name: name.parse().unwrap(),
            version: version.parse().unwrap(),
            architecture: architecture.parse().unwrap(),
            component: ComponentName::main(),
            filename: String::new(),
            size: 1,
            sha256: format!("{name} {version} {architecture}"),
            priority: if name.starts_with("base") { "required" } else { "optional" }.to_owned(),
            depends: (!depends.is_empty()).then(|| depends.to_owned()).into_iter().collect(),
            provides: (!provides.is_empty()).then(|| provides.to_owned()),
        }
    }

    fn needed(chosen: &[UpstreamPackage], others: &[UpstreamPackage]) -> (Vec<String>, Vec<String>) {
        let (all, missing) = with_dependencies(chosen.to_vec(), others);
        let mut new: Vec<String> = all.into_iter().skip(chosen.len()).map(|package| package.sha256).collect();
        new.sort();
        (new, missing.into_iter().collect())
    }

    #[test]
    fn what_is_needed_comes_and_what_that_needs() {
        let app = package("app", "1", "amd64", "libone (>= 2), libtwo:any", "");
        let others = [
            package("libone", "1", "amd64", "", ""),
            package("libone", "3", "amd64", "data", ""),
            package("libone", "3", "arm64", "data", ""),
            package("libtwo", "1", "amd64", "app", ""),
            package("data", "1", "all", "", ""),
            package("unneeded", "1", "all", "", ""),
        ];
        let (new, missing) = needed(&[app], &others);
        assert_eq!(new, ["data 1 all", "libone 3 amd64", "libtwo 1 amd64"]);
        assert!(missing.is_empty());
    }

    #[test]
    fn of_alternatives_one_is_taken() {
        let app = |depends| package("app", "1", "all", depends, "");
        let others = [
            package("zz-mail", "1", "all", "", "mail-agent"),
            package("base-mail", "1", "all", "", "mail-agent (= 2)"),
            package("real", "1", "all", "", ""),
        ];
        assert_eq!(needed(&[app("gone | real | zz-mail")], &others).0, ["real 1 all"]);
        assert_eq!(needed(&[app("mail-agent")], &others).0, ["base-mail 1 all"]);
        assert_eq!(needed(&[app("mail-agent (>= 2)")], &others).0, ["base-mail 1 all"]);
        // What is chosen already will do.
        assert!(needed(&[app("real | zz-mail"), others[0].clone()], &others).0.is_empty());
        assert!(needed(&[app("mail-agent"), others[0].clone()], &others).0.is_empty());
        assert_eq!(needed(&[app("mail-agent (>= 3) | gone")], &others).1, ["mail-agent or gone, which app needs"]);
    }
}
