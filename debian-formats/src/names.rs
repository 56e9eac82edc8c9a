//! Names that Debian Policy restricts, checked once when they enter.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A text that is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not valid: {rule}")]
pub struct NameError {
    what: &'static str,
    text: String,
    rule: &'static str,
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:ident, $rule:literal) => {
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
                if $check(text) {
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

checked_name!(
    /// A binary package's name (Policy 5.6.1).
    PackageName,
    "package name",
    is_package_name,
    "use two or more of a-z, 0-9, '+', '-', '.', beginning with a letter or digit (Policy 5.6.1)"
);
checked_name!(
    /// A Debian architecture such as `amd64`, or `all` (Policy 5.6.8).
    Architecture,
    "architecture",
    is_lowercase_word,
    "use a-z, 0-9 and '-', as `dpkg --print-architecture` prints it, or `all` (Policy 5.6.8)"
);
checked_name!(
    /// A suite of a repository, such as `stable`: one word, so that it is safe in a path and in a Release file.
    SuiteName,
    "suite",
    is_lowercase_word,
    "use a-z, 0-9 and '-', at most 64 characters, beginning with a letter or digit"
);

checked_name!(
    /// A component of a suite, such as `main`.
    ComponentName,
    "component",
    is_lowercase_word,
    "use a-z, 0-9 and '-', at most 64 characters, beginning with a letter or digit"
);

impl ComponentName {
    /// `main`, where packages are unless somebody says otherwise.
    #[must_use]
    pub fn main() -> Self {
        Self("main".to_owned())
    }
}

impl Architecture {
    /// `all`: for every machine.
    #[must_use]
    pub fn all() -> Self {
        Self("all".to_owned())
    }

    /// The name that this architecture's folders carry below /usr/lib, such as `x86_64-linux-gnu` (the table of
    /// dpkg-architecture(1)); none for `all`, and for ports that are not in it.
    #[must_use]
    pub fn multiarch(&self) -> Option<&'static str> {
        Some(match self.0.as_str() {
            "amd64" => "x86_64-linux-gnu",
            "arm64" => "aarch64-linux-gnu",
            "armel" => "arm-linux-gnueabi",
            "armhf" => "arm-linux-gnueabihf",
            "i386" => "i386-linux-gnu",
            "loong64" => "loongarch64-linux-gnu",
            "mips64el" => "mips64el-linux-gnuabi64",
            "ppc64el" => "powerpc64le-linux-gnu",
            "riscv64" => "riscv64-linux-gnu",
            "s390x" => "s390x-linux-gnu",
            _ => return None,
        })
    }

    /// `all`: the package fits every architecture.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0 == "all"
    }
}

fn is_package_name(text: &str) -> bool {
    (2..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

fn is_lowercase_word(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_names_are_accepted_and_others_are_not() {
        for good in ["hi", "libc6", "g++", "0ad", "libfoo-1.2-dev"] {
            assert!(good.parse::<PackageName>().is_ok(), "{good}");
        }
        for bad in ["", "h", "Hi", "-hi", "hi_there", "hi/../..", "hi\n", "hé"] {
            assert!(bad.parse::<PackageName>().is_err(), "{bad}");
        }
        assert!("../x".parse::<SuiteName>().is_err());
        assert!("amd64\nFoo: bar".parse::<Architecture>().is_err());
    }
}
