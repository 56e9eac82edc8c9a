//! The update document: what a job, or a person at the device, asks the updater to do.

use serde::{Deserialize, Serialize};

/// Installs a set of packages as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "operation")]
pub enum UpdateDocument {
    /// Bring these packages to these versions.
    Update(Update),
}

/// Which packages, and under which conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Update {
    /// At least one.
    pub packages: Vec<WantedPackage>,
    /// The suite they come from.
    pub suite: String,
    /// A version below the installed one is meant, not a mistake. Never below the rollback floor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_downgrade: bool,
}

/// A package, and the version if not the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedPackage {
    /// Its name.
    pub name: String,
    /// Its version; absent: the newest in the suite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_as_designed() {
        let text = r#"{"operation":"update","packages":[{"name":"hi","version":"1.3.0-1"}],"suite":"stable"}"#;
        let document: UpdateDocument = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&document).unwrap(), text);
    }

    #[test]
    fn an_unknown_operation_or_field_is_refused() {
        for bad in [
            r#"{"operation":"format-disk","packages":[],"suite":"stable"}"#,
            r#"{"operation":"update","packages":[],"suite":"stable","force":true}"#,
        ] {
            assert!(serde_json::from_str::<UpdateDocument>(bad).is_err(), "{bad}");
        }
    }
}
