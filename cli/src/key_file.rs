//! Reading keys from their files.

use anyhow::{Context, Result, bail};
use debian_formats::openpgp::{Keyring, SigningKey};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// No key of ours is anywhere near as long.
const MAX_KEY_BYTES: u64 = 1 << 20;

fn read(path: &Path) -> Result<Vec<u8>> {
    let metadata = path.metadata().with_context(|| format!("could not read {}", path.display()))?;
    if metadata.len() > MAX_KEY_BYTES {
        bail!("{} is too large for a key", path.display());
    }
    std::fs::read(path).with_context(|| format!("could not read {}", path.display()))
}

/// Reads the secret key, and warns if others can do so too.
pub(crate) fn signing_key(path: &Path) -> Result<SigningKey> {
    let bytes = read(path).context("could not load the key to sign with; make one by `debfleet key new package`")?;
    let mode = path.metadata().map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        eprintln!("warning: {0} is open to others (mode {1:04o}); run: chmod 600 {0}", path.display(), mode & 0o7777);
    }
    let text = String::from_utf8(bytes)
        .with_context(|| format!("{} is not text; expected an armoured OpenPGP secret key", path.display()))?;
    SigningKey::from_armor(&text).with_context(|| format!("could not use the key in {}", path.display()))
}

/// Reads trusted public keys.
pub(crate) fn keyring(path: &Path) -> Result<Keyring> {
    let bytes = read(path).context("could not load the keyring")?;
    Keyring::from_bytes(&bytes).with_context(|| format!("could not use the keyring {}", path.display()))
}
