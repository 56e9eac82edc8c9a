//! A file of keys of whatever kind: public or secret, binary or armoured. Secret parts are never opened here.

use super::keyring::Keyring;
use super::secret::is_stub;
use super::{OpenPgpError, check_usable, user_ids};
use crate::checksums::hex;
use jiff::Timestamp;
use pgp::composed::{Deserializable, SignedPublicKey, SignedSecretKey};
use pgp::types::{KeyDetails as _, SecretParams};

const ARMOR: &str = "-----BEGIN PGP ";
const PUBLIC: &str = "PUBLIC KEY BLOCK-----";
const SECRET: &str = "PRIVATE KEY BLOCK-----";

/// The keys of one file.
pub struct KeyFile {
    keys: Vec<Key>,
}

enum Key {
    Public(SignedPublicKey),
    Secret(SignedSecretKey),
}

/// What a key is, for people. Nothing of it vouches that the key may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDescription {
    /// In upper-case hex; 40 digits for version 4.
    pub fingerprint: String,
    /// The last 16 digits of it.
    pub key_id: String,
    /// Whose it says it is.
    pub user_ids: Vec<String>,
    /// When it says it was made.
    pub created: Option<Timestamp>,
    /// Such as `Ed25519`.
    pub algorithm: String,
    /// What the file holds of it.
    pub form: KeyForm,
    /// Why debfleet does not use such a key; none: it does.
    pub problem: Option<String>,
}

/// What a file holds of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// The public half alone.
    Public,
    /// Both halves, open to whoever can read the file.
    Secret,
    /// Both halves, the secret one behind a passphrase.
    Locked,
    /// A note that the secret half is elsewhere, such as on a card.
    Elsewhere,
}

impl KeyFile {
    /// Reads all keys of a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpenPgpError> {
        let wrong =
            |reason: &str| OpenPgpError::NotAKey { expected: "a file of OpenPGP keys", reason: reason.to_owned() };
        let damaged = |_| wrong("it is damaged, or holds something else beside keys");
        let mut keys = Vec::new();
        if bytes.trim_ascii_start().starts_with(ARMOR.as_bytes()) {
            let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is armoured, but not text"))?;
            for block in text.split(ARMOR).skip(1) {
                let whole = format!("{ARMOR}{block}");
                if block.starts_with(PUBLIC) {
                    let (found, _) = SignedPublicKey::from_armor_many(whole.as_bytes()).map_err(damaged)?;
                    extend(&mut keys, found, Key::Public).map_err(damaged)?;
                } else if block.starts_with(SECRET) {
                    let (found, _) = SignedSecretKey::from_armor_many(whole.as_bytes()).map_err(damaged)?;
                    extend(&mut keys, found, Key::Secret).map_err(damaged)?;
                } else {
                    return Err(wrong("it holds an armoured block that is no key"));
                }
            }
        } else if bytes.first().copied().and_then(packet_tag) == Some(SECRET_KEY_TAG) {
            extend(&mut keys, SignedSecretKey::from_bytes_many(bytes).map_err(damaged)?, Key::Secret)
                .map_err(damaged)?;
        } else {
            extend(&mut keys, SignedPublicKey::from_bytes_many(bytes).map_err(damaged)?, Key::Public)
                .map_err(damaged)?;
        }
        if keys.is_empty() { Err(wrong("it holds no key")) } else { Ok(Self { keys }) }
    }

    /// The public halves of all its keys, which must be usable.
    pub fn public_keyring(self) -> Result<Keyring, OpenPgpError> {
        let public = |key| match key {
            Key::Public(key) => key,
            Key::Secret(key) => key.to_public_key(),
        };
        let keys: Vec<SignedPublicKey> = self.keys.into_iter().map(public).collect();
        keys.iter().try_for_each(check_usable)?;
        Ok(Keyring::of_keys(keys))
    }

    /// What each of its keys is; needs no passphrase.
    #[must_use]
    pub fn describe(&self) -> Vec<KeyDescription> {
        self.keys.iter().map(Key::describe).collect()
    }

    /// Whether it holds anything secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.keys.iter().any(|key| matches!(key, Key::Secret(_)))
    }
}

impl Key {
    fn describe(&self) -> KeyDescription {
        let (public, form) = match self {
            Self::Public(key) => (key.clone(), KeyForm::Public),
            Self::Secret(key) => {
                let form = match key.primary_key.secret_params() {
                    SecretParams::Plain(_) => KeyForm::Secret,
                    SecretParams::Encrypted(locked) if is_stub(locked.string_to_key_params()) => KeyForm::Elsewhere,
                    SecretParams::Encrypted(_) => KeyForm::Locked,
                };
                (key.to_public_key(), form)
            }
        };
        let problem = match check_usable(&public) {
            Ok(()) => None,
            Err(OpenPgpError::UnusableKey { reason, .. }) => Some(reason.to_owned()),
            Err(error) => Some(error.to_string()),
        };
        KeyDescription {
            fingerprint: hex(public.fingerprint().as_bytes()).to_uppercase(),
            key_id: public.legacy_key_id().to_string().to_uppercase(),
            user_ids: user_ids(&public),
            created: Timestamp::from_second(public.created_at().as_secs().into()).ok(),
            algorithm: match u8::from(public.algorithm()) {
                22 => "Ed25519".to_owned(),
                _ => format!("{:?}", public.algorithm()),
            },
            form,
            problem,
        }
    }
}

fn extend<K>(
    keys: &mut Vec<Key>,
    found: impl Iterator<Item = Result<K, pgp::errors::Error>>,
    kind: fn(K) -> Key,
) -> Result<(), pgp::errors::Error> {
    for key in found {
        keys.push(kind(key?));
    }
    Ok(())
}

const SECRET_KEY_TAG: u8 = 5;

/// The kind of a packet by its first byte, in the old and the new form (RFC 9580, 4.2).
fn packet_tag(byte: u8) -> Option<u8> {
    match (byte & 0x80 != 0, byte & 0x40 != 0) {
        (false, _) => None,
        (true, true) => Some(byte & 0x3f),
        (true, false) => Some(byte >> 2 & 0x0f),
    }
}
