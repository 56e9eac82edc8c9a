//! The keys that sign every Release: one, or while it is replaced the old and the new one.

use super::{OpenError, Repository};
use crate::data_dir::DataDir;
use bytes::Bytes;
use debian_formats::openpgp::{Fingerprint, Keyring, OpenPgpError, SigningKeys};
use std::path::Path;
use std::sync::Arc;

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
        let text = read(&path)?;
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

impl Repository {
    /// Reads anew whose packages are taken in, and gives the keys. After an error those of before count. Blocks.
    pub(crate) fn reload_package_keys(&self) -> Result<Vec<Fingerprint>, OpenError> {
        let (keyring, fingerprints) = read_package_keys(&self.dir)?;
        self.package_keys.send_replace(Arc::new(keyring));
        Ok(fingerprints)
    }

    /// Reads the keys anew that sign, and gives them if they are other ones than before: then every Release is to be
    /// [signed anew](Self::sign_anew). After an error those of before sign. Blocks.
    pub(crate) fn reload_keys(&self) -> Result<Option<Vec<Fingerprint>>, OpenError> {
        let keys = RepositoryKeys::read(&self.dir)?;
        if keys.fingerprints() == self.keys().fingerprints() {
            return Ok(None);
        }
        let fingerprints = keys.fingerprints().to_vec();
        self.keys.send_replace(Arc::new(keys));
        Ok(Some(fingerprints))
    }

    pub(super) fn keys(&self) -> Arc<RepositoryKeys> {
        self.keys.borrow().clone()
    }

    pub(super) fn package_keys(&self) -> Arc<Keyring> {
        self.package_keys.borrow().clone()
    }
}

pub(super) fn read_package_keys(dir: &DataDir) -> Result<(Keyring, Vec<Fingerprint>), OpenError> {
    let path = dir.package_keyring();
    let bytes = read(&path)?;
    let wrong = |source| OpenError::Key { path: path.clone(), source };
    let keyring = Keyring::from_bytes(&bytes).map_err(wrong)?;
    let fingerprints = keyring.fingerprints().map_err(wrong)?;
    Ok((keyring, fingerprints))
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    std::fs::read(path).map_err(|source| OpenError::Read { path: path.to_owned(), source })
}
