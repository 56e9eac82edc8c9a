//! What packages occupy on the device: read from dpkg's database.

use crate::repository::VerifiedPackage;
use crate::snapshot::{PackageFootprint, Scope, displaced_packages};
use crate::system::Device;
use crate::transaction::RemovedPackage;
use fleet_protocol::update_policy::{UpdatePolicy, path_in_package};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

struct Footprint {
    paths: Vec<String>,
    state: Vec<String>,
}

/// The scope of installing these packages and removing others: what they, the versions before them and the packages
/// they displace own.
pub(crate) fn scope_of(device: &Device, packages: &[VerifiedPackage], removed: &[RemovedPackage]) -> io::Result<Scope> {
    let mut footprints = Vec::new();
    let mut names: BTreeSet<String> = removed.iter().map(|gone| gone.name.to_string()).collect();
    for package in packages {
        let control = package.control();
        names.insert(control.package().to_string());
        names.extend(displaced_packages(control));
        footprints.push(Footprint { paths: package.paths().to_vec(), state: package.policy().state.clone() });
    }
    for name in &names {
        footprints
            .push(Footprint { paths: owned_paths(&device.root, name)?, state: installed_state(&device.root, name)? });
    }
    let footprints = footprints.iter().map(|f| PackageFootprint { paths: &f.paths, state: &f.state });
    Ok(Scope::of(footprints, &read_or_empty(&device.root.join("var/lib/dpkg/diversions"))?))
}

/// The names of systemd units among the paths that these packages own, now and when they are installed.
pub(crate) fn units_of(
    device: &Device,
    packages: &[VerifiedPackage],
    removed: &[RemovedPackage],
) -> io::Result<Vec<String>> {
    let mut units = BTreeSet::new();
    let names = packages.iter().map(|package| package.control().package());
    let mut paths: Vec<String> = packages.iter().flat_map(|package| package.paths().to_vec()).collect();
    for name in names.chain(removed.iter().map(|gone| &gone.name)) {
        paths.extend(owned_paths(&device.root, name.as_str())?);
    }
    for path in &paths {
        let unit = path.rsplit_once("lib/systemd/system/").map(|(_, unit)| unit);
        let kinds = [".service", ".socket", ".timer", ".path"];
        units.extend(
            unit.filter(|unit| !unit.contains('/') && kinds.iter().any(|kind| unit.ends_with(kind))).map(str::to_owned),
        );
    }
    Ok(units.into_iter().collect())
}

/// The lines of a package's `.list` files; a multi-arch package's carries its architecture.
pub(crate) fn owned_paths(root: &Path, name: &str) -> io::Result<Vec<String>> {
    let folder = root.join("var/lib/dpkg/info");
    let mut paths = Vec::new();
    let entries = match folder.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(paths),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let stem = file.strip_suffix(".list").and_then(|stem| stem.split(':').next());
        if stem == Some(name) {
            paths.extend(read_or_empty(&entry.path())?.lines().map(str::to_owned));
        }
    }
    Ok(paths)
}

/// The state that the installed version declares. A policy that cannot be read was not ours.
fn installed_state(root: &Path, name: &str) -> io::Result<Vec<String>> {
    let text = read_or_empty(&root.join(path_in_package(name)))?;
    Ok(UpdatePolicy::parse(&text).map(|policy| policy.state).unwrap_or_default())
}

fn read_or_empty(path: &Path) -> io::Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(String::new())
        }
        Err(error) => Err(io::Error::new(error.kind(), format!("could not read {}: {error}", path.display()))),
    }
}
