//! `/api/v1/thing-types/…`: what kinds of things there are.

use super::address::{InThingType, named};
use super::caller::Caller;
use super::json::{Asked, Json};
use super::page::PageQuery;
use super::problem::Problem;
use super::state::ServerState;
use crate::access::Action;
use crate::things::RegistryError;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use fleet_protocol::names::ThingTypeName;
use fleet_protocol::things::{Deprecation, NewThingType, ThingType, ThingTypePage};

/// Types on a page.
const PAGE: u16 = 100;

/// All types.
#[utoipa::path(
    get, path = "/api/v1/thing-types", tag = "thing types",
    security(("token" = ["viewer"])),
    params(
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 100, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of them, by name", body = ThingTypePage))
)]
pub(super) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<axum::Json<ThingTypePage>, Problem> {
    caller.require(Action::ReadFleet)?;
    let (limit, after) = query.check(PAGE)?;
    Ok(axum::Json(state.registry.list_types(limit, &after).await?))
}

/// A type.
#[utoipa::path(
    get, path = "/api/v1/thing-types/{type}", tag = "thing types",
    security(("token" = ["viewer"])),
    params(InThingType),
    responses((status = 200, description = "The type", body = ThingType), (status = 404, description = "There is no such type"))
)]
pub(super) async fn show(
    State(state): State<ServerState>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<axum::Json<ThingType>, Problem> {
    caller.require(Action::ReadFleet)?;
    let name: ThingTypeName = named(&name)?;
    let found = state.registry.thing_type(&name).await?;
    Ok(axum::Json(found.ok_or(RegistryError::NoType(name))?))
}

/// Make a type.
#[utoipa::path(
    post, path = "/api/v1/thing-types/{type}", tag = "thing types",
    security(("token" = ["operator"])),
    params(InThingType), request_body = NewThingType,
    responses(
    (status = 201, description = "It was made", body = ThingType),
    (status = 200, description = "It was there already, just so", body = ThingType),
    (status = 409, description = "It is there already with other properties"),
    )
)]
pub(super) async fn create(
    State(state): State<ServerState>,
    Path(name): Path<String>,
    caller: Caller,
    Json(new): Json<NewThingType>,
) -> Result<(StatusCode, axum::Json<ThingType>), Problem> {
    caller.require(Action::ManageFleet)?;
    let (made, is_new) = state.registry.create_type(&named(&name)?, new, &caller.actor()).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, axum::Json(made)))
}

/// Say whether things may be given a type.
#[utoipa::path(
    post, path = "/api/v1/thing-types/{type}/deprecate", tag = "thing types",
    security(("token" = ["operator"])),
    params(InThingType), request_body = Deprecation,
    responses((status = 200, description = "The type as it is now", body = ThingType), (status = 404, description = "There is no such type"))
)]
pub(super) async fn deprecate(
    State(state): State<ServerState>,
    Path(name): Path<String>,
    caller: Caller,
    Json(Deprecation { undo_deprecate }): Json<Deprecation>,
) -> Result<axum::Json<ThingType>, Problem> {
    caller.require(Action::ManageFleet)?;
    Ok(axum::Json(state.registry.deprecate_type(&named(&name)?, !undo_deprecate, &caller.actor()).await?))
}

/// Delete a type.
///
/// It must be deprecated, and no thing may have it.
#[utoipa::path(
    delete, path = "/api/v1/thing-types/{type}", tag = "thing types",
    security(("token" = ["operator"])),
    params(InThingType),
    responses(
    (status = 200, description = "The type as it was", body = ThingType),
    (status = 404, description = "There is no such type"),
    (status = 409, description = "It is not deprecated, or a thing has it"),
    )
)]
pub(super) async fn delete(
    State(state): State<ServerState>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<axum::Json<ThingType>, Problem> {
    caller.require(Action::ManageFleet)?;
    Ok(axum::Json(state.registry.delete_type(&named(&name)?, &caller.actor()).await?))
}
