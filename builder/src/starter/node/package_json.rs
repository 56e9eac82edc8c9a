//! What a package.json says.

use crate::starter::error::StarterError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Only what is carried over.
#[derive(Deserialize)]
pub(super) struct PackageJson {
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) description: Option<String>,
    pub(super) license: Option<License>,
    pub(super) homepage: Option<String>,
    pub(super) repository: Option<Repository>,
    pub(super) author: Option<Person>,
    #[serde(default)]
    pub(super) maintainers: Vec<Person>,
    pub(super) bin: Option<Bin>,
    pub(super) main: Option<String>,
    pub(super) files: Option<Vec<String>>,
    #[serde(default)]
    pub(super) dependencies: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub(super) engines: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub(super) scripts: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum License {
    Name(String),
    Old {
        #[serde(rename = "type")]
        name: String,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Repository {
    Address(String),
    Table { url: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Person {
    Text(String),
    Table { name: String, email: Option<String> },
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Bin {
    One(String),
    Many(BTreeMap<String, String>),
}

/// Reads it; a byte order mark before it is no fault.
pub(super) fn read(file: &Path, text: &str) -> Result<PackageJson, StarterError> {
    serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
        StarterError::syntax(file, Some(error.line()), format!("{}; correct it", line_free(&error.to_string())))
    })
}

/// serde's place is told apart from its words.
fn line_free(error: &str) -> String {
    error.split(" at line ").next().unwrap_or_default().replace('\n', "; ")
}
