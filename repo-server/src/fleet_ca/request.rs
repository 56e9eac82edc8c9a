//! A certificate signing request (RFC 2986), judged. All that is taken from it is the public key, whose secret half the
//! sender proves to have. The name it asks for is somebody's claim, and its extensions are nobody's business.

use debian_formats::checksums::sha256_hex;
use rcgen::SubjectPublicKeyInfo;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, OID_PKCS1_SHA1WITHRSA,
    OID_SHA1_WITH_RSA,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo as ParsedKey;

/// As AWS IoT has it, in characters.
const LONGEST: usize = 4096;
/// Of an RSA key, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A request whose sender has the key.
#[derive(Debug, Clone)]
pub(crate) struct CertificateRequest {
    pub(super) public_key: SubjectPublicKeyInfo,
    /// The SHA-256 of the SubjectPublicKeyInfo, in hex.
    pub(crate) fingerprint: String,
    /// The common names it asks for. They prove nothing.
    pub(crate) asked_names: Vec<String>,
}

/// A request that no certificate is made for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadRequest {
    #[error("the certificate signing request is longer than {LONGEST} characters")]
    TooLong,
    #[error("this is not one certificate signing request in PEM form (`BEGIN CERTIFICATE REQUEST`)")]
    NotPem,
    #[error("the certificate signing request cannot be read; make it anew, for example with `openssl req -new`")]
    Malformed,
    #[error("the certificate signing request is not signed with its own key, by SHA-256 or better")]
    Signature,
    #[error("the key is not of a kind that is taken: P-256, P-384, or RSA of 2048 to 4096 bits")]
    Key,
}

impl CertificateRequest {
    pub(crate) fn check(text: &str) -> Result<Self, BadRequest> {
        if text.len() > LONGEST {
            return Err(BadRequest::TooLong);
        }
        let parts = pem::parse_many(text).map_err(|_| BadRequest::NotPem)?;
        let [part] = parts.as_slice() else { return Err(BadRequest::NotPem) };
        // The second is an older name of the same.
        if !matches!(part.tag(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
            return Err(BadRequest::NotPem);
        }
        let (rest, request) = X509CertificationRequest::from_der(part.contents()).map_err(|_| BadRequest::Malformed)?;
        if !rest.is_empty() {
            return Err(BadRequest::Malformed);
        }
        let key = &request.certification_request_info.subject_pki;
        check_key(key)?;
        let algorithm = &request.signature_algorithm.algorithm;
        if [OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA].contains(algorithm) || request.verify_signature().is_err() {
            return Err(BadRequest::Signature);
        }
        let names = request.certification_request_info.subject.iter_common_name();
        Ok(Self {
            public_key: SubjectPublicKeyInfo::from_der(key.raw).map_err(|_| BadRequest::Key)?,
            fingerprint: sha256_hex(key.raw),
            asked_names: names.filter_map(|name| name.as_str().ok().map(str::to_owned)).collect(),
        })
    }
}

fn check_key(key: &ParsedKey<'_>) -> Result<(), BadRequest> {
    let algorithm = &key.algorithm;
    let is_good = if algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        curve.is_some_and(|curve| curve == OID_EC_P256 || curve == OID_NIST_EC_P384)
    } else if algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
        matches!(key.parsed(), Ok(PublicKey::RSA(key)) if RSA_BITS.contains(&key.key_size()))
    } else {
        false
    };
    if is_good { Ok(()) } else { Err(BadRequest::Key) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn request(key: &KeyPair) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "lamp-1");
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    #[test]
    fn each_kind_of_key_that_is_taken_is_taken() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let checked = CertificateRequest::check(&request(&key)).unwrap();
            assert_eq!(checked.asked_names, ["lamp-1"], "{algorithm:?}");
            assert_eq!(checked.fingerprint, sha256_hex(&rcgen::PublicKeyData::subject_public_key_info(&key)));
        }
    }

    #[test]
    fn whatever_is_no_proof_of_a_good_key_is_refused() {
        let key = KeyPair::generate().unwrap();
        let good = request(&key);
        let der = pem::parse(&good).unwrap().into_contents();
        let as_pem = |tag: &str, der: &[u8]| pem::encode(&pem::Pem::new(tag, der));
        // A name that was put in behind the signature.
        let mut stolen = der.clone();
        let at = stolen.windows(6).position(|bytes| bytes == b"lamp-1").unwrap();
        stolen[at + 5] = b'2';
        let mut longer = der.clone();
        longer.push(0);
        let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let cases = [
            (as_pem("CERTIFICATE REQUEST", &stolen), BadRequest::Signature),
            (as_pem("CERTIFICATE REQUEST", &longer), BadRequest::Malformed),
            (as_pem("CERTIFICATE REQUEST", &der[..der.len() - 1]), BadRequest::Malformed),
            (as_pem("CERTIFICATE", &der), BadRequest::NotPem),
            (good.clone() + &good, BadRequest::NotPem),
            (String::new(), BadRequest::NotPem),
            ("-----BEGIN CERTIFICATE REQUEST-----\n!!\n-----END CERTIFICATE REQUEST-----".into(), BadRequest::NotPem),
            (good.clone() + &" ".repeat(LONGEST), BadRequest::TooLong),
            (request(&ed25519), BadRequest::Key),
        ];
        for (text, expected) in cases {
            assert_eq!(CertificateRequest::check(&text).unwrap_err(), expected, "{text}");
        }
        assert!(CertificateRequest::check(&good.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")).is_ok());
    }
}
