//! What the targets share.

use std::path::PathBuf;

/// A file for readers that want a path; the next input overwrites it. It lies in `TMPDIR`, which `cargo xtask fuzz` sets
/// and removes, because a target that found something does not get to clean up.
#[expect(clippy::disallowed_methods, reason = "only this process reads it")]
pub fn file_of(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("fuzz-{}", std::process::id())).join(name);
    let folder = path.parent().unwrap_or(&path);
    if let Err(error) = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, bytes)) {
        eprintln!("could not write {}: {error}", path.display());
        std::process::exit(1);
    }
    path
}
