//! The keys that sign every Release: one, or while it is replaced the old and the new one.

use super::OpenError;
use crate::data_dir::DataDir;
use bytes::Bytes;
use debian_formats::openpgp::{Fingerprint, Keyring, OpenPgpError, SigningKeys};
use std::path::Path;

/// The keys as they were read, and what readers are told of them.
pub(crate) struct RepositoryKeys {
    pub(super) signing: SigningKeys,
    fingerprints: Vec<Fingerprint>,
    public: Keyring,
    /// The public halves, binary.
    pub(super) keyring: Bytes,
    /// The same as text.
    pub(super) armored: String,
}

impl RepositoryKeys {
    /// Reads them, and sees to it that the keyring beside them tells the same.
    pub(super) fn read(dir: &DataDir) -> Result<Self, OpenError> {
        let path = dir.repository_key();
        let text = std::fs::read(&path).map_err(|source| OpenError::Read { path: path.clone(), source })?;
        let keys = Self::parse(&String::from_utf8_lossy(&text));
        let keys = keys.map_err(|source| OpenError::Key { path: path.clone(), source })?;
        keys.tell(&dir.repository_keyring());
        Ok(keys)
    }

    fn parse(text: &str) -> Result<Self, OpenPgpError> {
        let signing = SigningKeys::from_armor(text)?;
        let public = signing.public_keyring();
        let (keyring, armored) = (public.to_bytes()?.into(), public.to_armor()?);
        Ok(Self { fingerprints: signing.fingerprints()?, signing, public, keyring, armored })
    }

    fn tell(&self, path: &Path) {
        if std::fs::read(path).is_ok_and(|found| found == self.keyring) {
            return;
        }
        // Readers get it over HTTP all the same.
        if let Err(error) = durable_files::replace(path, &self.keyring, 0o644) {
            tracing::warn!(%error, "could not write the public keyring of the repository keys");
        }
    }

    pub(super) fn fingerprints(&self) -> &[Fingerprint] {
        &self.fingerprints
    }

    /// Whether each of them signed this InRelease.
    pub(super) fn all_signed(&self, inrelease: &str) -> bool {
        let verified = self.public.verify_cleartext(inrelease);
        verified.is_ok_and(|text| self.fingerprints.iter().all(|key| text.signers.contains(key)))
    }
}
