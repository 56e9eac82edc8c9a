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
    ($(#[$doc:meta])* $name:ident, $what:literal, $is_one:expr, $rule:literal) => {
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
                let is_one: fn(&str) -> bool = $is_one;
                if is_one(text) {
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
    ThingName, "thing name", |text| is_word(text, 128, b":_-"),
    "1 to 128 letters, digits, `:`, `_` and `-`"
);
name!(
    /// The name of a thing group, static or dynamic.
    GroupName, "thing group's name", |text| is_word(text, 128, b":_-"),
    "1 to 128 letters, digits, `:`, `_` and `-`"
);
name!(
    /// The name of a thing type.
    ThingTypeName, "thing type's name", |text| is_word(text, 128, b":_-"),
    "1 to 128 letters, digits, `:`, `_` and `-`"
);
name!(
    /// The name of a policy.
    PolicyName, "policy's name", |text| is_word(text, 128, b"+=,.@_-"),
    "1 to 128 letters, digits and `+=,.@_-`"
);
name!(
    /// The name of a provisioning template.
    TemplateName, "provisioning template's name", |text| is_word(text, 36, b"_-"),
    "1 to 36 letters, digits, `_` and `-`"
);
name!(
    /// The name of a person who signs in. None of its characters means anything in a topic or a topic filter.
    UserName, "user's name", |text| is_word(text, 64, b"@._-"),
    "1 to 64 letters, digits and `@._-`"
);
name!(
    /// The name of a named shadow. One that begins with `$` is the service's own, such as `$package`.
    ShadowName, "shadow's name", |text| is_word(text, 64, b"$:_-"),
    "1 to 64 letters, digits, `$`, `:`, `_` and `-`"
);

name!(
    /// A certificate's id: the SHA-256 of its DER form, in lower-case hex.
    CertificateId, "certificate id",
    |text| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
    "64 lower-case hex digits"
);

/// Up to so many letters, digits and these.
fn is_word(text: &str, longest: usize, others: &[u8]) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
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
