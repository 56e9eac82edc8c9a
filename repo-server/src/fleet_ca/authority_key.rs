//! The authority's key: in a file, or behind a command.

use super::sign_command::{self, SignCommandError};
use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey, SubjectPublicKeyInfo};
use std::sync::{Mutex, PoisonError};

/// What signs certificates.
pub(super) enum AuthorityKey {
    File(Box<KeyPair>),
    Command(CommandKey),
}

/// A key that only a command has.
pub(super) struct CommandKey {
    command: String,
    public: SubjectPublicKeyInfo,
    /// Why there was no signature: the library has no room for it in its errors.
    failure: Mutex<Option<SignCommandError>>,
}

impl CommandKey {
    pub(super) fn new(command: String, public: SubjectPublicKeyInfo) -> Self {
        Self { command, public, failure: Mutex::default() }
    }
}

impl AuthorityKey {
    /// Why the last signature failed, if its command did.
    pub(super) fn failure(&self) -> Option<SignCommandError> {
        match self {
            Self::File(_) => None,
            Self::Command(key) => key.failure.lock().unwrap_or_else(PoisonError::into_inner).take(),
        }
    }
}

impl PublicKeyData for AuthorityKey {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::File(key) => key.der_bytes(),
            Self::Command(key) => key.public.der_bytes(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Self::File(key) => PublicKeyData::algorithm(&**key),
            Self::Command(key) => key.public.algorithm(),
        }
    }
}

impl SigningKey for AuthorityKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match self {
            Self::File(key) => key.sign(message),
            Self::Command(key) => sign_command::sign(&key.command, message).map_err(|error| {
                *key.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                rcgen::Error::RemoteKeyError
            }),
        }
    }
}
