//! Locking a secret key with a passphrase (RFC 9580, 3.7.2.1).

use super::{OpenPgpError, making};
use pgp::composed::SignedSecretKey;
use pgp::crypto::{hash::HashAlgorithm, sym::SymmetricKeyAlgorithm};
use pgp::types::{Password, S2kParams, StringToKey};

/// The iterations of salted and iterated S2K in their coded form: 65,011,712 bytes are hashed, gpg's own maximum.
const MOST_ITERATIONS: u8 = 255;

/// Locks an open key in the form that bookworm's gpg 2.2 opens: AES-256 in CFB mode, its key from iterated SHA-256.
pub(super) fn lock(key: &mut SignedSecretKey, passphrase: &[u8]) -> Result<(), OpenPgpError> {
    let passphrase = Password::from(passphrase);
    key.primary_key.set_password_with_s2k(&passphrase, s2k()?).map_err(making("locked key"))?;
    for subkey in &mut key.secret_subkeys {
        if !subkey.key.secret_params().is_encrypted() {
            subkey.key.set_password_with_s2k(&passphrase, s2k()?).map_err(making("locked key"))?;
        }
    }
    Ok(())
}

fn s2k() -> Result<S2kParams, OpenPgpError> {
    let (mut salt, mut iv) = ([0; 8], vec![0; SymmetricKeyAlgorithm::AES256.block_size()]);
    for random in [&mut salt[..], &mut iv[..]] {
        getrandom::fill(random).map_err(|error| OpenPgpError::Making {
            what: "locked key",
            reason: format!("no random numbers: {error}"),
        })?;
    }
    let s2k = StringToKey::IteratedAndSalted { hash_alg: HashAlgorithm::Sha256, salt, count: MOST_ITERATIONS };
    Ok(S2kParams::Cfb { sym_alg: SymmetricKeyAlgorithm::AES256, s2k, iv: iv.into() })
}
