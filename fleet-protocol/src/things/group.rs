//! Thing groups, static and dynamic.

use super::properties::Description;
use super::thing::AttributePayload;
use super::whole_or_none;
use crate::names::{GroupName, ThingName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The group of things that were provisioned and have not connected with their own certificate yet.
pub const UNVERIFIED_GROUP: &str = "unverified";
/// The group of things that were provisioned and have connected with their own certificate.
pub const VERIFIED_GROUP: &str = "verified";

/// What is said of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ThingGroupProperties {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::Description>))]
    pub thing_group_description: Option<Description>,
    /// What is noted about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute_payload: Option<AttributePayload>,
}

/// What a new group shall be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewThingGroup {
    /// The static group that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::GroupName>))]
    pub parent_group_name: Option<GroupName>,
    /// What is said of it.
    #[serde(default)]
    pub thing_group_properties: ThingGroupProperties,
    /// Makes it dynamic: whatever this finds is in it, and nothing else. It has no parent then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::QueryString>))]
    pub query_string: Option<String>,
}

/// A change of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ThingGroupChange {
    /// What is said of it.
    #[serde(default)]
    pub thing_group_properties: ThingGroupProperties,
    /// Another query, of a dynamic group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::QueryString>))]
    pub query_string: Option<String>,
    /// The change is made only to this version.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_or_none")]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::expected_version))]
    pub expected_version: Option<u64>,
}

/// A thing group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThingGroup {
    /// Its name, for good.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::GroupName))]
    pub thing_group_name: GroupName,
    /// A UUID.
    #[cfg_attr(feature = "openapi", schema(example = "5c3b9d0e-7a1f-4c2b-9e54-0d6a1b7f2c88"))]
    pub thing_group_id: String,
    /// Raised by every change of what is said of it.
    pub version: u64,
    /// What is said of it.
    pub thing_group_properties: ThingGroupProperties,
    /// Where it stands.
    pub thing_group_metadata: ThingGroupMetadata,
    /// What finds the things of a dynamic group; absent for a static one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::QueryString>, nullable = false))]
    pub query_string: Option<String>,
}

/// Where a group stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThingGroupMetadata {
    /// The group that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::GroupName>, nullable = false))]
    pub parent_group_name: Option<GroupName>,
    /// The groups above it, the uppermost first.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::GroupName>))]
    pub root_to_parent_thing_groups: Vec<GroupName>,
    /// When it was made.
    pub creation_date: Timestamp,
}

/// Some of the groups, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThingGroupPage {
    /// The groups.
    pub thing_groups: Vec<ThingGroup>,
    /// Where the next page begins, as `?after=`; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}

/// Some of the things of a group, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct GroupMembers {
    /// Their names.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::ThingName>))]
    pub things: Vec<ThingName>,
    /// Where the next page begins, as `?after=`; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}

/// The groups that a thing is in itself, without their parents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct GroupsOfThing {
    /// Their names.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::GroupName>))]
    pub thing_groups: Vec<GroupName>,
}
