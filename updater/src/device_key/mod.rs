//! The device's key: made here, and never sent. It is PEM, or the URI of a key that a token keeps.

mod token;
mod uri;

pub(crate) use token::TokenError;
pub(crate) use uri::{TokenUri, WrongUri};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::crypto::{CryptoProvider, KeyProvider, aws_lc_rs};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::SigningKey;
use std::borrow::Cow;
use std::sync::Arc;
use token::TokenKey;

/// How the text of a token's key begins.
pub(crate) const TOKEN_SCHEME: &str = "pkcs11:";

/// What a request for a certificate says of its asker. The server believes none of it: it gives the name.
const COMMON_NAME: &str = "debfleet device";

/// A key that cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("could not make the device's key, or a request for a certificate: {0}")]
    Make(rcgen::Error),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Uri(#[from] WrongUri),
    #[error("this is no private key in PEM form: {0}")]
    Pem(String),
}

/// A new P-256 key: in PEM, or made in the token and named by its URI. AWS IoT Core takes no Ed25519.
pub(crate) fn generate(token: Option<&TokenUri>) -> Result<String, KeyError> {
    match token {
        Some(uri) => {
            TokenKey::find_or_make(uri)?;
            Ok(uri.to_string())
        }
        None => Ok(KeyPair::generate().map_err(KeyError::Make)?.serialize_pem()),
    }
}

/// A request for a certificate, in PEM, signed with the key to show that the asker has it.
pub(crate) fn request(key: &str) -> Result<String, KeyError> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    let request = if key.starts_with(TOKEN_SCHEME) {
        parameters.serialize_request(&TokenKey::open(&key.parse()?)?)
    } else {
        parameters.serialize_request(&KeyPair::from_pem(key).map_err(KeyError::Make)?)
    };
    request.and_then(|request| request.pem()).map_err(KeyError::Make)
}

/// The key as TLS is given it: a token's by its URI, which [`provider`] understands.
pub(crate) fn for_tls(key: &str) -> Result<PrivateKeyDer<'static>, KeyError> {
    if key.starts_with(TOKEN_SCHEME) {
        return Ok(PrivateKeyDer::Pkcs8(key.trim().as_bytes().to_vec().into()));
    }
    PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| KeyError::Pem(error.to_string()))
}

/// The same for a library that takes nothing but PEM.
pub(crate) fn in_pem(key: &str) -> Cow<'_, str> {
    if !key.starts_with(TOKEN_SCHEME) {
        return Cow::Borrowed(key);
    }
    Cow::Owned(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(key.trim())))
}

/// Cryptography for TLS that also knows keys of tokens.
pub(crate) fn provider() -> CryptoProvider {
    CryptoProvider { key_provider: &Keys, ..aws_lc_rs::default_provider() }
}

#[derive(Debug)]
struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        let failed = |error: &dyn std::fmt::Display| rustls::Error::General(error.to_string());
        match std::str::from_utf8(key.secret_der()) {
            Ok(text) if text.starts_with(TOKEN_SCHEME) => {
                let uri: TokenUri = text.parse().map_err(|error| failed(&error))?;
                Ok(Arc::new(token::TlsKey::new(TokenKey::open(&uri).map_err(|error| failed(&error))?)))
            }
            _ => aws_lc_rs::default_provider().key_provider.load_private_key(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_signs_a_request_and_serves_tls() {
        let key = generate(None).unwrap();
        assert!(request(&key).unwrap().starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
        assert!(provider().key_provider.load_private_key(for_tls(&key).unwrap()).is_ok());
        assert!(for_tls("nothing").is_err());
        let uri = "pkcs11:token=a;object=b?module-path=/x";
        let wrapped = PrivateKeyDer::from_pem_slice(in_pem(uri).as_bytes()).unwrap();
        assert_eq!(wrapped.secret_der(), uri.as_bytes());
    }

    #[test]
    fn a_token_that_is_not_there_is_named() {
        let uri = "pkcs11:token=fleet;object=device?module-path=/nowhere/module.so";
        let error = request(uri).unwrap_err().to_string();
        assert!(error.contains("/nowhere/module.so"), "{error}");
    }
}
