//! What a transaction is to do: decided once, before anything is downloaded, and carried by every state.

use debian_formats::{Architecture, PackageName, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One package that a transaction installs. Unknown fields are passed over: an older updater also wrote where the
/// file is, which nobody needs after an interruption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PlannedPackage {
    pub(crate) name: PackageName,
    pub(crate) architecture: Architecture,
    /// Installed before; none for a new package.
    pub(crate) from: Option<Version>,
    pub(crate) to: Version,
    /// Whether somebody asked for it; otherwise apt's resolver added it.
    #[serde(default = "yes")]
    pub(crate) asked: bool,
    /// The source of the device's own apt that it comes from, as apt calls it; none: the suite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
}

impl PlannedPackage {
    /// Whether it carries signatures of ours; only then its update policy counts.
    pub(crate) fn is_of_suite(&self) -> bool {
        self.source.is_none()
    }
}

fn yes() -> bool {
    true
}

/// One package that a transaction removes, because something in the set takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RemovedPackage {
    pub(crate) name: PackageName,
    pub(crate) architecture: Option<Architecture>,
    pub(crate) version: Version,
}

/// A set of packages that is installed as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Transaction {
    pub(crate) began: Timestamp,
    /// In the order in which apt unpacks them.
    pub(crate) packages: Vec<PlannedPackage>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) removed: Vec<RemovedPackage>,
    /// Whether the index came from the server over the network: then the new version must be able to reach it, too.
    #[serde(default)]
    pub(crate) from_server: bool,
}

impl Transaction {
    /// The packages of the suite. What others need from elsewhere comes and goes with these; of them alone the device
    /// remembers which versions it had and which did not work.
    pub(crate) fn of_suite(&self) -> impl Iterator<Item = &PlannedPackage> {
        self.packages.iter().filter(|planned| planned.is_of_suite())
    }

    /// All packages, those that were asked for first.
    pub(crate) fn asked_first(&self) -> impl Iterator<Item = &PlannedPackage> {
        let (asked, others): (Vec<_>, Vec<_>) = self.packages.iter().partition(|planned| planned.asked);
        asked.into_iter().chain(others)
    }

    /// Bytes of the largest one: the journal holds two of them, and why the last attempt failed, and must be
    /// writable on a full disk.
    pub(crate) const MAX_BYTES: usize = 48 << 10;

    /// Bytes that it takes in the journal.
    pub(crate) fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |bytes| bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_that_an_older_updater_wrote_is_read() {
        let text = r#"{"began":"1970-01-01T00:00:00Z","packages":[{"name":"hi","architecture":"all","from":"1","to":"2",
            "filename":"pool/hi.deb","size":3,"sha256":"00"}]}"#;
        let transaction: Transaction = serde_json::from_str(text).unwrap();
        assert!(transaction.packages[0].asked && transaction.removed.is_empty());
    }

    #[test]
    fn three_hundred_packages_fit() {
        let package = |number: usize| PlannedPackage {
            name: format!("lib-of-a-usual-length-{number}").parse().unwrap(),
            architecture: "amd64".parse().unwrap(),
            from: Some("1:2.36-9+deb12u4".parse().unwrap()),
            to: "1:2.36-9+deb12u5".parse().unwrap(),
            asked: false,
            source: None,
        };
        let packages = (0..300).map(package).collect();
        let transaction =
            Transaction { began: Timestamp::UNIX_EPOCH, packages, removed: Vec::new(), from_server: true };
        assert!(transaction.bytes() < Transaction::MAX_BYTES, "{}", transaction.bytes());
    }
}
