//! What the installed versions say about their update.

use fleet_protocol::update_policy::{UpdatePolicy, path_in_package};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const MAX_BYTES: u64 = 1 << 20;

/// An installed update.toml that cannot be obeyed.
#[derive(Debug, thiserror::Error)]
#[error("could not read the update policy {path}: {problem}")]
pub(crate) struct InstalledPolicyError {
    path: PathBuf,
    problem: String,
}

/// The policy that the installed version of a package brought; the defaults if it brought none.
pub(crate) fn installed_policy(root: &Path, package: &str) -> Result<UpdatePolicy, InstalledPolicyError> {
    let path = root.join(path_in_package(package));
    let fail = |problem: String| InstalledPolicyError { path: path.clone(), problem };
    let mut text = String::new();
    match std::fs::File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text)) {
        Ok(_) => UpdatePolicy::parse(&text).map_err(|error| fail(error.to_string())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(UpdatePolicy::default())
        }
        Err(error) => Err(fail(error.to_string())),
    }
}
