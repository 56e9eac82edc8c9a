//! The publishing side of the REST API, `/api/v1`.

use serde::{Deserialize, Serialize};

/// The media type of a .deb.
pub const DEB_MEDIA_TYPE: &str = "application/vnd.debian.binary-package";

/// The media type of a [`Problem`].
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// The header with a `POST`'s key: the same request with the same key is carried out once.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The title of the [`Problem`] that a request with this key is being carried out.
pub const IN_PROGRESS: &str = "Request in progress";

/// Where the repository's root is on a server.
pub const REPOSITORY_PATH: &str = "/debian";

/// Where a suite takes packages: `POST` with the .deb as body.
#[must_use]
pub fn upload_path(suite: &str) -> String {
    format!("/api/v1/suites/{suite}/packages")
}

/// The answer to an accepted upload: 201 when the suite changed, 200 when it held the same package already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Published {
    /// The package's name.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::PackageName))]
    pub package: String,
    /// Its version.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Version))]
    pub version: String,
    /// Its architecture.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Architecture))]
    pub architecture: String,
    /// The suite that holds it.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::SuiteName))]
    pub suite: String,
    /// Where apt finds it, relative to the repository's root.
    #[cfg_attr(feature = "openapi", schema(example = "pool/main/h/hi/hi_1.3.0-1_amd64.deb"))]
    pub filename: String,
    /// Lower-case hex.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Sha256))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Imported {
    /// The suite that holds them.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::SuiteName))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefusedPackage {
    /// Its name in the tar, or its place in the pool.
    #[cfg_attr(feature = "openapi", schema(example = "hi_1.3.0-1_amd64.deb"))]
    pub name: String,
    /// What is wrong with it.
    #[cfg_attr(feature = "openapi", schema(example = "it is not signed by a known key"))]
    pub reason: String,
}

/// An error answer (RFC 9457, problem details).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// The kind of error in a few words.
    #[cfg_attr(feature = "openapi", schema(example = "Not found"))]
    pub title: String,
    /// The HTTP status, again.
    #[cfg_attr(feature = "openapi", schema(minimum = 400, maximum = 599, example = 404))]
    pub status: u16,
    /// What was attempted, on what, and what to do next.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "there is no suite beta on this server; the first one of every server is `stable`")
    )]
    pub detail: String,
}
