//! Things, thing groups and thing types, as the REST API tells them: AWS IoT's words, shapes and limits.

mod group;
mod paths;
mod properties;
mod thing;
mod thing_type;

pub use group::{
    GroupMembers, GroupsOfThing, NewThingGroup, ThingGroup, ThingGroupChange, ThingGroupMetadata, ThingGroupPage,
    ThingGroupProperties, UNVERIFIED_GROUP, VERIFIED_GROUP,
};
pub use paths::{
    SEARCH_PATH, THING_GROUPS_PATH, THING_TYPES_PATH, THINGS_PATH, deprecation_path, group_path, group_thing_path,
    group_things_path, principal_path, principals_path, thing_groups_path, thing_path, thing_type_path,
};
pub use properties::{Attributes, Description, PropertyError, SearchableAttributes};
pub use thing::{
    AttributePayload, MOST_GROUPS_OF_THING, MOST_REGISTRATIONS, NewThing, Principals, Registered, Registration,
    RegistrationFailure, Registrations, SearchPage, Thing, ThingChange, ThingConnectivity, ThingDocument, ThingPage,
};
pub use thing_type::{Deprecation, NewThingType, ThingType, ThingTypeMetadata, ThingTypePage, ThingTypeProperties};

use crate::suites::whole;
use serde::{Deserialize, Deserializer, Serialize};

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
