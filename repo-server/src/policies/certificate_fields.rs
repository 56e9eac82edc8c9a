//! What a policy may know of a certificate.

use debian_formats::checksums::hex;
use fleet_protocol::policy::CertificateFields;
use std::net::IpAddr;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::parse_x509_pem;
use x509_parser::x509::X509Name;

/// Attribute types (RFC 5280, appendix A.1) and AWS's names of them.
const NAMES: [(&str, &str); 13] = [
    ("2.5.4.46", "DistinguishedNameQualifier"),
    ("2.5.4.6", "Country"),
    ("2.5.4.10", "Organization"),
    ("2.5.4.11", "OrganizationalUnit"),
    ("2.5.4.8", "State"),
    ("2.5.4.3", "CommonName"),
    ("2.5.4.5", "SerialNumber"),
    ("2.5.4.12", "Title"),
    ("2.5.4.4", "Surname"),
    ("2.5.4.42", "GivenName"),
    ("2.5.4.43", "Initials"),
    ("2.5.4.65", "Pseudonym"),
    ("2.5.4.44", "GenerationQualifier"),
];

/// The fields of a certificate in PEM form. One that cannot be read has none.
pub(super) fn fields_of_pem(pem: &str) -> CertificateFields {
    let mut fields = CertificateFields::default();
    let Ok((_, pem)) = parse_x509_pem(pem.as_bytes()) else { return fields };
    if let Ok(certificate) = pem.parse_x509() {
        add_all(&mut fields, &certificate);
    }
    fields
}

fn add_all(fields: &mut CertificateFields, certificate: &X509Certificate<'_>) {
    fields.add("SerialNumber", &hex(certificate.raw_serial()));
    add_name(fields, "Subject", certificate.subject());
    add_name(fields, "Issuer", certificate.issuer());
    for extension in certificate.extensions() {
        let (whose, names) = match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(it) => ("Subject", &it.general_names),
            ParsedExtension::IssuerAlternativeName(it) => ("Issuer", &it.general_names),
            _ => continue,
        };
        for name in names {
            if let Some((field, value)) = alternative(name) {
                fields.add(&format!("{whose}.AlternativeName.{field}"), &value);
            }
        }
    }
}

fn add_name(fields: &mut CertificateFields, whose: &str, name: &X509Name<'_>) {
    for attribute in name.iter_attributes() {
        let kind = attribute.attr_type().to_id_string();
        let known = NAMES.iter().find(|(id, _)| *id == kind);
        if let (Some((_, field)), Ok(value)) = (known, attribute.as_str()) {
            fields.add(&format!("{whose}.{field}"), value);
        }
    }
}

fn alternative(name: &GeneralName<'_>) -> Option<(&'static str, String)> {
    Some(match name {
        GeneralName::RFC822Name(text) => ("RFC822Name", (*text).to_owned()),
        GeneralName::DNSName(text) => ("DNSName", (*text).to_owned()),
        GeneralName::DirectoryName(name) => ("DirectoryName", name.to_string()),
        GeneralName::URI(text) => ("UniformResourceIdentifier", (*text).to_owned()),
        GeneralName::IPAddress(octets) => {
            let four = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from)).ok()?;
            ("IPAddress", address.to_string())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    #[test]
    fn fields_have_awss_names() {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "lamp-1");
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.subject_alt_names =
            vec![SanType::DnsName("lamp.example.org".try_into().unwrap()), SanType::IpAddress([192, 0, 2, 7].into())];
        params.serial_number = Some(vec![0x0a, 0xbc].into());
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let mut wanted = CertificateFields::default();
        for (field, value) in [
            ("SerialNumber", "0abc"),
            ("Subject.CommonName", "lamp-1"),
            ("Subject.Organization", "Example"),
            ("Issuer.CommonName", "lamp-1"),
            ("Issuer.Organization", "Example"),
            ("Subject.AlternativeName.DNSName", "lamp.example.org"),
            ("Subject.AlternativeName.IPAddress", "192.0.2.7"),
        ] {
            wanted.add(field, value);
        }
        assert_eq!(fields_of_pem(&certificate.pem()), wanted);
        assert_eq!(fields_of_pem("no certificate"), CertificateFields::default());
    }
}
