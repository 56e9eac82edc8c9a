//! The publishing side of the REST API, `/api/v1`.

use serde::{Deserialize, Serialize};

/// The media type of a .deb.
pub const DEB_MEDIA_TYPE: &str = "application/vnd.debian.binary-package";

/// The media type of a [`Problem`].
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// Where the repository's root is on a server.
pub const REPOSITORY_PATH: &str = "/debian";

/// Where a suite takes packages: `POST` with the .deb as body.
#[must_use]
pub fn upload_path(suite: &str) -> String {
    format!("/api/v1/suites/{suite}/packages")
}

/// The answer to an accepted upload: 201 when the suite changed, 200 when it held the same package already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The package's name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// The suite that holds it.
    pub suite: String,
    /// Where apt finds it, relative to the repository's root.
    pub filename: String,
    /// Lower-case hex.
    pub sha256: String,
    /// Whether the suite changed.
    pub created: bool,
}

/// Where a suite takes many packages at once: `POST` with a tar of .debs as body.
#[must_use]
pub fn import_path(suite: &str) -> String {
    format!("/api/v1/suites/{suite}/imports")
}

/// The answer to an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The suite that holds them.
    pub suite: String,
    /// Packages that it did not hold before.
    pub added: usize,
    /// Packages that it held already.
    pub held: usize,
    /// Packages that were not taken.
    pub refused: usize,
    /// Which and why; the first of very many.
    pub refusals: Vec<RefusedPackage>,
}

/// A package that an import did not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedPackage {
    /// Its name in the tar, or its place in the pool.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// An error answer (RFC 9457, problem details).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The kind of error in a few words.
    pub title: String,
    /// The HTTP status, again.
    pub status: u16,
    /// What was attempted, on what, and what to do next.
    pub detail: String,
}
