//! Reading trusted public keys from their files.

use anyhow::{Context, Result, bail};
use debian_formats::openpgp::Keyring;
use std::path::{Path, PathBuf};

/// No keyring of ours is anywhere near as long.
const MAX_KEYRING_BYTES: u64 = 1 << 20;

/// Reads several keyrings as one.
pub(crate) fn read_all(paths: &[PathBuf]) -> Result<Keyring> {
    let rings = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    rings.into_iter().reduce(Keyring::merged).context("no keyring was given")
}

/// Reads trusted public keys.
pub(crate) fn read(path: &Path) -> Result<Keyring> {
    let failed = || format!("could not load the keyring {}", path.display());
    let metadata = path.metadata().with_context(failed)?;
    if metadata.len() > MAX_KEYRING_BYTES {
        bail!("{} is too large for a keyring", path.display());
    }
    let bytes = std::fs::read(path).with_context(failed)?;
    Keyring::from_bytes(&bytes).with_context(|| format!("could not use the keyring {}", path.display()))
}
