//! Which set of packages apt's steps amount to, and whether it may be installed: a pure decision.

use crate::system::{InstalledPackage, Location, SUITE, Step, Target, Unpack};
use crate::transaction::{PlannedPackage, RemovedPackage, Transaction};
use debian_formats::control::Control;
use debian_formats::packages::PackageEntry;
use debian_formats::relation::read_field;
use debian_formats::{Architecture, PackageName, Version};
use jiff::Timestamp;

/// The package that this program comes in. Removing it would leave nobody to bring the device back.
const OURSELVES: &str = "debfleet-updater";

/// What is known when a set is judged.
pub(crate) struct SetFacts<'a> {
    /// The packages that were asked for, and what the suite holds of them; none: the installed version stays.
    pub(crate) asked: &'a [(PackageName, Option<PackageEntry>)],
    pub(crate) allow_downgrade: bool,
    /// The suite's entries of every package that apt would unpack.
    pub(crate) suite: &'a [PackageEntry],
    /// The entries of the device's own sources, of what the suite does not hold.
    pub(crate) others: &'a [PackageEntry],
    /// Which files apt would take, of what the suite does not hold.
    pub(crate) locations: &'a [Location],
    pub(crate) installed: &'a [InstalledPackage],
    pub(crate) native: &'a Architecture,
    /// The lowest version that a package's signed policy allows.
    pub(crate) floor: &'a dyn Fn(&PackageName) -> Option<Version>,
}

/// A set that may be installed: what the journal keeps, and what is needed to carry it out.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) transaction: Transaction,
    /// One for each package of the transaction, in its order.
    pub(crate) entries: Vec<PackageEntry>,
    /// apt's steps, each package named with its architecture.
    pub(crate) steps: Vec<Step>,
    /// Bytes that the packages before it occupy.
    pub(crate) occupied: u64,
}

type Packages<'a> = Vec<(&'a PlannedPackage, &'a PackageEntry)>;

impl Plan {
    /// Each package with its entry.
    pub(crate) fn packages(&self) -> impl Iterator<Item = (&PlannedPackage, &PackageEntry)> {
        self.transaction.packages.iter().zip(&self.entries)
    }

    /// Those of the suite, and those of the device's own sources.
    pub(crate) fn by_source(&self) -> (Packages<'_>, Packages<'_>) {
        self.packages().partition(|(planned, _)| planned.is_of_suite())
    }

    /// Bytes to download.
    pub(crate) fn download_bytes(&self) -> u64 {
        self.entries.iter().map(PackageEntry::size).sum()
    }

    /// Room that it takes on the device: the downloads, what is unpacked, and the copy of what is there before.
    pub(crate) fn room_bytes(&self) -> u64 {
        let unpacked: u64 = self.entries.iter().map(|entry| unpacked_bytes(entry.control())).sum();
        self.download_bytes().saturating_add(unpacked).saturating_add(self.occupied)
    }
}

/// Why a set is not installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SetRefusal {
    #[error("{name} is held on this device, and the set would {change} it; release it with: apt-mark unhold {name}")]
    Held { name: PackageName, change: &'static str },
    #[error("the set would remove {name}, which was asked for")]
    RemovesAsked { name: PackageName },
    #[error("the set would remove {name}, without which the device does not work")]
    RemovesEssential { name: PackageName },
    #[error(
        "the set would remove {name}, which nothing in it names in Conflicts, Breaks or Replaces; remove it by hand first if that is meant"
    )]
    RemovesOther { name: PackageName },
    #[error(
        "apt would take {name} {version} from {source_name}, but the suite offers {name} itself, and then it comes from nowhere else; publish a version there that fits"
    )]
    OtherSource { name: PackageName, version: Version, source_name: String },
    #[error("apt would install {name} {version} from a file that no index names; run apt-get update and try again")]
    Unknown { name: PackageName, version: Version },
    #[error("{name} {version} is below {floor}, the lowest version that its signed policy still allows on this device")]
    BelowFloor { name: PackageName, version: Version, floor: Version },
    #[error("the set would put {name} back from {installed} to {version}, and nobody asked for that")]
    Downgrade { name: PackageName, version: Version, installed: Version },
    #[error(
        "apt would not install {name} {version}, which was asked for; this is a mistake of its preferences or ours"
    )]
    NotPlanned { name: PackageName, version: Version },
    #[error(
        "the set changes {packages} packages at once, more than the device's journal holds; install fewer at a time"
    )]
    TooLarge { packages: usize },
}

/// `Installed-Size` (in KiB, Policy 5.6.20), or a guess.
pub(crate) fn unpacked_bytes(control: &Control) -> u64 {
    let declared = control.stanza().get("Installed-Size").and_then(|size| size.trim().parse::<u64>().ok());
    declared.map_or(64 << 20, |kib| kib.saturating_mul(1024))
}

/// Judges apt's steps. Every package that the suite offers must come from it; others may only be added by apt.
pub(crate) fn judge(
    steps: &[Step],
    facts: &SetFacts<'_>,
    began: Timestamp,
    from_server: bool,
) -> Result<Plan, SetRefusal> {
    let mut plan = Plan {
        transaction: Transaction { began, packages: Vec::new(), removed: Vec::new(), from_server },
        entries: Vec::new(),
        steps: Vec::new(),
        occupied: 0,
    };
    for step in steps {
        if let Step::Unpack(unpack) = step {
            let (planned, entry, before) = judge_unpack(unpack, facts)?;
            plan.occupied = plan.occupied.saturating_add(before);
            plan.transaction.packages.push(planned);
            plan.entries.push(entry);
        }
    }
    for (name, entry) in facts.asked {
        let Some(version) = entry.as_ref().map(|entry| entry.control().version()) else { continue };
        let fits = |planned: &PlannedPackage| planned.name == *name && planned.to.as_str() == version.as_str();
        if !plan.transaction.packages.iter().any(fits) {
            return Err(SetRefusal::NotPlanned { name: name.clone(), version: version.clone() });
        }
    }
    for step in steps {
        if let Step::Remove(target) = step {
            let Some(package) = facts.installed.iter().find(|found| found.is(target, facts.native)) else { continue };
            judge_removal(package, &plan.entries, facts)?;
            plan.occupied = plan.occupied.saturating_add(package.size);
            plan.transaction.removed.push(RemovedPackage {
                name: package.name.clone(),
                architecture: package.architecture.clone(),
                version: package.version.clone(),
            });
        }
    }
    let packages = plan.transaction.packages.len() + plan.transaction.removed.len();
    if plan.transaction.bytes() > Transaction::MAX_BYTES {
        return Err(SetRefusal::TooLarge { packages });
    }
    plan.steps = steps.iter().map(|step| qualified(step, &plan.transaction, facts.native)).collect();
    Ok(plan)
}

/// A package to unpack: where it comes from, and bytes that its version before occupies.
fn judge_unpack(unpack: &Unpack, facts: &SetFacts<'_>) -> Result<(PlannedPackage, PackageEntry, u64), SetRefusal> {
    let name = unpack.target.name.clone();
    let version = unpack.version.clone();
    let installed = facts.installed.iter().find(|found| found.is(&unpack.target, facts.native));
    if installed.is_some_and(InstalledPackage::is_held) {
        return Err(SetRefusal::Held { name, change: "change" });
    }
    if let Some(floor) = (facts.floor)(&name).filter(|floor| version < *floor) {
        return Err(SetRefusal::BelowFloor { name, version, floor });
    }
    let asked = facts.asked.iter().any(|(wanted, entry)| *wanted == name && entry.is_some());
    if let Some(installed) = installed.filter(|installed| version < installed.version)
        && !(asked && facts.allow_downgrade)
    {
        return Err(SetRefusal::Downgrade { name, version, installed: installed.version.clone() });
    }
    let is_it = |entry: &&PackageEntry| {
        let control = entry.control();
        *control.package() == name
            && control.version().as_str() == version.as_str()
            && *control.architecture() == unpack.architecture
    };
    let is_located = |entry: &&PackageEntry| {
        facts.locations.iter().any(|location| location.sha256 == entry.sha256() && location.size == entry.size())
    };
    let is_in_suite = facts.suite.iter().any(|entry| *entry.control().package() == name);
    // Another source may have the same version with another content; where it has the very same, apt names both.
    let is_from_suite = unpack.source.split(", ").any(|source| source == SUITE);
    let from_suite = facts.suite.iter().find(is_it).filter(|_| is_from_suite);
    let entry = match (is_in_suite, from_suite) {
        (_, Some(entry)) => entry,
        (true, None) => {
            return Err(SetRefusal::OtherSource { name, version, source_name: source_name(unpack) });
        }
        (false, None) => facts
            .others
            .iter()
            .find(|entry| is_it(entry) && is_located(entry))
            .ok_or_else(|| SetRefusal::Unknown { name: name.clone(), version: version.clone() })?,
    };
    let planned = PlannedPackage {
        name,
        architecture: unpack.architecture.clone(),
        from: installed.map(|installed| installed.version.clone()),
        to: version,
        asked,
        source: (!is_in_suite).then(|| source_name(unpack)),
    };
    Ok((planned, entry.clone(), installed.map_or(0, |installed| installed.size)))
}

/// One name is enough, if several have the same package.
fn source_name(unpack: &Unpack) -> String {
    match unpack.source.split(", ").next() {
        Some(first) if !first.is_empty() => first.chars().take(80).collect(),
        _ => "a source without a name".to_owned(),
    }
}

/// Only what something in the set takes the place of may go. What merely depends on it stays, or the set is refused:
/// nobody who signed a package of the set spoke of it.
fn judge_removal(package: &InstalledPackage, entries: &[PackageEntry], facts: &SetFacts<'_>) -> Result<(), SetRefusal> {
    let name = package.name.clone();
    if package.is_held() {
        return Err(SetRefusal::Held { name, change: "remove" });
    }
    if facts.asked.iter().any(|(asked, _)| *asked == name) {
        return Err(SetRefusal::RemovesAsked { name });
    }
    if package.is_essential || name.as_str() == OURSELVES {
        return Err(SetRefusal::RemovesEssential { name });
    }
    if entries.iter().any(|entry| displaces(entry, package)) {
        return Ok(());
    }
    Err(SetRefusal::RemovesOther { name })
}

/// Whether a package names another, or what that provides, in Conflicts, Breaks or Replaces.
fn displaces(entry: &PackageEntry, package: &InstalledPackage) -> bool {
    let relations = |text: &str| read_field(text).unwrap_or_default().into_iter().flatten();
    let provided: Vec<PackageName> = relations(&package.provides).map(|provided| provided.name).collect();
    let stanza = entry.control().stanza();
    let fields = ["Conflicts", "Breaks", "Replaces"].into_iter().filter_map(|field| stanza.get(field));
    fields
        .flat_map(relations)
        .any(|named| (named.name == package.name && named.admits(&package.version)) || provided.contains(&named.name))
}

/// dpkg wants to know which of several architectures is meant.
fn qualified(step: &Step, transaction: &Transaction, native: &Architecture) -> Step {
    let named = |target: &Target, architecture: Option<&Architecture>| Target {
        name: target.name.clone(),
        architecture: architecture.filter(|architecture| !architecture.is_all()).cloned(),
    };
    let means = |target: &Target, architecture: &Architecture| {
        architecture.is_all() || architecture == target.architecture.as_ref().unwrap_or(native)
    };
    match step {
        Step::Unpack(_) => step.clone(),
        Step::Configure(target) => {
            let is_it = |found: &&PlannedPackage| found.name == target.name && means(target, &found.architecture);
            let found = transaction.packages.iter().find(is_it).map(|found| &found.architecture);
            Step::Configure(found.map_or_else(|| target.clone(), |architecture| named(target, Some(architecture))))
        }
        Step::Remove(target) => {
            let is_it = |found: &&RemovedPackage| {
                found.name == target.name && found.architecture.as_ref().is_none_or(|own| means(target, own))
            };
            let found = transaction.removed.iter().find(is_it);
            Step::Remove(found.map_or_else(|| target.clone(), |found| named(target, found.architecture.as_ref())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use debian_formats::checksums::Checksums;

    const FIELDS: &str = "Maintainer: a\nDescription: d\n";

    /// An entry of `name version fields`; its file's content is the text itself.
    fn entry(name: &str, version: &str, fields: &str) -> PackageEntry {
        let control = format!("Package: {name}\nVersion: {version}\nArchitecture: all\n{FIELDS}{fields}");
        let checksums = Checksums::of_bytes(control.as_bytes());
        let control: Control = control.parse().unwrap();
        PackageEntry::from_stanza(&PackageEntry::stanza_for(&control, "pool/x.deb", &checksums)).unwrap()
    }

    fn installed(name: &str, version: &str, provides: &str) -> InstalledPackage {
        InstalledPackage {
            name: name.parse().unwrap(),
            architecture: Some("all".parse().unwrap()),
            version: version.parse().unwrap(),
            status: "install ok installed".into(),
            is_essential: name == "essential",
            provides: provides.into(),
            size: 10,
        }
    }

    fn target(name: &str) -> Target {
        Target { name: name.parse().unwrap(), architecture: None }
    }

    fn unpack(name: &str, version: &str) -> Step {
        Step::Unpack(Unpack {
            target: target(name),
            version: version.parse().unwrap(),
            source: if name == "hi" { SUITE.into() } else { "other:stable".into() },
            architecture: "all".parse().unwrap(),
        })
    }

    /// What comes of installing hi 2 with these fields and these further steps. libx stands in the suite in version 1 and
    /// elsewhere in 1 and 2; liby and hi elsewhere only in 2, and liby's floor is 3.
    fn judged(fields: &str, others: Vec<Step>) -> Result<Plan, String> {
        let (hi, libx) = (entry("hi", "2", fields), entry("libx", "1", ""));
        let elsewhere = [
            entry("libx", "1", "Section: other\n"),
            entry("libx", "2", ""),
            entry("liby", "2", ""),
            entry("libz", "2", ""),
        ];
        let asked = [(hi.control().package().clone(), Some(hi.clone()))];
        let suite = [hi, libx];
        let locate =
            |entry: &PackageEntry| Location { uri: "u".into(), size: entry.size(), sha256: entry.sha256().into() };
        let locations: Vec<Location> = elsewhere.iter().map(locate).collect();
        let facts = SetFacts {
            asked: &asked,
            allow_downgrade: false,
            suite: &suite,
            others: &elsewhere,
            locations: &locations,
            installed: &[
                installed("hi", "1", ""),
                installed("old", "1", "mail-agent (= 2), greeter"),
                installed("essential", "1", ""),
                installed("debfleet-updater", "1", ""),
                installed("libz", "3", ""),
            ],
            native: &"amd64".parse().unwrap(),
            floor: &|name| (name.as_str() == "liby").then(|| "3".parse().unwrap()),
        };
        let mut steps = others;
        steps.push(unpack("hi", "2"));
        judge(&steps, &facts, Timestamp::UNIX_EPOCH, true).map_err(|refusal| refusal.to_string())
    }

    #[track_caller]
    fn assert_refused(fields: &str, others: Vec<Step>, reason: &str) {
        let refusal = judged(fields, others).unwrap_err();
        assert!(refusal.contains(reason), "{refusal}");
    }

    #[test]
    fn what_the_suite_offers_comes_from_nowhere_else() {
        assert_refused("", vec![unpack("libx", "2")], "apt would take libx 2 from other:stable");
        assert_refused("", vec![unpack("libx", "1")], "apt would take libx 1 from other:stable");
    }

    #[test]
    fn another_source_dodges_neither_floor_nor_order() {
        assert_refused("", vec![unpack("liby", "2")], "liby 2 is below 3");
        assert_refused("", vec![unpack("libz", "2")], "put libz back from 3 to 2");
        assert_refused("", vec![unpack("nobody", "2")], "nobody 2 from a file that no index names");
    }

    #[test]
    fn only_what_is_named_is_removed_and_never_what_the_device_needs() {
        let remove = |name: &str| vec![Step::Remove(target(name))];
        for named in ["Conflicts: old", "Breaks: old (<< 2)", "Replaces: greeter", "Conflicts: mail-agent"] {
            let plan = judged(&format!("{named}\n"), remove("old")).unwrap();
            assert_eq!((plan.transaction.removed.len(), plan.occupied), (1, 20), "{named}");
        }
        assert_refused("Depends: old\n", remove("old"), "remove old, which nothing in it names");
        assert_refused("Conflicts: old (<< 1)\n", remove("old"), "remove old, which nothing in it names");
        assert_refused("Conflicts: essential\n", remove("essential"), "without which the device does not work");
        assert_refused("Conflicts: debfleet-updater\n", remove("debfleet-updater"), "without which the device");
        assert_refused("Conflicts: hi\n", remove("hi"), "remove hi, which was asked for");
    }
}
