//! What a policy may know of a client: `${…}` in a resource, and the keys of conditions.

use std::fmt;

/// The fields of a name in a certificate (RFC 5280 §4.1.2.4), in AWS's words.
const NAME_FIELDS: [&str; 13] = [
    "DistinguishedNameQualifier",
    "Country",
    "Organization",
    "OrganizationalUnit",
    "State",
    "CommonName",
    "SerialNumber",
    "Title",
    "Surname",
    "GivenName",
    "Initials",
    "Pseudonym",
    "GenerationQualifier",
];

/// The alternative names of a certificate (RFC 5280 §4.2.1.6), in AWS's words.
const ALTERNATIVE_NAMES: [&str; 5] =
    ["RFC822Name", "DNSName", "DirectoryName", "UniformResourceIdentifier", "IPAddress"];

/// Something that a policy may know of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Variable {
    ClientId,
    SourceIp,
    ThingName,
    ThingTypeName,
    Attribute(String),
    IsAttached,
    CertificateId,
    /// A field of the certificate, by its name behind `iot:Certificate.`.
    Certificate(String, Which),
    /// The names of all fields that the certificate has.
    CertificateKeys,
    ConnectAttributes,
    LastWillTopic,
}

/// Which value of a field that may have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// By its number; AWS counts from 0.
    Number(usize),
    All,
}

impl Variable {
    /// By its name, which IAM compares without case.
    pub(super) fn named(name: &str) -> Option<Self> {
        let plain = [
            ("iot:ClientId", Self::ClientId),
            ("aws:SourceIp", Self::SourceIp),
            ("iot:Connection.Thing.ThingName", Self::ThingName),
            ("iot:Connection.Thing.ThingTypeName", Self::ThingTypeName),
            ("iot:Connection.Thing.IsAttached", Self::IsAttached),
            ("iot:CertificateId", Self::CertificateId),
            ("iot:Certificate.AvailableKeys", Self::CertificateKeys),
            ("iot:ConnectAttributes", Self::ConnectAttributes),
            ("iot:LastWillTopic", Self::LastWillTopic),
        ];
        if let Some((_, variable)) = plain.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Some(variable);
        }
        if let Some(attribute) = behind(name, "iot:Connection.Thing.Attributes[") {
            // AWS's alphabet for the name of an attribute.
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.,@/:#-".contains(&byte);
            let attribute = attribute.strip_suffix(']')?;
            return ((1..=128).contains(&attribute.len()) && attribute.bytes().all(known))
                .then(|| Self::Attribute(attribute.to_owned()));
        }
        certificate_field(behind(name, "iot:Certificate.")?)
    }

    /// Whether it may have more than one value, and is no text to be put into another.
    pub(super) fn has_many(&self) -> bool {
        matches!(self, Self::ConnectAttributes | Self::CertificateKeys | Self::Certificate(_, Which::All))
    }

    /// Whether its value may stand in a topic, a topic filter or the path of a thing. MQTT's wildcards may never: a
    /// client of the id `+` would be given the topics of all. Nor may a further level that the client itself chose.
    pub(super) fn may_stand_in_topic(&self, value: &str) -> bool {
        let forbidden: &[char] = match self {
            Self::ClientId | Self::Certificate(..) => &['+', '#', '/'],
            _ => &['+', '#'],
        };
        !value.contains(forbidden)
    }
}

fn behind<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// A field, and which of its values: `Subject.Country`, `Subject.Country.1`, `Subject.Country.List`.
fn certificate_field(text: &str) -> Option<Variable> {
    let (name, which) = match text.rsplit_once('.') {
        Some((name, "List")) => (name, Which::All),
        Some((name, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, Which::Number(number.parse().ok()?))
        }
        _ => (text, Which::Number(0)),
    };
    let known = ["Subject", "Issuer"].into_iter().flat_map(|whose| {
        let fields = NAME_FIELDS.iter().map(move |field| format!("{whose}.{field}"));
        fields.chain(ALTERNATIVE_NAMES.iter().map(move |field| format!("{whose}.AlternativeName.{field}")))
    });
    let mut known = known.chain(["SerialNumber".to_owned()]);
    known.find(|known| known.eq_ignore_ascii_case(name)).map(|name| Variable::Certificate(name, which))
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientId => f.write_str("iot:ClientId"),
            Self::SourceIp => f.write_str("aws:SourceIp"),
            Self::ThingName => f.write_str("iot:Connection.Thing.ThingName"),
            Self::ThingTypeName => f.write_str("iot:Connection.Thing.ThingTypeName"),
            Self::Attribute(name) => write!(f, "iot:Connection.Thing.Attributes[{name}]"),
            Self::IsAttached => f.write_str("iot:Connection.Thing.IsAttached"),
            Self::CertificateId => f.write_str("iot:CertificateId"),
            Self::Certificate(name, Which::Number(0)) => write!(f, "iot:Certificate.{name}"),
            Self::Certificate(name, Which::Number(number)) => write!(f, "iot:Certificate.{name}.{number}"),
            Self::Certificate(name, Which::All) => write!(f, "iot:Certificate.{name}.List"),
            Self::CertificateKeys => f.write_str("iot:Certificate.AvailableKeys"),
            Self::ConnectAttributes => f.write_str("iot:ConnectAttributes"),
            Self::LastWillTopic => f.write_str("iot:LastWillTopic"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_is_read_as_it_is_shown_and_a_misspelt_one_not() {
        for name in [
            "iot:ClientId",
            "aws:SourceIp",
            "iot:Connection.Thing.ThingName",
            "iot:Connection.Thing.ThingTypeName",
            "iot:Connection.Thing.Attributes[site.code]",
            "iot:Connection.Thing.IsAttached",
            "iot:CertificateId",
            "iot:Certificate.Subject.CommonName",
            "iot:Certificate.Issuer.Country.1",
            "iot:Certificate.Subject.Organization.List",
            "iot:Certificate.Subject.AlternativeName.DNSName",
            "iot:Certificate.SerialNumber",
            "iot:Certificate.AvailableKeys",
            "iot:ConnectAttributes",
            "iot:LastWillTopic",
        ] {
            assert_eq!(Variable::named(name).map(|variable| variable.to_string()).as_deref(), Some(name));
        }
        assert_eq!(Variable::named("IOT:clientid"), Some(Variable::ClientId));
        for bad in [
            "iot:Thing.ThingName",
            "iot:Connection.Thing.Attributes[]",
            "iot:Connection.Thing.Attributes[a b]",
            "iot:Connection.Thing.Attributes[a",
            "iot:Certificate.Subject",
            "iot:Certificate.Subject.CommonName.x",
            "iot:Certificate.Subject.CommonName.99999999999999999999",
            "iot:Certificate.\u{e9}",
            "aws:username",
            "",
        ] {
            assert_eq!(Variable::named(bad), None, "{bad}");
        }
    }
}
