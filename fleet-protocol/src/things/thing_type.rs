//! Thing types.

use super::properties::{Description, SearchableAttributes};
use crate::names::ThingTypeName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
