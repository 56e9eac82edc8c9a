//! The names of stored files.

use super::StorageError;
use std::fmt;
use std::str::FromStr;

/// The longest key that S3 takes, less room for a prefix.
const MAX_LENGTH: usize = 900;

/// The name of a stored file, such as `pool/main/h/hi/hi_1_all.deb` or `indexes/sha256/<hex>`. It stays below the place
/// that it is joined to: no part of it is empty or begins with a dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = StorageError;
    fn from_str(text: &str) -> Result<Self, StorageError> {
        let is_part = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._~:".contains(&b))
        };
        if text.len() <= MAX_LENGTH && text.split('/').all(is_part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(StorageError::Key(text.chars().take(200).collect()))
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_leave_its_place() {
        for good in ["pool/main/h/hi/hi_1.0~rc1+b2-1_all.deb", "indexes/sha256/00ff", "a"] {
            assert_eq!(good.parse::<Key>().unwrap().as_str(), good);
        }
        let long = "a".repeat(MAX_LENGTH + 1);
        for bad in
            ["", "/", "/a", "a/", "a//b", "..", "a/../b", "./a", "a/.b", "a\\b", "a b", "a\n", "\u{e9}", "a%2f", &long]
        {
            assert!(bad.parse::<Key>().is_err(), "{bad:?}");
        }
    }
}
