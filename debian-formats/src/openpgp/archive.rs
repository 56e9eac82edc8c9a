//! Keys of other people's archives, and what these signed.
//!
//! Ours are Ed25519 without an end ([`super::Keyring`]). Others sign with RSA, with subkeys, with keys that expire, and
//! with several keys at once: Debian's own archive does all four. Whoever reads such an archive has a clock.

use super::keyring::{parse_detached_all, public_keys};
use super::{Fingerprint, OpenPgpError, VerifiedText};
use jiff::{Timestamp, ToSpan as _};
use pgp::composed::{CleartextSignedMessage, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm as Algorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, PublicParams, Tag, VerifyingKey};

/// RSA's modulus and exponent of 2048 bits and more, each with its length before it.
const LEAST_RSA_BYTES: usize = 2 + 256 + 2 + 1;

/// Public keys that are trusted to sign one archive.
#[derive(Debug, Clone)]
pub struct ArchiveKeyring {
    keys: Vec<SignedPublicKey>,
}

impl ArchiveKeyring {
    /// Reads a keyring, binary or armoured. Whether a key may be used shows when a signature names it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpenPgpError> {
        // An archive's keyring may hold old keys of a kind that nobody reads any more.
        let keys: Vec<_> = public_keys(bytes)?.into_iter().filter_map(Result::ok).collect();
        if keys.is_empty() { Err(OpenPgpError::EmptyKeyring) } else { Ok(Self { keys }) }
    }

    /// The keys of both.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        self.keys.extend(other.keys);
        self
    }

    /// Checks a text that is signed within itself, as InRelease is, and gives exactly the text that was signed. One good
    /// signature is enough, and none by a known key may be wrong.
    pub fn verify_cleartext(&self, message: &str, now: Timestamp) -> Result<VerifiedText, OpenPgpError> {
        let (message, _) = CleartextSignedMessage::from_string(message).map_err(|_| {
            OpenPgpError::NoSignature("it is not one text that is signed within itself, or it is damaged".into())
        })?;
        let signed = message.signed_text();
        let signers = self.verify(message.signatures(), signed.as_bytes(), now)?;
        Ok(VerifiedText { signers, text: signed.replace("\r\n", "\n") })
    }

    /// The same for signatures in a file of their own, such as Release.gpg, binary or armoured.
    pub fn verify_detached(
        &self,
        signatures: &[u8],
        data: &[u8],
        now: Timestamp,
    ) -> Result<Vec<Fingerprint>, OpenPgpError> {
        self.verify(&parse_detached_all(signatures)?, data, now)
    }

    fn verify(&self, signatures: &[Signature], data: &[u8], now: Timestamp) -> Result<Vec<Fingerprint>, OpenPgpError> {
        let (mut signers, mut refused, mut unknown) = (Vec::new(), None, None);
        for signature in signatures {
            match self.check(signature, data, now) {
                Ok(signer) => signers.push(signer),
                Err(error @ OpenPgpError::RefusedSignature { .. }) => refused = Some(error),
                Err(error @ OpenPgpError::UnknownSigner { .. }) => unknown = Some(error),
                Err(error) => return Err(error),
            }
        }
        if !signers.is_empty() {
            return Ok(signers);
        }
        // What is wrong with a known key says more than that another one is unknown.
        Err(refused.or(unknown).unwrap_or_else(|| OpenPgpError::NoSignature("it carries none".into())))
    }

    fn check(&self, signature: &Signature, data: &[u8], now: Timestamp) -> Result<Fingerprint, OpenPgpError> {
        let (key, subkey) = self.issuer_of(signature)?;
        let signer = Fingerprint::of(key)?;
        let refuse = |reason| Err(OpenPgpError::RefusedSignature { signer, reason });
        if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
            return refuse("it was made for another purpose than signing data");
        }
        let strong = [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];
        if !signature.hash_alg().is_some_and(|hash| strong.contains(&hash)) {
            return refuse("its hash algorithm is too weak");
        }
        let made = signature.created().and_then(|time| Timestamp::from_second(time.as_secs().into()).ok());
        let Some(made) = made else { return refuse("it does not say when it was made") };
        // Clocks differ a little.
        if made > now.saturating_add(1.hours()).unwrap_or(now) {
            return refuse("it was made in the future; or the clock here is wrong");
        }
        if has_ended(made, signature.signature_expiration_time().map(|time| time.as_secs()), now) {
            return refuse("it has expired");
        }
        if let Err(reason) = may_sign(key, subkey, now) {
            return refuse(reason);
        }
        let verified = match subkey {
            None => signature.verify(&key.primary_key, data),
            Some(subkey) => signature.verify(&subkey.key, data),
        };
        verified.map_err(|_| OpenPgpError::BadSignature { signer })?;
        Ok(signer)
    }

    /// The key that a signature names, and the subkey of it if that made the signature.
    fn issuer_of(
        &self,
        signature: &Signature,
    ) -> Result<(&SignedPublicKey, Option<&SignedPublicSubKey>), OpenPgpError> {
        let (fingerprints, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
        let made_by = |key: &dyn KeyDetails| {
            if fingerprints.is_empty() {
                ids.contains(&&key.legacy_key_id())
            } else {
                fingerprints.contains(&&key.fingerprint())
            }
        };
        for key in &self.keys {
            if made_by(&key.primary_key) {
                return Ok((key, None));
            }
            if let Some(subkey) = key.public_subkeys.iter().find(|subkey| made_by(&subkey.key)) {
                return Ok((key, Some(subkey)));
            }
        }
        Err(OpenPgpError::UnknownSigner {
            signer: match (fingerprints.first(), ids.first()) {
                (Some(fingerprint), _) => format!("the key {fingerprint:X}"),
                (None, Some(id)) => format!("the key id {id}"),
                (None, None) => "an unnamed key".into(),
            },
        })
    }
}

/// Whether a key, or its subkey, may sign data at this time: by its own statements, of which the newest counts (RFC
/// 9580, 5.2.3.10), and never after it was revoked.
fn may_sign(key: &SignedPublicKey, subkey: Option<&SignedPublicSubKey>, now: Timestamp) -> Result<(), &'static str> {
    let primary = &key.primary_key;
    is_strong(primary)?;
    if key.details.revocation_signatures.iter().any(|revocation| revocation.verify_key(primary).is_ok()) {
        return Err("its key was revoked");
    }
    let certified = key.details.users.iter().flat_map(|user| {
        let good = |signature: &&Signature| signature.verify_certification(primary, Tag::UserId, &user.id).is_ok();
        user.signatures.iter().filter(good).max_by_key(|signature| signature.created())
    });
    let direct = key.details.direct_signatures.iter().filter(|signature| signature.verify_key(primary).is_ok());
    let newest = certified
        .filter(|signature| signature.typ() != Some(SignatureType::CertRevocation))
        .chain(direct)
        .max_by_key(|signature| signature.created())
        .ok_or("its key does not certify itself")?;
    if is_over(primary, newest, now) {
        return Err("its key has expired; get the archive's present keyring");
    }
    let Some(subkey) = subkey else {
        return if newest.key_flags().sign() { Ok(()) } else { Err("its key may not sign data") };
    };
    is_strong(&subkey.key)?;
    let bound = |signature: &&Signature| signature.verify_subkey_binding(primary, &subkey.key).is_ok();
    let bindings: Vec<&Signature> = subkey.signatures.iter().filter(bound).collect();
    if bindings.iter().any(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Err("its subkey was revoked");
    }
    let newest = bindings.into_iter().max_by_key(|signature| signature.created());
    let newest = newest.ok_or("its subkey does not belong to its key")?;
    let agrees = |back: &Signature| back.verify_primary_key_binding(&subkey.key, primary).is_ok();
    if !newest.key_flags().sign() || !newest.embedded_signature().is_some_and(agrees) {
        return Err("its subkey may not sign data");
    }
    if is_over(&subkey.key, newest, now) {
        return Err("its subkey has expired; get the archive's present keyring");
    }
    Ok(())
}

fn is_strong(key: &impl VerifyingKey) -> Result<(), &'static str> {
    match (key.algorithm(), key.public_params()) {
        (Algorithm::RSA | Algorithm::RSASign, PublicParams::RSA(rsa)) if rsa.write_len() >= LEAST_RSA_BYTES => Ok(()),
        (Algorithm::EdDSALegacy | Algorithm::Ed25519 | Algorithm::ECDSA, _) => Ok(()),
        _ => Err("its key is of a kind that is too weak: RSA of 2048 bits, ECDSA or Ed25519 is needed"),
    }
}

fn is_over(key: &impl KeyDetails, statement: &Signature, now: Timestamp) -> bool {
    let made = Timestamp::from_second(key.created_at().as_secs().into()).unwrap_or(Timestamp::MAX);
    has_ended(made, statement.key_expiration_time().map(|time| time.as_secs()), now)
}

/// Zero seconds are no end.
fn has_ended(begun: Timestamp, lifetime: Option<u32>, now: Timestamp) -> bool {
    let lifetime = lifetime.filter(|seconds| *seconds > 0);
    lifetime.is_some_and(|seconds| now.as_second() >= begun.as_second().saturating_add(seconds.into()))
}
