//! The names of AWS IoT's resources, each with the alphabet and length that AWS gives it in its API reference.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A text that cannot be such a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what}: {rule}")]
pub struct NameError {
    what: &'static str,
    text: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $longest:literal, $allowed:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let known = |byte: u8| byte.is_ascii_alphanumeric() || $allowed.contains(&byte);
                if (1..=$longest).contains(&text.len()) && text.bytes().all(known) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError { what: $what, text: text.chars().take(80).collect(), rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of a thing. None of its characters means anything in a topic or a topic filter.
    ThingName, "thing name", 128, b":_-",
    "1 to 128 letters, digits, `:`, `_` and `-`"
);
name!(
    /// The name of a thing group, static or dynamic.
    GroupName, "thing group's name", 128, b":_-",
    "1 to 128 letters, digits, `:`, `_` and `-`"
);
name!(
    /// The name of a thing type.
    ThingTypeName, "thing type's name", 128, b":_-",
    "1 to 128 letters, digits, `:`, `_` and `-`"
);
name!(
    /// The name of a policy.
    PolicyName, "policy's name", 128, b"+=,.@_-",
    "1 to 128 letters, digits and `+=,.@_-`"
);
name!(
    /// The name of a provisioning template.
    TemplateName, "provisioning template's name", 36, b"_-",
    "1 to 36 letters, digits, `_` and `-`"
);
name!(
    /// The name of a person who signs in. None of its characters means anything in a topic or a topic filter.
    UserName, "user's name", 64, b"@._-",
    "1 to 64 letters, digits and `@._-`"
);
name!(
    /// The name of a named shadow. One that begins with `$` is the service's own, such as `$package`.
    ShadowName, "shadow's name", 64, b"$:_-",
    "1 to 64 letters, digits, `$`, `:`, `_` and `-`"
);

/// A certificate's id: the SHA-256 of its DER form, in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateId(String);

impl CertificateId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CertificateId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            let text = text.chars().take(80).collect();
            Err(NameError { what: "certificate id", text, rule: "64 lower-case hex digits" })
        }
    }
}

impl TryFrom<String> for CertificateId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<CertificateId> for String {
    fn from(id: CertificateId) -> String {
        id.0
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_thing_widens_a_topic_filter() {
        for bad in ["", "a/b", "+", "#", "a b", "\u{e9}", "a\0", &"a".repeat(129)] {
            assert!(bad.parse::<ThingName>().is_err(), "{bad:?}");
        }
        for good in ["lamp-1", "urn:dev:1_A", &"a".repeat(128)] {
            assert_eq!(good.parse::<ThingName>().unwrap().as_str(), good);
        }
        assert!("a+b".parse::<PolicyName>().is_ok() && "$package".parse::<ShadowName>().is_ok());
        assert!("A".repeat(64).parse::<CertificateId>().is_err());
    }

    #[test]
    fn a_shape_with_a_bad_name_is_not_read() {
        assert!(serde_json::from_str::<ThingName>("\"a/b\"").is_err());
    }
}
