//! What a transaction is to do: decided once, before anything is downloaded, and carried by every state.

use debian_formats::{Architecture, PackageName, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One package of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PlannedPackage {
    pub(crate) name: PackageName,
    pub(crate) architecture: Architecture,
    /// Installed before; none for a new package.
    pub(crate) from: Option<Version>,
    pub(crate) to: Version,
    /// Relative to the repository's root.
    pub(crate) filename: String,
    /// Bytes, as the signed index says.
    pub(crate) size: u64,
    /// Lower-case hex, as the signed index says.
    pub(crate) sha256: String,
}

/// A set of packages that is installed as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Transaction {
    pub(crate) began: Timestamp,
    pub(crate) packages: Vec<PlannedPackage>,
    /// Whether the index came from the server over the network: then the new version must be able to reach it, too.
    #[serde(default)]
    pub(crate) from_server: bool,
}
