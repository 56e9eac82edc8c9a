//! Where the REST API has them.

use crate::names::{CertificateId, GroupName, ThingName, ThingTypeName};

/// `GET` lists things, `POST` registers many at once.
pub const THINGS_PATH: &str = "/api/v1/things";
/// `GET` lists thing groups.
pub const THING_GROUPS_PATH: &str = "/api/v1/thing-groups";
/// `GET` lists thing types.
pub const THING_TYPES_PATH: &str = "/api/v1/thing-types";
/// `GET` finds things, by `?query=`.
pub const SEARCH_PATH: &str = "/api/v1/search/things";

/// `GET`, `POST`, `PATCH` and `DELETE` a thing.
#[must_use]
pub fn thing_path(thing: &ThingName) -> String {
    format!("{THINGS_PATH}/{thing}")
}

/// `GET` lists the groups that a thing is in.
#[must_use]
pub fn thing_groups_path(thing: &ThingName) -> String {
    format!("{THINGS_PATH}/{thing}/thing-groups")
}

/// `GET` lists the certificates that speak for a thing.
#[must_use]
pub fn principals_path(thing: &ThingName) -> String {
    format!("{THINGS_PATH}/{thing}/principals")
}

/// `PUT` attaches a certificate to a thing, `DELETE` detaches it.
#[must_use]
pub fn principal_path(thing: &ThingName, certificate: &CertificateId) -> String {
    format!("{}/{certificate}", principals_path(thing))
}

/// `GET`, `POST`, `PATCH` and `DELETE` a thing group.
#[must_use]
pub fn group_path(group: &GroupName) -> String {
    format!("{THING_GROUPS_PATH}/{group}")
}

/// `GET` lists the things of a group.
#[must_use]
pub fn group_things_path(group: &GroupName) -> String {
    format!("{THING_GROUPS_PATH}/{group}/things")
}

/// `PUT` adds a thing to a group, `DELETE` removes it.
#[must_use]
pub fn group_thing_path(group: &GroupName, thing: &ThingName) -> String {
    format!("{}/{thing}", group_things_path(group))
}

/// `GET`, `POST` and `DELETE` a thing type.
#[must_use]
pub fn thing_type_path(thing_type: &ThingTypeName) -> String {
    format!("{THING_TYPES_PATH}/{thing_type}")
}

/// `POST` a [`Deprecation`] of a thing type.
#[must_use]
pub fn deprecation_path(thing_type: &ThingTypeName) -> String {
    format!("{}/deprecate", thing_type_path(thing_type))
}
