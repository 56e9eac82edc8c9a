//! Things, thing groups and thing types, as the REST API tells them: AWS IoT's words, shapes and limits.

use crate::names::{CertificateId, GroupName, ThingName, ThingTypeName};
use crate::suites::whole;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

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

/// The group of things that were provisioned and have not connected with their own certificate yet.
pub const UNVERIFIED_GROUP: &str = "unverified";
/// The group of things that were provisioned and have connected with their own certificate.
pub const VERIFIED_GROUP: &str = "verified";

/// So many things are registered by one request at the most.
pub const MOST_REGISTRATIONS: usize = 1_000;
/// So many groups a registration names at the most, which is as many static groups as a thing may be in.
pub const MOST_GROUPS_OF_THING: usize = 10;
const MOST_ATTRIBUTES: usize = 50;
const LONGEST_ATTRIBUTE_NAME: usize = 128;
const LONGEST_ATTRIBUTE_VALUE: usize = 800;
const LONGEST_DESCRIPTION: usize = 2_028;
const MOST_SEARCHABLE_ATTRIBUTES: usize = 3;

/// Attributes or a description that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// Too many.
    #[error("there are {0} attributes; a thing or group may have {MOST_ATTRIBUTES}")]
    TooMany(usize),
    /// A name.
    #[error(
        "{0:?} is not an attribute's name: 1 to {LONGEST_ATTRIBUTE_NAME} letters, digits and the characters `_.,@/:#-`"
    )]
    Name(String),
    /// A value.
    #[error(
        "the value of the attribute {0} is not up to {LONGEST_ATTRIBUTE_VALUE} letters, digits and the characters \
         `_.,@/:#=[]-`"
    )]
    Value(String),
    /// A description.
    #[error("a description has up to {LONGEST_DESCRIPTION} characters, none of them a control character")]
    Description,
    /// Searchable attributes.
    #[error("a thing type names up to {MOST_SEARCHABLE_ATTRIBUTES} searchable attributes")]
    TooManySearchable,
}

/// Names and values that people give to things and groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Attributes(BTreeMap<String, String>);

impl Attributes {
    /// By name.
    #[must_use]
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// These, changed: with `merge` those of `change` are added, and those that are empty there are taken away;
    /// otherwise `change` replaces all of them.
    ///
    /// # Errors
    /// There would be too many.
    pub fn changed(&self, change: Self, merge: bool) -> Result<Self, PropertyError> {
        if !merge {
            return Ok(change);
        }
        let mut merged = self.0.clone();
        for (name, value) in change.0 {
            if value.is_empty() {
                merged.remove(&name);
            } else {
                merged.insert(name, value);
            }
        }
        merged.try_into()
    }
}

impl TryFrom<BTreeMap<String, String>> for Attributes {
    type Error = PropertyError;

    fn try_from(map: BTreeMap<String, String>) -> Result<Self, PropertyError> {
        if map.len() > MOST_ATTRIBUTES {
            return Err(PropertyError::TooMany(map.len()));
        }
        for (name, value) in &map {
            check_attribute_name(name)?;
            if !is_plain(value, 0..=LONGEST_ATTRIBUTE_VALUE, b"_.,@/:#=[]-") {
                return Err(PropertyError::Value(name.clone()));
            }
        }
        Ok(Self(map))
    }
}

impl From<Attributes> for BTreeMap<String, String> {
    fn from(attributes: Attributes) -> Self {
        attributes.0
    }
}

fn check_attribute_name(name: &str) -> Result<(), PropertyError> {
    match is_plain(name, 1..=LONGEST_ATTRIBUTE_NAME, b"_.,@/:#-") {
        true => Ok(()),
        false => Err(PropertyError::Name(name.chars().take(80).collect())),
    }
}

fn is_plain(text: &str, length: std::ops::RangeInclusive<usize>, others: &[u8]) -> bool {
    length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

/// What people say about a group or a type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Description(String);

impl Description {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Description {
    type Error = PropertyError;

    fn try_from(text: String) -> Result<Self, PropertyError> {
        match text.chars().count() <= LONGEST_DESCRIPTION && !text.chars().any(char::is_control) {
            true => Ok(Self(text)),
            false => Err(PropertyError::Description),
        }
    }
}

impl From<Description> for String {
    fn from(description: Description) -> Self {
        description.0
    }
}

/// The attributes that things of a type are mostly looked for by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct SearchableAttributes(Vec<String>);

impl TryFrom<Vec<String>> for SearchableAttributes {
    type Error = PropertyError;

    fn try_from(names: Vec<String>) -> Result<Self, PropertyError> {
        if names.len() > MOST_SEARCHABLE_ATTRIBUTES {
            return Err(PropertyError::TooManySearchable);
        }
        names.iter().try_for_each(|name| check_attribute_name(name))?;
        Ok(Self(names))
    }
}

impl From<SearchableAttributes> for Vec<String> {
    fn from(names: SearchableAttributes) -> Self {
        names.0
    }
}

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

/// What is said of a type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ThingTypeProperties {
    /// What its things are.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Description))]
    pub thing_type_description: Description,
    /// The attributes that they are mostly looked for by; all others are searchable, too.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::AttributeName>, max_items = 3))]
    pub searchable_attributes: SearchableAttributes,
}

/// What a new type shall be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewThingType {
    /// What is said of it.
    #[serde(default)]
    pub thing_type_properties: ThingTypeProperties,
}

/// A thing type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThingType {
    /// Its name, for good.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::ThingTypeName))]
    pub thing_type_name: ThingTypeName,
    /// A UUID.
    #[cfg_attr(feature = "openapi", schema(example = "5c3b9d0e-7a1f-4c2b-9e54-0d6a1b7f2c88"))]
    pub thing_type_id: String,
    /// What is said of it.
    pub thing_type_properties: ThingTypeProperties,
    /// How it stands.
    pub thing_type_metadata: ThingTypeMetadata,
}

/// How a type stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThingTypeMetadata {
    /// Whether no thing may be given it any more.
    pub deprecated: bool,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub deprecation_date: Option<Timestamp>,
    /// When it was made.
    pub creation_date: Timestamp,
}

/// Some of the types, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThingTypePage {
    /// The types.
    pub thing_types: Vec<ThingType>,
    /// Where the next page begins, as `?after=`; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}

/// Whether things may be given a type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deprecation {
    /// They may again.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(default = false))]
    pub undo_deprecate: bool,
}

/// Such as whether a thing is in a group, when that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Whether anything was changed, or was so already.
    pub changed: bool,
}

fn whole_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Whole(#[serde(deserialize_with = "whole")] u64);
    Ok(Option::<Whole>::deserialize(from)?.map(|Whole(number)| number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(all: &[(&str, &str)]) -> Result<Attributes, PropertyError> {
        let map: BTreeMap<_, _> = all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        map.try_into()
    }

    #[test]
    fn attributes_are_those_that_aws_takes() {
        assert!(attributes(&[("a.b,@/:#-_", "x=[1]@/:#-,._"), ("empty", "")]).is_ok());
        let long = "a".repeat(801);
        for (name, value) in [("", "x"), ("a b", "x"), ("a", "x y"), ("a", "\u{e9}"), ("a", &long), (&long[..129], "x")]
        {
            assert!(attributes(&[(name, value)]).is_err(), "{name:?} {value:?}");
        }
        let many: BTreeMap<String, String> = (0..51).map(|n| (n.to_string(), String::new())).collect();
        assert!(Attributes::try_from(many).unwrap_err().to_string().contains("51"));
    }

    #[test]
    fn an_empty_value_takes_an_attribute_away_where_others_are_kept() {
        let old = attributes(&[("a", "1"), ("b", "2")]).unwrap();
        let change = attributes(&[("b", ""), ("c", "3")]).unwrap();
        assert_eq!(old.changed(change.clone(), true), attributes(&[("a", "1"), ("c", "3")]));
        assert_eq!(old.changed(change.clone(), false), Ok(change));
    }

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
