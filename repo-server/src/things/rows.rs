//! Rows of the registry's tables.

use super::error::RegistryError;
use fleet_protocol::names::{GroupName, ThingName, ThingTypeName};
use fleet_protocol::things::{
    AttributePayload, Attributes, Description, Thing, ThingGroup, ThingGroupMetadata, ThingGroupProperties, ThingType,
    ThingTypeMetadata, ThingTypeProperties,
};
use jiff::Timestamp;
use sqlx::AnyConnection;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// What [`thing_of_row`] reads.
pub(super) const THING_COLUMNS: &str = "t.name, t.id, t.type, t.attributes, t.version, t.created_at";
/// What [`group_of_row`] reads.
pub(super) const GROUP_COLUMNS: &str =
    "g.name, g.id, g.parent, g.description, g.attributes, g.query, g.version, g.created_at";
/// What [`type_of_row`] reads.
pub(super) const TYPE_COLUMNS: &str = "name, id, description, searchable_attributes, deprecated_at, created_at";

pub(super) fn thing_of_row(row: &AnyRow) -> Result<Thing, RegistryError> {
    Ok(Thing {
        thing_name: row.try_get::<String, _>(0)?.parse()?,
        thing_id: row.try_get(1)?,
        thing_type_name: row.try_get::<Option<String>, _>(2)?.map(|name| name.parse()).transpose()?,
        attributes: serde_json::from_str(row.try_get(3)?)?,
        version: version(row.try_get(4)?),
        creation_date: Timestamp::from_second(row.try_get(5)?)?,
    })
}

/// Without the groups above it, which stand in other rows.
pub(super) fn group_of_row(row: &AnyRow) -> Result<ThingGroup, RegistryError> {
    let attributes: Attributes = serde_json::from_str(row.try_get(4)?)?;
    let attributes = (!attributes.as_map().is_empty()).then_some(AttributePayload { attributes, merge: false });
    let description: Description = row.try_get::<String, _>(3)?.try_into()?;
    Ok(ThingGroup {
        thing_group_name: row.try_get::<String, _>(0)?.parse()?,
        thing_group_id: row.try_get(1)?,
        version: version(row.try_get(6)?),
        thing_group_properties: ThingGroupProperties {
            thing_group_description: (!description.as_str().is_empty()).then_some(description),
            attribute_payload: attributes,
        },
        thing_group_metadata: ThingGroupMetadata {
            parent_group_name: row.try_get::<Option<String>, _>(2)?.map(|name| name.parse()).transpose()?,
            root_to_parent_thing_groups: Vec::new(),
            creation_date: Timestamp::from_second(row.try_get(7)?)?,
        },
        query_string: row.try_get(5)?,
    })
}

pub(super) fn type_of_row(row: &AnyRow) -> Result<ThingType, RegistryError> {
    let deprecated_at: Option<i64> = row.try_get(4)?;
    Ok(ThingType {
        thing_type_name: row.try_get::<String, _>(0)?.parse()?,
        thing_type_id: row.try_get(1)?,
        thing_type_properties: ThingTypeProperties {
            thing_type_description: row.try_get::<String, _>(2)?.try_into()?,
            searchable_attributes: serde_json::from_str(row.try_get(3)?)?,
        },
        thing_type_metadata: ThingTypeMetadata {
            deprecated: deprecated_at.is_some(),
            deprecation_date: deprecated_at.map(Timestamp::from_second).transpose()?,
            creation_date: Timestamp::from_second(row.try_get(5)?)?,
        },
    })
}

/// Versions begin with 1.
fn version(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or_default()
}

/// As a column holds it; no version is larger.
pub(super) fn stored_version(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

pub(super) async fn find_thing(
    connection: &mut AnyConnection,
    thing: &ThingName,
) -> Result<Option<Thing>, RegistryError> {
    let row = sqlx::query(
        "SELECT t.name, t.id, t.type, t.attributes, t.version, t.created_at FROM things t WHERE t.name = $1",
    )
    .bind(thing.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(thing_of_row).transpose()
}

pub(super) async fn need_thing(connection: &mut AnyConnection, thing: &ThingName) -> Result<Thing, RegistryError> {
    find_thing(connection, thing).await?.ok_or_else(|| RegistryError::NoThing(thing.clone()))
}

pub(super) async fn find_group(
    connection: &mut AnyConnection,
    group: &GroupName,
) -> Result<Option<ThingGroup>, RegistryError> {
    let row = sqlx::query(
        "SELECT g.name, g.id, g.parent, g.description, g.attributes, g.query, g.version, g.created_at \
         FROM thing_groups g WHERE g.name = $1",
    )
    .bind(group.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(mut found) = row.as_ref().map(group_of_row).transpose()? else { return Ok(None) };
    found.thing_group_metadata.root_to_parent_thing_groups = above(connection, &found).await?;
    Ok(Some(found))
}

pub(super) async fn need_group(connection: &mut AnyConnection, group: &GroupName) -> Result<ThingGroup, RegistryError> {
    find_group(connection, group).await?.ok_or_else(|| RegistryError::NoGroup(group.clone()))
}

/// The groups above one, the uppermost first.
pub(super) async fn above(connection: &mut AnyConnection, group: &ThingGroup) -> Result<Vec<GroupName>, RegistryError> {
    let Some(parent) = &group.thing_group_metadata.parent_group_name else { return Ok(Vec::new()) };
    let names: Vec<String> = sqlx::query_scalar(
        "WITH RECURSIVE up (name, parent, height) AS ( \
             SELECT name, parent, 1 FROM thing_groups WHERE name = $1 \
             UNION ALL SELECT g.name, g.parent, up.height + 1 FROM thing_groups g JOIN up ON g.name = up.parent) \
         SELECT name FROM up ORDER BY height DESC",
    )
    .bind(parent.as_str())
    .fetch_all(connection)
    .await?;
    names.into_iter().map(|name| Ok(name.parse()?)).collect()
}

/// Fails unless things may be given the type.
pub(super) async fn need_type(connection: &mut AnyConnection, thing_type: &ThingTypeName) -> Result<(), RegistryError> {
    let row: Option<Option<i64>> = sqlx::query_scalar("SELECT deprecated_at FROM thing_types WHERE name = $1")
        .bind(thing_type.as_str())
        .fetch_optional(connection)
        .await?;
    match row {
        None => Err(RegistryError::NoType(thing_type.clone())),
        Some(Some(_)) => Err(RegistryError::InTheWay(format!(
            "the thing type {thing_type} is deprecated, and no thing may be given it any more; `debfleet thing type \
             deprecate {thing_type} --undo` allows it again"
        ))),
        Some(None) => Ok(()),
    }
}
