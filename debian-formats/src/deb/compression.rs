//! How the members of a package are compressed.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A compressor of control.tar and data.tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// At level 6, as in Debian's own packages.
    #[default]
    Xz,
    /// At dpkg-deb's default level; dpkg reads it from 1.21.18 on.
    Zstd,
}

impl Compression {
    /// What follows `control.tar.` and `data.tar.`.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Xz => "xz",
            Self::Zstd => "zst",
        }
    }
}

/// A word that names no compressor of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no compression: use xz or zstd")]
pub struct CompressionError(String);

impl FromStr for Compression {
    type Err = CompressionError;
    fn from_str(text: &str) -> Result<Self, CompressionError> {
        match text {
            "xz" => Ok(Self::Xz),
            "zstd" => Ok(Self::Zstd),
            other => Err(CompressionError(other.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        })
    }
}
