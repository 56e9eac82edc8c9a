//! What devices have installed, as their shadows tell.

use super::error::ShadowError;
use debian_formats::Version;
use fleet_protocol::shadow::{Document, PACKAGES, ShadowId};
use futures_util::TryStreamExt as _;
use serde_json::Value;
use sqlx::{AnyPool, Row as _};
use std::collections::{BTreeMap, BTreeSet};

/// Versions of some packages that devices have.
#[derive(Debug, Default)]
pub(crate) struct Installed(BTreeMap<String, BTreeSet<Version>>);

impl Installed {
    /// What any device last reported of these packages, however long ago.
    pub(crate) async fn of(database: &AnyPool, packages: BTreeSet<String>) -> Result<Self, ShadowError> {
        let mut installed = Self(packages.into_iter().map(|package| (package, BTreeSet::new())).collect());
        let mut shadows = sqlx::query("SELECT thing, document FROM shadows WHERE name = $1 AND document IS NOT NULL")
            .bind(PACKAGES)
            .fetch(database);
        while let Some(row) = shadows.try_next().await? {
            let document: Document = match serde_json::from_str(row.try_get(1)?) {
                Ok(document) => document,
                Err(source) => {
                    let thing = row.try_get::<String, _>(0)?.parse()?;
                    return Err(ShadowError::Stored {
                        shadow: ShadowId { thing, name: Some(PACKAGES.parse()?) },
                        source,
                    });
                }
            };
            installed.add(&document.state.reported);
        }
        Ok(installed)
    }

    fn add(&mut self, reported: &serde_json::Map<String, Value>) {
        for (package, versions) in &mut self.0 {
            let version = reported.get(package).and_then(|package| package.get("version")).and_then(Value::as_str);
            // What is no version of Debian's is not one that a suite holds.
            versions.extend(version.and_then(|version| version.parse().ok()));
        }
    }

    /// Whether a device has this version; as dpkg compares them.
    pub(crate) fn has(&self, package: &str, version: &Version) -> bool {
        self.0.get(package).is_some_and(|versions| versions.contains(version))
    }
}
