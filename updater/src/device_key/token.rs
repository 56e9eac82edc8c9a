//! A key that a token keeps and uses itself (a TPM, a smart card), through PKCS#11 2.40.

use super::uri::TokenUri;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm as CertificateAlgorithm};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The object identifier of the curve P-256, in DER.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// What stands before a point of P-256 in a SubjectPublicKeyInfo (RFC 5480).
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// An uncompressed point of P-256, and the head of the DER OCTET STRING that it comes in.
const POINT: usize = 65;
const OCTETS_HEAD: [u8; 2] = [0x04, 0x41];

/// A token that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("could not load the PKCS#11 library {module}: {cause}")]
    Module { module: PathBuf, cause: Box<Error> },
    #[error("could not read the token's PIN {path}: {cause}")]
    Pin { path: PathBuf, cause: io::Error },
    #[error("no token of {module} is called {token:?}")]
    NoToken { module: PathBuf, token: String },
    #[error("the token {token:?} has no P-256 key {object:?}")]
    NoKey { token: String, object: String },
    #[error("could not {what} in the token {token:?}: {cause}")]
    Failed { what: &'static str, token: String, cause: Box<Error> },
}

/// Libraries that this process has loaded; each may be initialised only once.
static MODULES: Mutex<Vec<(PathBuf, Pkcs11)>> = Mutex::new(Vec::new());

/// A key within a token.
pub(super) struct TokenKey {
    session: Mutex<Session>,
    private: ObjectHandle,
    point: Vec<u8>,
    token: String,
}

impl TokenKey {
    /// The key of this name.
    pub(super) fn open(uri: &TokenUri) -> Result<Self, TokenError> {
        let session = session(uri)?;
        let failed = failed("look for the key", uri);
        let (Some(private), Some(public)) =
            (find(&session, uri, ObjectClass::PRIVATE_KEY)?, find(&session, uri, ObjectClass::PUBLIC_KEY)?)
        else {
            return Err(no_key(uri));
        };
        let attributes = session.get_attributes(public, &[AttributeType::EcPoint]).map_err(failed)?;
        let point = attributes.into_iter().find_map(|attribute| match attribute {
            Attribute::EcPoint(octets) => octets.strip_prefix(&OCTETS_HEAD).map(<[u8]>::to_vec),
            _ => None,
        });
        let point = point.filter(|point| point.len() == POINT).ok_or_else(|| no_key(uri))?;
        Ok(Self { session: Mutex::new(session), private, point, token: uri.token.clone() })
    }

    /// The same; one that is not there is made, and cannot be taken out of the token.
    pub(super) fn find_or_make(uri: &TokenUri) -> Result<Self, TokenError> {
        match Self::open(uri) {
            Err(TokenError::NoKey { .. }) => {}
            other => return other,
        }
        let label = || Attribute::Label(uri.object.as_bytes().to_vec());
        let public = [Attribute::Token(true), label(), Attribute::Verify(true), Attribute::EcParams(P256.to_vec())];
        let private = [
            Attribute::Token(true),
            label(),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ];
        let made = session(uri)?.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private);
        made.map_err(failed("make a key", uri))?;
        Self::open(uri)
    }

    /// ECDSA with SHA-256, in DER.
    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let digest = Sha256::digest(message);
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let raw = session.sign(&Mechanism::Ecdsa, self.private, &digest);
        let raw = raw.map_err(|cause| TokenError::Failed {
            what: "sign",
            token: self.token.clone(),
            cause: Box::new(cause),
        })?;
        Ok(der(&raw))
    }
}

/// A session of a logged-in user.
fn session(uri: &TokenUri) -> Result<Session, TokenError> {
    let pkcs11 = module(uri)?;
    let failed = failed("open a session", uri);
    let mut slots = pkcs11.get_slots_with_token().map_err(&failed)?.into_iter();
    let slot = slots.find(|slot| pkcs11.get_token_info(*slot).is_ok_and(|info| info.label().trim_end() == uri.token));
    let slot = slot.ok_or_else(|| TokenError::NoToken { module: uri.module.clone(), token: uri.token.clone() })?;
    let session = pkcs11.open_rw_session(slot).map_err(&failed)?;
    if let Some(path) = &uri.pin {
        let pin = std::fs::read_to_string(path).map_err(|cause| TokenError::Pin { path: path.clone(), cause })?;
        match session.login(UserType::User, Some(&AuthPin::new(pin.trim().into()))) {
            // A login holds for all sessions of the process.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(cause) => return Err(failed(cause)),
        }
    }
    Ok(session)
}

fn module(uri: &TokenUri) -> Result<Pkcs11, TokenError> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, loaded)) = modules.iter().find(|(path, _)| *path == uri.module) {
        return Ok(loaded.clone());
    }
    let fail = |cause| TokenError::Module { module: uri.module.clone(), cause: Box::new(cause) };
    let pkcs11 = Pkcs11::new(&uri.module).map_err(fail)?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(fail)?;
    modules.push((uri.module.clone(), pkcs11.clone()));
    Ok(pkcs11)
}

fn find(session: &Session, uri: &TokenUri, class: ObjectClass) -> Result<Option<ObjectHandle>, TokenError> {
    let wanted =
        [Attribute::Class(class), Attribute::KeyType(KeyType::EC), Attribute::Label(uri.object.as_bytes().to_vec())];
    let found = session.find_objects(&wanted).map_err(failed("look for the key", uri))?;
    Ok(found.into_iter().next())
}

fn failed(what: &'static str, uri: &TokenUri) -> impl Fn(Error) -> TokenError {
    move |cause| TokenError::Failed { what, token: uri.token.clone(), cause: Box::new(cause) }
}

fn no_key(uri: &TokenUri) -> TokenError {
    TokenError::NoKey { token: uri.token.clone(), object: uri.object.clone() }
}

/// A signature as TLS and X.509 have it (RFC 3279 §2.2.3), of the two numbers that a token gives one behind the other.
fn der(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at(raw.len() / 2);
    let integers: Vec<u8> = [r, s].into_iter().flat_map(integer).collect();
    [&[0x30, length(&integers)], &integers[..]].concat()
}

/// Without leading zeros, but one before a number that would look negative.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    let mut number = bytes[start..].to_vec();
    if number.first().is_none_or(|byte| *byte >= 0x80) {
        number.insert(0, 0);
    }
    [&[0x02, length(&number)], &number[..]].concat()
}

/// Of at most two numbers of a curve of 256 bits.
fn length(bytes: &[u8]) -> u8 {
    u8::try_from(bytes.len()).unwrap_or(u8::MAX)
}

impl PublicKeyData for TokenKey {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static CertificateAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for TokenKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signature(message).map_err(|error| {
            tracing::error!("{error}");
            rcgen::Error::RemoteKeyError
        })
    }
}

/// The key as TLS uses it.
#[derive(Debug, Clone)]
pub(super) struct TlsKey(Arc<TokenKey>);

impl TlsKey {
    pub(super) fn new(key: TokenKey) -> Self {
        Self(Arc::new(key))
    }
}

impl SigningKey for TlsKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme()).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some([&SPKI_HEAD[..], &self.0.point].concat().into())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.0.signature(message).map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key of the token {:?}", self.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_two_positive_numbers_in_der() {
        assert_eq!(der(&[0, 1, 0x80, 2]), [0x30, 0x08, 0x02, 0x01, 1, 0x02, 0x03, 0, 0x80, 2]);
        assert_eq!(der(&[0, 0, 0, 5]), [0x30, 0x06, 0x02, 0x01, 0, 0x02, 0x01, 5]);
    }
}
