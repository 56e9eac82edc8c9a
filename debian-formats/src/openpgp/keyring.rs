//! The public half: trusted keys, and what they signed.

use super::{Fingerprint, OpenPgpError, armored, check_usable, making, user_ids};
use jiff::Timestamp;
use pgp::armor::BlockType;
use pgp::composed::{CleartextSignedMessage, Deserializable, DetachedSignature, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::KeyDetails as _;
use std::io::Read;

const ARMOR: &[u8] = b"-----BEGIN";
const KEY_BLOCK: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

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
    /// Who of the trusted keys signed it: at least one.
    pub signers: Vec<Fingerprint>,
}

impl Keyring {
    /// Of keys that were found usable.
    pub(super) fn of_keys(keys: Vec<SignedPublicKey>) -> Self {
        Self { keys }
    }

    /// Reads a keyring, binary or armoured. Every key in it must be usable: Ed25519, not revoked.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpenPgpError> {
        // The library's words are about its own insides.
        let damaged = |_| not_a_keyring("it is damaged, or holds something else beside keys");
        let keys = public_keys(bytes)?.into_iter().collect::<Result<Vec<_>, _>>().map_err(damaged)?;
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

    /// The armoured form: all keys in one block, as gpg exports them.
    pub fn to_armor(&self) -> Result<String, OpenPgpError> {
        armored(&self.keys, BlockType::PublicKey, "keyring")
    }

    /// The keys' fingerprints.
    pub fn fingerprints(&self) -> Result<Vec<Fingerprint>, OpenPgpError> {
        self.keys.iter().map(Fingerprint::of).collect()
    }

    /// The user ids of one of its keys, such as `Acme releases <release@acme.example>`. Empty: it has no such key.
    #[must_use]
    pub fn user_ids(&self, of: &Fingerprint) -> Vec<String> {
        let key = self.keys.iter().find(|key| Fingerprint::of(*key).is_ok_and(|found| found == *of));
        key.map(user_ids).unwrap_or_default()
    }

    /// All keys of both, each once. Of a key that stands in both, this one's form is kept.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        for key in other.keys {
            if !self.keys.iter().any(|mine| mine.fingerprint() == key.fingerprint()) {
                self.keys.push(key);
            }
        }
        self
    }

    /// Checks a detached signature, binary or armoured, over data; says who made it.
    pub fn verify_detached(&self, signature: &[u8], data: impl Read) -> Result<Fingerprint, OpenPgpError> {
        self.check(&parse_detached(signature)?, &[SignatureType::Binary], data)
    }

    /// Checks a text that is signed within itself, and gives exactly the text that was signed. With several
    /// signatures, as while a key is replaced by another, one by a trusted key is enough, and none that names a trusted
    /// key may be wrong, as apt demands. Those of other keys count for nothing, whatever they are.
    pub fn verify_cleartext(&self, message: &str) -> Result<VerifiedText, OpenPgpError> {
        let (message, _) = CleartextSignedMessage::from_string(message).map_err(|_| {
            OpenPgpError::NoSignature("it is not one text that is signed within itself, or it is damaged".into())
        })?;
        let signed = message.signed_text();
        let kinds = [SignatureType::Text, SignatureType::Binary];
        let (mut signers, mut stranger) = (Vec::new(), None);
        for signature in message.signatures() {
            match self.check(signature, &kinds, signed.as_bytes()) {
                Ok(signer) => signers.push(signer),
                Err(error @ OpenPgpError::UnknownSigner { .. }) => stranger = stranger.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        if signers.is_empty() {
            return Err(stranger.unwrap_or_else(|| OpenPgpError::NoSignature("the text carries none".into())));
        }
        Ok(VerifiedText { signers, text: signed.replace("\r\n", "\n") })
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

/// When a detached signature says it was made. None: it does not say so, or cannot be read. Only a signature that
/// fits vouches for it.
#[must_use]
pub fn time_of_detached(signature: &[u8]) -> Option<Timestamp> {
    let created = parse_detached(signature).ok()?.created()?;
    Timestamp::from_second(created.as_secs().into()).ok()
}

/// The keys of a keyring, binary or armoured; each as it could be read.
pub(super) fn public_keys(bytes: &[u8]) -> Result<Vec<Result<SignedPublicKey, pgp::errors::Error>>, OpenPgpError> {
    if bytes.windows(27).any(|window| window == b"BEGIN PGP PRIVATE KEY BLOCK") {
        return Err(not_a_keyring("it is a secret key; give the public keyring (the .gpg or .asc beside it)"));
    }
    let damaged = |_| not_a_keyring("it is damaged, or holds something else beside keys");
    if !bytes.starts_with(ARMOR) {
        return Ok(SignedPublicKey::from_bytes_many(bytes).map_err(damaged)?.collect());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| not_a_keyring("it is armoured, but not text"))?;
    // `cat a.asc b.asc` makes a keyring of several armoured blocks.
    let blocks = text.match_indices(KEY_BLOCK).map(|(at, _)| at);
    let ends = blocks.clone().skip(1).chain([text.len()]);
    let mut keys = Vec::new();
    for (begin, end) in blocks.zip(ends) {
        let (block, _) = SignedPublicKey::from_armor_many(&bytes[begin..end]).map_err(damaged)?;
        keys.extend(block);
    }
    Ok(keys)
}

fn not_a_keyring(reason: &str) -> OpenPgpError {
    OpenPgpError::NotAKey { expected: "an OpenPGP public keyring", reason: reason.to_owned() }
}

/// All signatures of a file, binary or armoured.
pub(super) fn parse_detached_all(signatures: &[u8]) -> Result<Vec<Signature>, OpenPgpError> {
    let parsed = if signatures.starts_with(ARMOR) {
        DetachedSignature::from_armor_many(signatures).and_then(|(found, _)| found.collect::<Result<Vec<_>, _>>())
    } else {
        DetachedSignature::from_bytes_many(signatures).and_then(Iterator::collect)
    };
    let parsed =
        parsed.map_err(|_| OpenPgpError::NoSignature("it is damaged, or no OpenPGP signature at all".into()))?;
    Ok(parsed.into_iter().map(|one| one.signature).collect())
}

fn parse_detached(signature: &[u8]) -> Result<Signature, OpenPgpError> {
    let mut parsed = parse_detached_all(signature)?;
    match (parsed.pop(), parsed.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(OpenPgpError::NoSignature("there is more than one where one belongs".into())),
        (None, _) => Err(OpenPgpError::NoSignature("it is empty".into())),
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
