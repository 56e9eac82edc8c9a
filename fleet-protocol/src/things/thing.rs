//! Things.

use super::properties::Attributes;
use super::whole_or_none;
use crate::names::{CertificateId, GroupName, ThingName, ThingTypeName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// So many things are registered by one request at the most.
pub const MOST_REGISTRATIONS: usize = 1_000;
/// So many groups a registration names at the most, which is as many static groups as a thing may be in.
pub const MOST_GROUPS_OF_THING: usize = 10;
/// A thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Thing {
    /// Its name, for good.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::ThingName))]
    pub thing_name: ThingName,
    /// A UUID; another thing that is given the same name later has another one.
    #[cfg_attr(feature = "openapi", schema(example = "5c3b9d0e-7a1f-4c2b-9e54-0d6a1b7f2c88"))]
    pub thing_id: String,
    /// Its type, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::ThingTypeName>, nullable = false))]
    pub thing_type_name: Option<ThingTypeName>,
    /// What people noted about it.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::attributes))]
    pub attributes: Attributes,
    /// Raised by every change of its type or attributes.
    pub version: u64,
    /// When it was made.
    pub creation_date: Timestamp,
}

/// Attributes, as they are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttributePayload {
    /// The attributes.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::attributes))]
    pub attributes: Attributes,
    /// In a change: keep the others, and take away those that are empty here. Otherwise these replace all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "openapi", schema(default = false))]
    pub merge: bool,
}

/// What a new thing shall be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewThing {
    /// Its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::ThingTypeName>))]
    pub thing_type_name: Option<ThingTypeName>,
    /// What is noted about it.
    #[serde(default)]
    pub attribute_payload: AttributePayload,
}

/// A change of a thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ThingChange {
    /// Another type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::ThingTypeName>))]
    pub thing_type_name: Option<ThingTypeName>,
    /// No type any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "openapi", schema(default = false))]
    pub remove_thing_type: bool,
    /// Other attributes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute_payload: Option<AttributePayload>,
    /// The change is made only to this version.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_or_none")]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::expected_version))]
    pub expected_version: Option<u64>,
}

/// A thing to be registered, with others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registration {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::ThingName))]
    pub thing_name: ThingName,
    /// Its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::ThingTypeName>))]
    pub thing_type_name: Option<ThingTypeName>,
    /// What is noted about it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::attributes))]
    pub attributes: Attributes,
    /// The static groups that it shall be in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::GroupName>, max_items = 10))]
    pub thing_group_names: Vec<GroupName>,
}

/// Things to be registered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registrations {
    /// The things.
    #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
    pub things: Vec<Registration>,
}

/// What became of [`Registrations`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// So many things are new.
    pub created: usize,
    /// So many were there already, just so.
    pub unchanged: usize,
    /// Those that were not registered.
    pub failures: Vec<RegistrationFailure>,
}

/// Why a thing was not registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RegistrationFailure {
    /// Its place in the request; the first is 0.
    pub index: usize,
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::ThingName))]
    pub thing_name: ThingName,
    /// Why, for people.
    pub reason: String,
}

/// Some of the things, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThingPage {
    /// The things.
    pub things: Vec<Thing>,
    /// Where the next page begins, as `?after=`; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}

/// Whether a thing is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThingConnectivity {
    /// Whether it is.
    pub connected: bool,
    /// Since when.
    pub timestamp: Timestamp,
    /// Why it is not, such as `CONNECTION_LOST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "CONNECTION_LOST"))]
    pub disconnect_reason: Option<String>,
}

/// A thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThingDocument {
    /// The thing.
    #[serde(flatten)]
    pub thing: Thing,
    /// The groups that it is in itself, without their parents.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::GroupName>))]
    pub thing_group_names: Vec<GroupName>,
    /// Absent where it has never been connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub connectivity: Option<ThingConnectivity>,
}

/// Some of the things that were found, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SearchPage {
    /// The things.
    pub things: Vec<ThingDocument>,
    /// Where the next page begins, as `?after=`; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}

/// The certificates that speak for a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Principals {
    /// Their ids.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::Sha256>))]
    pub principals: Vec<CertificateId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_member_is_refused_and_not_ignored() {
        let read = serde_json::from_str::<ThingChange>;
        assert!(read(r#"{"attributePayload":{"attributes":{"a":"1"},"merge":true},"expectedVersion":3.0}"#).is_ok());
        for bad in
            [r#"{"attributes":{}}"#, r#"{"expectedVersion":-1}"#, r#"{"attributePayload":{"attributes":{"a":1}}}"#]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
