//! OpenPGP as Debian's tools read it: version 4 keys, Ed25519 (EdDSALegacy, algorithm 22), SHA-2.
//!
//! Bookworm's gpgv, sqv and apt refuse the newer algorithm 27. Any other algorithm is refused here too: no
//! key, no signature, unknown algorithm, revoked key, each is an error and never a pass.

mod archive;
mod key_file;
mod keyring;
mod lock;
mod secret;
mod signing;
mod signing_keys;

pub use archive::ArchiveKeyring;
pub use key_file::{KeyDescription, KeyFile, KeyForm};
pub use keyring::{Keyring, VerifiedText, time_of_detached};
pub use secret::{LockedKey, SecretKey};
pub use signing::SigningKey;
pub use signing_keys::SigningKeys;

use crate::checksums::hex;
use pgp::armor::{self, BlockType};
use pgp::composed::SignedPublicKey;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::ser::Serialize;
use pgp::types::KeyDetails as _;
use std::fmt;

/// What may go wrong with keys and signatures.
#[derive(Debug, thiserror::Error)]
pub enum OpenPgpError {
    /// A file that holds no key of the wanted kind.
    #[error("this is not {expected}: {reason}")]
    NotAKey {
        /// What was wanted.
        expected: &'static str,
        /// What was found instead.
        reason: String,
    },
    /// A keyring without keys.
    #[error("the keyring holds no key")]
    EmptyKeyring,
    /// A key that must not be used.
    #[error("the key {fingerprint} cannot be used: {reason}")]
    UnusableKey {
        /// Of the key.
        fingerprint: Fingerprint,
        /// Why.
        reason: &'static str,
    },
    /// A secret key that needs its passphrase.
    #[error("the key {fingerprint} is locked with a passphrase, and none was given")]
    NoPassphrase {
        /// Of the key.
        fingerprint: Fingerprint,
    },
    /// A passphrase that does not open the key.
    #[error("the passphrase does not open the key {fingerprint}")]
    WrongPassphrase {
        /// Of the key.
        fingerprint: Fingerprint,
    },
    /// Data that should carry a signature and does not, or one that cannot be read.
    #[error("no readable signature: {0}")]
    NoSignature(String),
    /// Signed, but by nobody we know.
    #[error("signed by {signer}, which is not among the trusted keys")]
    UnknownSigner {
        /// The issuer that the signature names.
        signer: String,
    },
    /// A known key's signature that does not fit the data.
    #[error("the signature of {signer} does not fit: the data was changed after it was signed")]
    BadSignature {
        /// The key it claims.
        signer: Fingerprint,
    },
    /// A signature whose kind or algorithm is not allowed.
    #[error("the signature of {signer} is refused: {reason}")]
    RefusedSignature {
        /// The key it claims.
        signer: Fingerprint,
        /// Why.
        reason: &'static str,
    },
    /// The library failed while making a key or signature.
    #[error("could not make the {what}: {reason}")]
    Making {
        /// What was to be made.
        what: &'static str,
        /// The library's words.
        reason: String,
    },
    /// Reading the data to sign or check.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn making(what: &'static str) -> impl Fn(pgp::errors::Error) -> OpenPgpError {
    move |error| OpenPgpError::Making { what, reason: error.to_string() }
}

/// All of these in one armoured block.
fn armored(packets: &Vec<impl Serialize>, kind: BlockType, what: &'static str) -> Result<String, OpenPgpError> {
    let mut text = Vec::new();
    armor::write(packets, kind, &mut text, None, true).map_err(making(what))?;
    String::from_utf8(text).map_err(|error| OpenPgpError::Making { what, reason: error.to_string() })
}

/// A version 4 key's fingerprint: 20 bytes, shown as 40 upper-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 20]);

impl Fingerprint {
    fn of(key: &impl pgp::types::KeyDetails) -> Result<Self, OpenPgpError> {
        let bytes = key.fingerprint();
        bytes.as_bytes().try_into().map(Self).map_err(|_| OpenPgpError::NotAKey {
            expected: "a version 4 OpenPGP key",
            reason: "its version is another one".into(),
        })
    }

    /// The last 8 bytes: what debsig-verify names a policy folder by. 16 upper-case hex digits.
    #[must_use]
    pub fn key_id(&self) -> String {
        hex(&self.0[12..]).to_uppercase()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0).to_uppercase())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As they stand in the key; bytes that are no UTF-8 are shown as such.
fn user_ids(key: &SignedPublicKey) -> Vec<String> {
    key.details.users.iter().map(|user| String::from_utf8_lossy(user.id.id()).into_owned()).collect()
}

fn check_usable(key: &SignedPublicKey) -> Result<(), OpenPgpError> {
    let fingerprint = Fingerprint::of(key)?;
    let unusable = |reason| OpenPgpError::UnusableKey { fingerprint, reason };
    if key.primary_key.algorithm() != PublicKeyAlgorithm::EdDSALegacy {
        return Err(unusable("only Ed25519 keys of OpenPGP version 4 (EdDSA, algorithm 22) are accepted"));
    }
    if !key.details.revocation_signatures.is_empty() {
        return Err(unusable("it was revoked"));
    }
    if key.details.users.is_empty() {
        return Err(unusable("it carries no user id"));
    }
    key.details.verify_bindings(&key.primary_key).map_err(|_| unusable("its own certification does not fit"))?;
    for user in &key.details.users {
        // A later certification replaces an earlier one (RFC 9580, 5.2.3.10).
        let Some(newest) = user.signatures.iter().max_by_key(|signature| signature.created()) else { continue };
        if newest.key_expiration_time().is_some() {
            return Err(unusable(
                "it expires, which a device without a sure clock cannot judge; use one that does not, such as \
                 `debfleet key new` makes, and replace it when its time has come",
            ));
        }
        if !newest.key_flags().sign() {
            return Err(unusable("it may not sign data, or its certification was revoked"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed([seed; 32], "test <t@example.org>", Timestamp::from_second(1_700_000_000).unwrap())
            .unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    #[test]
    fn a_key_survives_its_file_and_signs_the_same_bytes() {
        let first = key(1);
        let again = SigningKey::from_armor(&first.to_armor().unwrap()).unwrap();
        assert_eq!(first.fingerprint().unwrap(), again.fingerprint().unwrap());
        let sign = |key: &SigningKey| key.sign_detached(&b"data"[..], now()).unwrap();
        assert_eq!(sign(&first), sign(&again));
    }

    #[test]
    fn a_keyring_is_read_in_both_forms() {
        let ring = key(1).public_keyring();
        for bytes in [ring.to_bytes().unwrap(), ring.to_armor().unwrap().into_bytes()] {
            assert_eq!(Keyring::from_bytes(&bytes).unwrap().fingerprints().unwrap(), ring.fingerprints().unwrap());
        }
    }

    #[test]
    fn changed_data_and_a_strangers_signature_are_told_apart() {
        let signature = key(1).sign_detached(&b"data"[..], now()).unwrap();
        let ring = key(1).public_keyring();
        assert_eq!(ring.verify_detached(&signature, &b"data"[..]).unwrap(), key(1).fingerprint().unwrap());
        assert!(matches!(ring.verify_detached(&signature, &b"Data"[..]), Err(OpenPgpError::BadSignature { .. })));
        let stranger = key(2).public_keyring();
        assert!(matches!(stranger.verify_detached(&signature, &b"data"[..]), Err(OpenPgpError::UnknownSigner { .. })));
        assert!(matches!(ring.verify_detached(b"", &b"data"[..]), Err(OpenPgpError::NoSignature(_))));
    }

    #[test]
    fn a_cleartext_gives_back_only_what_was_signed() {
        let message = key(1).sign_cleartext("Origin: x   \n- dash\nSuite: y\n", now()).unwrap();
        let ring = key(1).public_keyring();
        assert_eq!(ring.verify_cleartext(&message).unwrap().text.trim_end(), "Origin: x\n- dash\nSuite: y");
        assert!(ring.verify_cleartext(&message.replace("Suite: y", "Suite: z")).is_err());
        assert!(ring.verify_cleartext(&format!("Suite: evil\n{message}")).is_err());
        assert!(ring.verify_cleartext(&format!("{message}Suite: evil\n")).is_err());
        assert!(key(2).public_keyring().verify_cleartext(&message).is_err());
    }

    #[test]
    fn a_public_key_is_no_signing_key_and_the_other_way_round() {
        let ring = key(1).public_keyring().to_armor().unwrap();
        assert!(matches!(SigningKey::from_armor(&ring), Err(OpenPgpError::NotAKey { .. })));
        let secret = key(1).to_armor().unwrap();
        assert!(matches!(Keyring::from_bytes(secret.as_bytes()), Err(OpenPgpError::NotAKey { .. })));
        assert!(Keyring::from_bytes(b"").is_err());
    }
}
