//! What a certificate says, as far as the server asks.

use super::serial::Serial;
use debian_formats::checksums::sha256_hex;
use fleet_protocol::names::CertificateId;
use jiff::Timestamp;
use x509_parser::parse_x509_certificate;

/// A certificate that a client showed in a handshake, which proved that it has the key and that the fleet CA issued it.
/// Whether it counts is the registry's to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    pub(crate) id: CertificateId,
    pub(crate) serial: Serial,
    pub(crate) subject: String,
    /// The subject's one common name, if it has one and no more.
    pub(crate) common_name: Option<String>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// The SHA-256 of its SubjectPublicKeyInfo, in hex.
    pub(crate) public_key: String,
}

impl ClientCertificate {
    /// None: it is not a certificate that could be revoked.
    pub(crate) fn of_der(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = parse_x509_certificate(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let time = |at: x509_parser::time::ASN1Time| Timestamp::from_second(at.timestamp()).ok();
        let mut names = certificate.subject().iter_common_name();
        let common_name = match (names.next(), names.next()) {
            (Some(name), None) => name.as_str().ok().map(str::to_owned),
            _ => None,
        };
        let validity = certificate.validity();
        Some(Self {
            id: sha256_hex(der).parse().ok()?,
            serial: Serial::new(certificate.raw_serial())?,
            subject: certificate.subject().to_string(),
            common_name,
            not_before: time(validity.not_before)?,
            not_after: time(validity.not_after)?,
            public_key: sha256_hex(certificate.public_key().raw),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    #[test]
    fn a_name_counts_only_when_it_is_the_only_one() {
        let named = |names: &[&str]| {
            let mut params = CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            for name in names {
                params.distinguished_name.push(DnType::CommonName, *name);
            }
            let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
            ClientCertificate::of_der(&der).unwrap()
        };
        assert_eq!(named(&["lamp-1"]).common_name.as_deref(), Some("lamp-1"));
        assert_eq!(named(&[]).common_name, None);
        let shown = named(&["lamp-1"]);
        assert_eq!((shown.subject.as_str(), shown.id.as_str().len()), ("CN=lamp-1", 64));
        assert!(shown.not_before < shown.not_after);
        assert!(ClientCertificate::of_der(b"no certificate").is_none());
    }
}
