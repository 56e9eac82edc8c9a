//! The suites' side of the REST API: what they hold, and work on it.

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;

/// `GET` lists suites, `POST` makes one from a [`SuiteInfo`].
pub const SUITES_PATH: &str = "/api/v1/suites";

/// `GET` gives a page of [`SuiteContents`].
#[must_use]
pub fn contents_path(suite: &str) -> String {
    format!("{SUITES_PATH}/{suite}/contents")
}

/// `DELETE` withdraws a package.
#[must_use]
pub fn package_path(suite: &str, package: &str) -> String {
    format!("{SUITES_PATH}/{suite}/contents/{package}")
}

/// `POST` withdraws many packages at once, as a [`Withdrawal`] says.
#[must_use]
pub fn withdrawals_path(suite: &str) -> String {
    format!("{SUITES_PATH}/{suite}/withdrawals")
}

/// `PUT` sets a [`Phase`].
#[must_use]
pub fn phase_path(suite: &str, package: &str) -> String {
    format!("{}/phase", package_path(suite, package))
}

/// `POST` puts packages into the suite, as a [`Promotion`] says.
#[must_use]
pub fn promotions_path(suite: &str) -> String {
    format!("{SUITES_PATH}/{suite}/promotions")
}

/// `POST` freezes the suite as it is, and gives the snapshot's [`SuiteInfo`].
#[must_use]
pub fn snapshots_path(suite: &str) -> String {
    format!("{SUITES_PATH}/{suite}/snapshots")
}

/// `POST` the [`SuiteInfo`] of a snapshot, to have the suite hold what that holds.
#[must_use]
pub fn return_path(suite: &str) -> String {
    format!("{SUITES_PATH}/{suite}/return")
}

/// `GET` and `PUT` a suite's [`Retention`].
#[must_use]
pub fn retention_path(suite: &str) -> String {
    format!("{SUITES_PATH}/{suite}/retention")
}

/// What a suite keeps of each package. The newest version always stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// So many of the newest versions; 0: all.
    #[serde(default, deserialize_with = "whole")]
    #[cfg_attr(feature = "openapi", schema(format = Int64, maximum = 4294967295u64, example = 3))]
    pub versions: u32,
    /// Older versions for so many days; 0: for ever.
    #[serde(default, deserialize_with = "whole")]
    #[cfg_attr(feature = "openapi", schema(format = Int64, maximum = 4294967295u64, example = 90))]
    pub days: u32,
}

impl Retention {
    /// Whether it keeps everything.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.versions == 0 && self.days == 0
    }
}

/// A suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SuiteInfo {
    /// Such as `stable`.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::SuiteName))]
    pub name: String,
}

/// The suites of a server, page by page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SuiteList {
    /// By name.
    pub suites: Vec<SuiteInfo>,
    /// The `after` of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}

/// A package in a suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SuitePackage {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::PackageName))]
    pub package: String,
    /// Its version.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Version))]
    pub version: String,
    /// Its architecture.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Architecture))]
    pub architecture: String,
    /// Such as `main`.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::ComponentName))]
    pub component: String,
    /// Where apt finds it, relative to the repository's root.
    #[cfg_attr(feature = "openapi", schema(example = "pool/main/h/hi/hi_1.3.0-1_amd64.deb"))]
    pub filename: String,
    /// Lower-case hex.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Sha256))]
    pub sha256: String,
    /// The share of devices that apt gives it to, if not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, maximum = 99))]
    pub phased: Option<u8>,
}

/// What a suite holds, page by page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SuiteContents {
    /// By file name.
    pub packages: Vec<SuitePackage>,
    /// The `after` of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}

/// A share of the devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// 0 to 100.
    #[serde(deserialize_with = "whole")]
    #[cfg_attr(feature = "openapi", schema(maximum = 100, example = 10))]
    pub percentage: u8,
}

/// Packages of another suite that a suite shall hold, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// The other suite.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::SuiteName, example = "beta"))]
    pub from: String,
    /// The package's name.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::PackageName))]
    pub package: String,
    /// Absent: every version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::Version>))]
    pub version: Option<String>,
    /// Absent: every architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::Architecture>))]
    pub architecture: Option<String>,
}

/// Packages that shall leave a suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    /// Their SHA-256, lower-case hex; what the suite does not hold is passed over.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::Sha256>))]
    pub packages: Vec<String>,
}

/// The answer to a [`Withdrawal`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Withdrawn {
    /// Of which suite.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::SuiteName))]
    pub suite: String,
    /// How many packages left it.
    pub withdrawn: usize,
}

/// A whole number however it is written: to JSON, and to its schemas, 3.0 is one.
pub(crate) fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(from: D) -> Result<T, D::Error> {
    let number = Number::deserialize(from)?;
    let of_float = |float: f64| (float.fract() == 0.0 && (0.0..MOST).contains(&float)).then_some(float as u64);
    let whole = number.as_u64().or_else(|| of_float(number.as_f64()?));
    whole.and_then(|whole| T::try_from(whole).ok()).ok_or_else(|| {
        let expected = "a whole number, not below 0 and not too large";
        D::Error::invalid_value(Unexpected::Other(&number.to_string()), &expected)
    })
}

/// Whole numbers below it are exact as floating-point ones (2 to the 53rd).
const MOST: f64 = 9_007_199_254_740_992.0;

/// The packages that a request changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Changed {
    /// Of which suite.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::SuiteName))]
    pub suite: String,
    /// Which ones; empty if everything was so already.
    pub packages: Vec<SuitePackage>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let read = |text: &str| serde_json::from_str::<Retention>(text).map(|it| (it.versions, it.days)).ok();
        assert_eq!(read(r#"{"versions": 3, "days": 90.0}"#), Some((3, 90)));
        assert_eq!(read(r#"{"days": 1e2}"#), Some((0, 100)));
        for bad in ["3.5", "-1", "-1.0", "4294967296", "1e300", "\"3\"", "null"] {
            assert_eq!(read(&format!("{{\"versions\": {bad}}}")), None, "{bad}");
        }
    }
}
