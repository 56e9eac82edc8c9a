//! What stands in addresses, as the API's description tells it.

use super::problem::Problem;
use fleet_protocol::openapi::{GroupName, PackageName, Sha256, SuiteName, ThingName, ThingTypeName, UserName};
use std::fmt::Display;
use std::str::FromStr;
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

/// A thing in an address.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "its shape is all that is wanted")]
pub(super) struct InThing {
    /// The thing.
    #[param(example = "lamp-1")]
    thing: ThingName,
}

/// A certificate of a thing in an address.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "its shape is all that is wanted")]
pub(super) struct InThingOfCertificate {
    /// The thing.
    #[param(example = "lamp-1")]
    thing: ThingName,
    /// The certificate's id.
    certificate: Sha256,
}

/// A thing group in an address.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "its shape is all that is wanted")]
pub(super) struct InGroup {
    /// The group.
    #[param(example = "kitchen")]
    group: GroupName,
}

/// A thing of a group in an address.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "its shape is all that is wanted")]
pub(super) struct InGroupOfThing {
    /// The group.
    #[param(example = "kitchen")]
    group: GroupName,
    /// The thing.
    #[param(example = "lamp-1")]
    thing: ThingName,
}

/// A thing type in an address.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "its shape is all that is wanted")]
pub(super) struct InThingType {
    /// The type.
    #[param(example = "lamp")]
    r#type: ThingTypeName,
}

/// A user in an address.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "its shape is all that is wanted")]
pub(super) struct InUser {
    /// The user.
    #[param(example = "anna")]
    user: UserName,
}

/// A thing of a user in an address.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "its shape is all that is wanted")]
pub(super) struct InUserOfThing {
    /// The user.
    #[param(example = "anna")]
    user: UserName,
    /// The thing.
    #[param(example = "lamp-1")]
    thing: ThingName,
}

/// A thing group of a user in an address.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "its shape is all that is wanted")]
pub(super) struct InUserOfGroup {
    /// The user.
    #[param(example = "anna")]
    user: UserName,
    /// The group.
    #[param(example = "kitchen")]
    group: GroupName,
}

/// A name that stands in an address.
pub(super) fn named<T: FromStr<Err: Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| Problem::bad_request(format!("{error}")))
}
