//! A new version must not bring privileges that the device's owner never saw.

use crate::repository::VerifiedPackage;
use debian_formats::{PackageName, Version};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A file that gives its privileges to whoever runs it, where there was none before.
#[derive(Debug, thiserror::Error)]
#[error(
    "refused {name} {version}: /{path} would be setuid or setgid (mode {mode:o}), and is not so on this device; if that is meant, add {name} to `allow-setuid` in the configuration"
)]
pub(crate) struct NewPrivilege {
    name: PackageName,
    version: Version,
    path: String,
    mode: u32,
}

/// Refuses a package that makes a file setuid or setgid which is not so yet, unless its name is in `allowed`.
pub(crate) fn demand_no_new_privileges(
    root: &Path,
    package: &VerifiedPackage,
    allowed: &[PackageName],
) -> Result<(), NewPrivilege> {
    let name = package.control().package();
    if allowed.contains(name) {
        return Ok(());
    }
    let is_new = |(path, mode): &&(String, u32)| {
        let found = root.join(path).symlink_metadata().ok().filter(|found| found.is_file());
        mode & !found.map_or(0, |found| found.mode()) & 0o6000 != 0
    };
    package.privileged().iter().find(is_new).map_or(Ok(()), |(path, mode)| {
        let (name, version, path) = (name.clone(), package.control().version().clone(), path.clone());
        Err(NewPrivilege { name, version, path, mode: *mode })
    })
}
