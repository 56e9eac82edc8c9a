//! OpenPGP as Debian's tools read it: version 4 keys, Ed25519 (EdDSALegacy, algorithm 22), SHA-2.
//!
//! Bookworm's gpgv, sqv and apt refuse the newer algorithm 27. Any other algorithm is refused here too: no
//! key, no signature, unknown algorithm, revoked key, each is an error and never a pass.

use crate::checksums::hex;
use jiff::Timestamp;
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, Deserializable, DetachedSignature, SignedKeyDetails, SignedPublicKey,
    SignedSecretKey,
};
use pgp::crypto::{ed25519, eddsa_legacy, hash::HashAlgorithm, public_key::PublicKeyAlgorithm};
use pgp::packet::{
    Features, KeyFlags, PubKeyInner, PublicKey as PublicKeyPacket, SecretKey as SecretKeyPacket, Signature,
    SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::ser::Serialize as _;
use pgp::types::{
    KeyDetails as _, KeyVersion, PacketHeaderVersion, Password, PlainSecretParams, PublicParams, SecretParams, Tag,
    Timestamp as PgpTimestamp,
};
use std::fmt;
use std::io::Read;

const ARMOR: &[u8] = b"-----BEGIN";
const KEY_BLOCK: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

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

/// A secret Ed25519 key that signs packages or releases. Its file form is an armoured OpenPGP secret key,
/// which `gpg --import` reads.
pub struct SigningKey {
    inner: SignedSecretKey,
}

impl SigningKey {
    /// A new key from the system's random numbers, for `user_id` such as `debfleet package key <ci@example.org>`.
    pub fn generate(user_id: &str, created: Timestamp) -> Result<Self, OpenPgpError> {
        let mut seed = [0u8; 32];
        getrandom::fill(&mut seed)
            .map_err(|error| OpenPgpError::Making { what: "key", reason: format!("no random numbers: {error}") })?;
        Self::from_seed(seed, user_id, created)
    }

    fn from_seed(seed: [u8; 32], user_id: &str, created: Timestamp) -> Result<Self, OpenPgpError> {
        let fail = making("key");
        let created = pgp_time(created);
        let secret = ed25519::SecretKey::try_from_bytes(seed, ed25519::Mode::EdDSALegacy).map_err(&fail)?;
        let plain = PlainSecretParams::EdDSALegacy(eddsa_legacy::SecretKey::Ed25519(secret));
        let public = PublicParams::try_from(&plain).map_err(&fail)?;
        let inner =
            PubKeyInner::new(KeyVersion::V4, PublicKeyAlgorithm::EdDSALegacy, created, None, public).map_err(&fail)?;
        let public = PublicKeyPacket::from_inner(inner).map_err(&fail)?;
        let key = SecretKeyPacket::new(public, SecretParams::Plain(plain)).map_err(&fail)?;

        let mut flags = KeyFlags::default();
        flags.set_certify(true);
        flags.set_sign(true);
        let mut config = signature_config(&key, SignatureType::CertPositive, created).map_err(&fail)?;
        for data in [
            SubpacketData::KeyFlags(flags),
            SubpacketData::Features(Features::default()),
            SubpacketData::IsPrimary(true),
        ] {
            config.hashed_subpackets.push(Subpacket::regular(data).map_err(&fail)?);
        }
        let user = UserId::from_str(PacketHeaderVersion::New, user_id).map_err(&fail)?;
        let certification =
            config.sign_certification(&key, key.public_key(), &Password::empty(), Tag::UserId, &user).map_err(&fail)?;
        let details = SignedKeyDetails::new(vec![], vec![], vec![user.into_signed(certification)], vec![]);
        Ok(Self { inner: SignedSecretKey::new(key, details, vec![], vec![]) })
    }

    /// Reads an armoured secret key without passphrase.
    pub fn from_armor(text: &str) -> Result<Self, OpenPgpError> {
        const EXPECTED: &str = "an armoured OpenPGP secret key";
        let wrong = |reason: String| OpenPgpError::NotAKey { expected: EXPECTED, reason };
        if text.contains("BEGIN PGP PUBLIC KEY BLOCK") {
            return Err(wrong("it is a public key; the secret one is needed to sign".into()));
        }
        let (inner, _) = SignedSecretKey::from_string(text)
            .map_err(|_| wrong("it is damaged, or something else altogether".into()))?;
        if inner.primary_key.secret_params().is_encrypted() {
            return Err(wrong("it is locked with a passphrase".into()));
        }
        let key = Self { inner };
        check_usable(&key.inner.to_public_key())?;
        Ok(key)
    }

    /// The secret key, armoured. Write it with mode 0600.
    pub fn to_armor(&self) -> Result<String, OpenPgpError> {
        self.inner.to_armored_string(ArmorOptions::default()).map_err(making("key file"))
    }

    /// The public half, as a keyring of one key.
    #[must_use]
    pub fn public_keyring(&self) -> Keyring {
        Keyring { keys: vec![self.inner.to_public_key()] }
    }

    /// Of the public key.
    pub fn fingerprint(&self) -> Result<Fingerprint, OpenPgpError> {
        Fingerprint::of(&self.inner.primary_key)
    }

    /// A detached binary signature over everything the reader gives. No signature is dated before its key.
    pub fn sign_detached(&self, data: impl Read, time: Timestamp) -> Result<Vec<u8>, OpenPgpError> {
        let fail = making("signature");
        let config = signature_config(&self.inner.primary_key, SignatureType::Binary, self.not_before_key(time))
            .map_err(&fail)?;
        let signature = config.sign(&self.inner.primary_key, &Password::empty(), data).map_err(&fail)?;
        DetachedSignature::new(signature).to_bytes().map_err(&fail)
    }

    /// As [`Self::sign_detached`], armoured (the form of Release.gpg).
    pub fn sign_detached_armored(&self, data: impl Read, time: Timestamp) -> Result<String, OpenPgpError> {
        let bytes = self.sign_detached(data, time)?;
        let signature = DetachedSignature::from_bytes(bytes.as_slice()).map_err(making("signature"))?;
        signature.to_armored_string(ArmorOptions::default()).map_err(making("signature"))
    }

    /// Signs a text within itself (the form of InRelease). Blanks at line ends are cut first: verifiers do not
    /// hash them.
    pub fn sign_cleartext(&self, text: &str, time: Timestamp) -> Result<String, OpenPgpError> {
        let fail = making("signature");
        let trimmed: Vec<&str> = text.lines().map(str::trim_end).collect();
        let config =
            signature_config(&self.inner.primary_key, SignatureType::Text, self.not_before_key(time)).map_err(&fail)?;
        let message =
            CleartextSignedMessage::new(&trimmed.join("\n"), config, &self.inner.primary_key, &Password::empty())
                .map_err(&fail)?;
        message.to_armored_string(ArmorOptions::default()).map_err(&fail)
    }

    fn not_before_key(&self, time: Timestamp) -> PgpTimestamp {
        pgp_time(time).max(self.inner.primary_key.created_at())
    }
}

/// OpenPGP counts seconds since 1970 in 32 bits.
fn pgp_time(time: Timestamp) -> PgpTimestamp {
    PgpTimestamp::from_secs(u32::try_from(time.as_second().max(0)).unwrap_or(u32::MAX))
}

fn signature_config(
    key: &SecretKeyPacket,
    kind: SignatureType,
    created: PgpTimestamp,
) -> Result<SignatureConfig, pgp::errors::Error> {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), HashAlgorithm::Sha512);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(created))?,
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
    ];
    config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?];
    Ok(config)
}

/// Public keys that are trusted for one purpose.
#[derive(Debug, Clone)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
}

/// A text whose signature was checked.
#[derive(Debug, Clone)]
pub struct VerifiedText {
    /// Exactly what was signed, lines ended by `\n`.
    pub text: String,
    /// Who signed it.
    pub signer: Fingerprint,
}

impl Keyring {
    /// Reads a keyring, binary or armoured. Every key in it must be usable: Ed25519, not revoked.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpenPgpError> {
        let wrong = |error: &dyn fmt::Display| OpenPgpError::NotAKey {
            expected: "an OpenPGP public keyring",
            reason: error.to_string(),
        };
        if bytes.windows(27).any(|window| window == b"BEGIN PGP PRIVATE KEY BLOCK") {
            return Err(wrong(&"it is a secret key; give the public keyring (the .gpg or .asc beside it)"));
        }
        // The library's words are about its own insides.
        let damaged = |_| wrong(&"it is damaged, or holds something else beside keys");
        let mut keys: Vec<SignedPublicKey> = Vec::new();
        if bytes.starts_with(ARMOR) {
            let text = std::str::from_utf8(bytes).map_err(|_| wrong(&"it is armoured, but not text"))?;
            // `cat a.asc b.asc` makes a keyring of several armoured blocks.
            let blocks = text.match_indices(KEY_BLOCK).map(|(at, _)| at);
            let ends = blocks.clone().skip(1).chain([text.len()]);
            for (begin, end) in blocks.zip(ends) {
                let (block, _) = SignedPublicKey::from_armor_many(&bytes[begin..end]).map_err(damaged)?;
                keys.append(&mut block.collect::<Result<_, _>>().map_err(damaged)?);
            }
        } else {
            let found = SignedPublicKey::from_bytes_many(bytes).map_err(damaged)?;
            keys = found.collect::<Result<_, _>>().map_err(damaged)?;
        }
        if keys.is_empty() {
            return Err(OpenPgpError::EmptyKeyring);
        }
        keys.iter().try_for_each(check_usable)?;
        Ok(Self { keys })
    }

    /// The binary form, which `gpgv --keyring`, debsig-verify and apt's Signed-By read.
    pub fn to_bytes(&self) -> Result<Vec<u8>, OpenPgpError> {
        let mut bytes = Vec::new();
        for key in &self.keys {
            key.to_writer(&mut bytes).map_err(making("keyring"))?;
        }
        Ok(bytes)
    }

    /// The armoured form.
    pub fn to_armor(&self) -> Result<String, OpenPgpError> {
        let armored: Result<Vec<String>, _> =
            self.keys.iter().map(|key| key.to_armored_string(ArmorOptions::default())).collect();
        Ok(armored.map_err(making("keyring"))?.concat())
    }

    /// The keys' fingerprints.
    pub fn fingerprints(&self) -> Result<Vec<Fingerprint>, OpenPgpError> {
        self.keys.iter().map(Fingerprint::of).collect()
    }

    /// Checks a detached signature, binary or armoured, over data; says who made it.
    pub fn verify_detached(&self, signature: &[u8], data: impl Read) -> Result<Fingerprint, OpenPgpError> {
        let parsed = if signature.starts_with(ARMOR) {
            DetachedSignature::from_armor_many(signature).and_then(|(found, _)| found.collect::<Result<Vec<_>, _>>())
        } else {
            DetachedSignature::from_bytes_many(signature).and_then(Iterator::collect)
        };
        match parsed.as_deref() {
            Ok([one]) => self.check(&one.signature, &[SignatureType::Binary], data),
            Ok([]) => Err(OpenPgpError::NoSignature("it is empty".into())),
            Ok(_) => Err(OpenPgpError::NoSignature("there is more than one where one belongs".into())),
            Err(_) => Err(OpenPgpError::NoSignature("it is damaged, or no OpenPGP signature at all".into())),
        }
    }

    /// Checks a text that is signed within itself, and gives exactly the text that was signed. With several
    /// signatures, one by a trusted key is enough, and none by a trusted key may be wrong.
    pub fn verify_cleartext(&self, message: &str) -> Result<VerifiedText, OpenPgpError> {
        let (message, _) = CleartextSignedMessage::from_string(message).map_err(|_| {
            OpenPgpError::NoSignature("it is not one text that is signed within itself, or it is damaged".into())
        })?;
        let signed = message.signed_text();
        let kinds = [SignatureType::Text, SignatureType::Binary];
        let mut outcome = Err(OpenPgpError::NoSignature("the text carries none".into()));
        for signature in message.signatures() {
            match self.check(signature, &kinds, signed.as_bytes()) {
                Ok(signer) => outcome = Ok(signer),
                Err(error @ OpenPgpError::UnknownSigner { .. }) => outcome = outcome.or(Err(error)),
                Err(error) => return Err(error),
            }
        }
        Ok(VerifiedText { signer: outcome?, text: signed.replace("\r\n", "\n") })
    }

    fn check(
        &self,
        signature: &Signature,
        kinds: &[SignatureType],
        data: impl Read,
    ) -> Result<Fingerprint, OpenPgpError> {
        let key = self.issuer_of(signature)?;
        let signer = Fingerprint::of(key)?;
        let refused = |reason| OpenPgpError::RefusedSignature { signer, reason };
        if !signature.typ().is_some_and(|kind| kinds.contains(&kind)) {
            return Err(refused("it was made for another purpose than signing data"));
        }
        let strong = [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];
        if !signature.hash_alg().is_some_and(|hash| strong.contains(&hash)) {
            return Err(refused("its hash algorithm is too weak"));
        }
        let subpackets = signature.config().map_or(&[][..], |config| &config.hashed_subpackets);
        if subpackets.iter().any(|subpacket| matches!(subpacket.data, SubpacketData::SignatureExpirationTime(_))) {
            return Err(refused(
                "it expires, which a device without a sure clock cannot judge; make one that does not",
            ));
        }
        if subpackets.iter().any(|subpacket| subpacket.is_critical && !is_understood(&subpacket.data)) {
            return Err(refused("it names a critical condition that is not understood here (RFC 9580, 5.2.3.7)"));
        }
        signature.verify(&key.primary_key, data).map_err(|_| OpenPgpError::BadSignature { signer })?;
        Ok(signer)
    }

    fn issuer_of(&self, signature: &Signature) -> Result<&SignedPublicKey, OpenPgpError> {
        let fingerprints = signature.issuer_fingerprint();
        let ids = signature.issuer_key_id();
        let is_subkey_of = |key: &&SignedPublicKey| {
            key.public_subkeys
                .iter()
                .any(|sub| fingerprints.contains(&&sub.key.fingerprint()) || ids.contains(&&sub.key.legacy_key_id()))
        };
        if let Some(key) = self.keys.iter().find(is_subkey_of) {
            let reason = "it was made by a subkey; sign with the primary key (gpg: --local-user FINGERPRINT!)";
            return Err(OpenPgpError::RefusedSignature { signer: Fingerprint::of(key)?, reason });
        }
        let issued_by = |key: &SignedPublicKey| {
            if fingerprints.is_empty() {
                ids.contains(&&key.legacy_key_id())
            } else {
                fingerprints.contains(&&key.fingerprint())
            }
        };
        self.keys.iter().find(|key| issued_by(key)).ok_or_else(|| OpenPgpError::UnknownSigner {
            signer: match (fingerprints.first(), ids.first()) {
                (Some(fingerprint), _) => format!("the key {fingerprint:X}"),
                (None, Some(id)) => format!("the key id {id}"),
                (None, None) => "an unnamed key".into(),
            },
        })
    }
}

/// What a critical subpacket may say: who signed, and when.
fn is_understood(data: &SubpacketData) -> bool {
    matches!(
        data,
        SubpacketData::SignatureCreationTime(_)
            | SubpacketData::IssuerKeyId(_)
            | SubpacketData::IssuerFingerprint(_)
            | SubpacketData::SignersUserID(_)
    )
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
