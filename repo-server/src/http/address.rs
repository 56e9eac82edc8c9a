//! What stands in addresses, as the API's description tells it.

use fleet_protocol::openapi::{PackageName, SuiteName};
use utoipa::IntoParams;

/// A suite in an address.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "its shape is all that is wanted")]
pub(super) struct InSuite {
    /// The suite.
    #[param(example = "stable")]
    suite: SuiteName,
}

/// A package of a suite in an address.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "its shape is all that is wanted")]
pub(super) struct InSuiteOfPackage {
    /// The suite.
    #[param(example = "stable")]
    suite: SuiteName,
    /// The package's name.
    #[param(example = "hi")]
    package: PackageName,
}
