//! apt's resolver, asked beforehand and without changing anything.

use super::Device;
use super::process::{ProcessError, Program};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What apt says against installing a set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("apt cannot install this set as it stands: {0}")]
    Refused(String),
    #[error(
        "installing this set would also change other packages ({0}); name them too, so that they are verified and rolled back with it"
    )]
    OtherChanges(String),
}

/// Asks apt whether these files can be installed alone: dependencies met, nothing removed, nothing else added.
pub(crate) fn simulate_install(
    device: &Device,
    files: &[PathBuf],
    names: &[&str],
    log: &Path,
) -> Result<(), PlanError> {
    let root = &device.root;
    let option = |key: &str, value: &Path| format!("{key}={}", value.display());
    let program = Program::new("apt-get")
        .args(["--simulate", "--allow-downgrades", "--no-install-recommends", "-o", "Debug::NoLocking=1"])
        .arg("-o")
        .arg(option("Dir", root))
        .arg("-o")
        .arg(option("Dir::State::status", &root.join("var/lib/dpkg/status")))
        // Its caches and its planner's log would be written into the root; nothing may change yet.
        .args(["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "-o", "Dir::Log::Planner="])
        .arg("install")
        .args(files);
    let finished = program.run(Duration::from_secs(300), log)?;
    if !finished.is_success() {
        return Err(PlanError::Refused(finished.describe()));
    }
    let others = other_changes(&finished.output, names);
    if others.is_empty() { Ok(()) } else { Err(PlanError::OtherChanges(others.join(", "))) }
}

/// The `Inst` and `Remv` lines about packages that were not asked for.
fn other_changes(output: &str, names: &[&str]) -> Vec<String> {
    let change = |line: &str| {
        let (kind, rest) = line.split_once(' ')?;
        let name = rest.split([' ', ':']).next()?;
        let word = match kind {
            "Inst" => "install",
            "Remv" | "Purg" => "remove",
            _ => return None,
        };
        (!names.contains(&name)).then(|| format!("{word} {name}"))
    };
    output.lines().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_to_other_packages_are_named() {
        let output = "NOTE: a simulation\nInst hi [1] (2 stable [all])\nInst libx (3 debian [amd64])\nRemv old [1]\nConf hi (2)\n";
        assert_eq!(other_changes(output, &["hi"]), ["install libx", "remove old"]);
    }
}
