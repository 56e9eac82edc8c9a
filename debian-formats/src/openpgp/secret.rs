//! A secret key as its file holds it: open, or locked with a passphrase (RFC 9580, 3.7.2.1).

use super::signing::SigningKey;
use super::{Fingerprint, Keyring, OpenPgpError, check_usable};
use pgp::composed::{Deserializable, SignedSecretKey};
use pgp::types::{Password, S2kParams, SecretParams, StringToKey};

const BLOCK: &str = "-----BEGIN PGP PRIVATE KEY BLOCK-----";

/// A secret key that was read and found usable.
pub enum SecretKey {
    /// It can sign.
    Open(SigningKey),
    /// It can sign once its passphrase is given.
    Locked(LockedKey),
}

/// A secret key behind a passphrase.
pub struct LockedKey {
    inner: SignedSecretKey,
}

impl SecretKey {
    /// Reads one armoured secret key, locked or not.
    pub fn from_armor(text: &str) -> Result<Self, OpenPgpError> {
        let wrong = |reason: &str| OpenPgpError::NotAKey {
            expected: "an armoured OpenPGP secret key",
            reason: reason.to_owned(),
        };
        if text.contains("BEGIN PGP PUBLIC KEY BLOCK") {
            return Err(wrong("it is a public key; the secret one is needed to sign"));
        }
        if text.matches(BLOCK).count() > 1 {
            return Err(wrong("it is several; give the one that shall sign"));
        }
        let damaged = |_| wrong("it is damaged, or something else altogether");
        let (found, _) = SignedSecretKey::from_armor_many(text.as_bytes()).map_err(damaged)?;
        let mut found = found.collect::<Result<Vec<_>, _>>().map_err(damaged)?;
        let inner = match (found.pop(), found.is_empty()) {
            (Some(key), true) => key,
            (None, _) => return Err(wrong("it is damaged, or something else altogether")),
            (Some(_), false) => return Err(wrong("it is several; give the one that shall sign")),
        };
        check_usable(&inner.to_public_key())?;
        match inner.primary_key.secret_params() {
            SecretParams::Plain(_) => Ok(Self::Open(SigningKey::of_open(inner))),
            SecretParams::Encrypted(locked) if is_stub(locked.string_to_key_params()) => Err(wrong(
                "its secret part is elsewhere, as on a card or in the key it was exported from; export it whole \
                 (gpg --armor --export-secret-keys)",
            )),
            SecretParams::Encrypted(_) => Ok(Self::Locked(LockedKey { inner })),
        }
    }

    /// The public half, as a keyring of one key; needs no passphrase.
    #[must_use]
    pub fn public_keyring(&self) -> Keyring {
        match self {
            Self::Open(key) => key.public_keyring(),
            Self::Locked(key) => Keyring::of_keys(vec![key.inner.to_public_key()]),
        }
    }
}

impl SigningKey {
    /// Reads an armoured secret key that is not locked; see [`SecretKey`] for one that may be.
    pub fn from_armor(text: &str) -> Result<Self, OpenPgpError> {
        match SecretKey::from_armor(text)? {
            SecretKey::Open(key) => Ok(key),
            SecretKey::Locked(key) => Err(OpenPgpError::NoPassphrase { fingerprint: key.fingerprint()? }),
        }
    }
}

impl LockedKey {
    /// Of the public key.
    pub fn fingerprint(&self) -> Result<Fingerprint, OpenPgpError> {
        Fingerprint::of(&self.inner.primary_key)
    }

    /// Opens it.
    pub fn unlock(mut self, passphrase: &[u8]) -> Result<SigningKey, OpenPgpError> {
        let fingerprint = self.fingerprint()?;
        let opened = self.inner.primary_key.remove_password(&Password::from(passphrase));
        opened.map_err(|_| OpenPgpError::WrongPassphrase { fingerprint })?;
        Ok(SigningKey::of_open(self.inner))
    }
}

/// GNU's extension 101 to S2K marks a secret part that was left out.
pub(super) fn is_stub(params: &S2kParams) -> bool {
    matches!(
        params,
        S2kParams::Cfb { s2k: StringToKey::Private { .. }, .. }
            | S2kParams::MalleableCfb { s2k: StringToKey::Private { .. }, .. }
    )
}
