//! The secret half: making keys and signatures.

use super::{Fingerprint, Keyring, OpenPgpError, armored, lock, making, user_ids};
use jiff::Timestamp;
use pgp::armor::BlockType;
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, Deserializable, DetachedSignature, SignedKeyDetails, SignedPublicKey,
    SignedSecretKey,
};
use pgp::crypto::{ed25519, eddsa_legacy, hash::HashAlgorithm, public_key::PublicKeyAlgorithm};
use pgp::packet::{
    Features, KeyFlags, PubKeyInner, PublicKey as PublicKeyPacket, SecretKey as SecretKeyPacket, SignatureConfig,
    SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::ser::Serialize as _;
use pgp::types::{
    KeyDetails as _, KeyVersion, PacketHeaderVersion, Password, PlainSecretParams, PublicParams, SecretParams, Tag,
    Timestamp as PgpTimestamp,
};
use std::io::{BufReader, Read};
use zeroize::Zeroizing;

/// Bytes that are read at once to be hashed.
const BUFFER: usize = 1 << 17;

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

    pub(super) fn from_seed(seed: [u8; 32], user_id: &str, created: Timestamp) -> Result<Self, OpenPgpError> {
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

    /// Of an open secret key that was found usable.
    pub(super) fn of_open(inner: SignedSecretKey) -> Self {
        Self { inner }
    }

    /// The secret key, armoured. Write it with mode 0600.
    pub fn to_armor(&self) -> Result<Zeroizing<String>, OpenPgpError> {
        self.inner.to_armored_string(ArmorOptions::default()).map(Zeroizing::new).map_err(making("key file"))
    }

    /// The secret key, locked with a passphrase and armoured.
    pub fn to_locked_armor(&self, passphrase: &[u8]) -> Result<Zeroizing<String>, OpenPgpError> {
        let mut locked = self.inner.clone();
        lock::lock(&mut locked, passphrase)?;
        locked.to_armored_string(ArmorOptions::default()).map(Zeroizing::new).map_err(making("key file"))
    }

    /// The public half, as a keyring of one key.
    #[must_use]
    pub fn public_keyring(&self) -> Keyring {
        Keyring::of_keys(vec![self.public_key()])
    }

    pub(super) fn public_key(&self) -> SignedPublicKey {
        self.inner.to_public_key()
    }

    /// Whose it says it is.
    #[must_use]
    pub fn user_ids(&self) -> Vec<String> {
        user_ids(&self.inner.to_public_key())
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
        let data = BufReader::with_capacity(BUFFER, data);
        let signature = config.sign(&self.inner.primary_key, &Password::empty(), data).map_err(&fail)?;
        DetachedSignature::new(signature).to_bytes().map_err(&fail)
    }

    /// Signs a text within itself (the form of a .buildinfo). Blanks at line ends are cut first: verifiers do not
    /// hash them.
    pub fn sign_cleartext(&self, text: &str, time: Timestamp) -> Result<String, OpenPgpError> {
        sign_cleartext(std::slice::from_ref(self), text, time)
    }

    fn not_before_key(&self, time: Timestamp) -> PgpTimestamp {
        pgp_time(time).max(self.inner.primary_key.created_at())
    }
}

/// A text with the signatures of all these keys in one block.
pub(super) fn sign_cleartext(keys: &[SigningKey], text: &str, time: Timestamp) -> Result<String, OpenPgpError> {
    let fail = making("signature");
    let trimmed: Vec<&str> = text.lines().map(str::trim_end).collect();
    let message = CleartextSignedMessage::new_many(&trimmed.join("\n"), |text| {
        let sign = |key: &SigningKey| {
            let packet = &key.inner.primary_key;
            let config = signature_config(packet, SignatureType::Text, key.not_before_key(time))?;
            config.sign(packet, &Password::empty(), text.as_bytes())
        };
        keys.iter().map(sign).collect()
    });
    message.and_then(|message| message.to_armored_string(ArmorOptions::default())).map_err(&fail)
}

/// The detached signatures of all these keys in one armoured block.
pub(super) fn sign_detached_armored(keys: &[SigningKey], data: &[u8], time: Timestamp) -> Result<String, OpenPgpError> {
    let fail = making("signature");
    let sign = |key: &SigningKey| {
        let bytes = key.sign_detached(data, time)?;
        DetachedSignature::from_bytes(bytes.as_slice()).map_err(&fail)
    };
    let signatures = keys.iter().map(sign).collect::<Result<Vec<_>, _>>()?;
    armored(&signatures, BlockType::Signature, "signature")
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
    // As strong as the key, and what processors have instructions for.
    let mut config = SignatureConfig::v4(kind, key.algorithm(), HashAlgorithm::Sha256);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(created))?,
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
    ];
    config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?];
    Ok(config)
}
