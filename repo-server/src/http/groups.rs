//! `/api/v1/thing-groups/…`: which things belong together.

use super::address::{InGroup, InGroupOfThing, named};
use super::caller::Caller;
use super::json::{Asked, Json};
use super::page::{self, PageQuery};
use super::problem::Problem;
use super::state::ServerState;
use crate::access::Action;
use crate::things::RegistryError;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use fleet_protocol::names::GroupName;
use fleet_protocol::things::{Done, GroupMembers, NewThingGroup, ThingGroup, ThingGroupChange, ThingGroupPage};
use serde::Deserialize;

/// Groups on a page.
const PAGE: u16 = 100;
/// A group's things on a page.
const MEMBERS_PAGE: u16 = 1_000;

/// All groups.
#[utoipa::path(
    get, path = "/api/v1/thing-groups", tag = "thing groups",
    security(("token" = ["viewer"])),
    params(
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 100, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of them, by name", body = ThingGroupPage))
)]
pub(super) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<axum::Json<ThingGroupPage>, Problem> {
    caller.require(Action::ReadFleet)?;
    let (limit, after) = query.check(PAGE)?;
    Ok(axum::Json(state.registry.list_groups(limit, &after).await?))
}

/// A group.
#[utoipa::path(
    get, path = "/api/v1/thing-groups/{group}", tag = "thing groups",
    security(("token" = ["viewer"])),
    params(InGroup),
    responses((status = 200, description = "The group", body = ThingGroup), (status = 404, description = "There is no such group"))
)]
pub(super) async fn show(
    State(state): State<ServerState>,
    Path(group): Path<String>,
    caller: Caller,
) -> Result<axum::Json<ThingGroup>, Problem> {
    caller.require(Action::ReadFleet)?;
    let group: GroupName = named(&group)?;
    let found = state.registry.group(&group).await?;
    Ok(axum::Json(found.ok_or(RegistryError::NoGroup(group))?))
}

/// Make a group.
///
/// With a query it is dynamic, and holds what that finds.
#[utoipa::path(
    post, path = "/api/v1/thing-groups/{group}", tag = "thing groups",
    security(("token" = ["operator"])),
    params(InGroup), request_body = NewThingGroup,
    responses(
    (status = 201, description = "It was made", body = ThingGroup),
    (status = 200, description = "It was there already, just so", body = ThingGroup),
    (status = 404, description = "There is no such parent"),
    (status = 409, description = "It is there already and another one, or there are as many groups as may be"),
    (status = 422, description = "The query is none, or a dynamic group is given a parent"),
    )
)]
pub(super) async fn create(
    State(state): State<ServerState>,
    Path(group): Path<String>,
    caller: Caller,
    Json(new): Json<NewThingGroup>,
) -> Result<(StatusCode, axum::Json<ThingGroup>), Problem> {
    caller.require(Action::ManageFleet)?;
    let (group, is_new) = state.registry.create_group(&named(&group)?, new, &caller.actor()).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, axum::Json(group)))
}

/// Change a group.
#[utoipa::path(
    patch, path = "/api/v1/thing-groups/{group}", tag = "thing groups",
    security(("token" = ["operator"])),
    params(InGroup), request_body = ThingGroupChange,
    responses(
    (status = 200, description = "The group as it is now", body = ThingGroup),
    (status = 404, description = "There is no such group"),
    (status = 409, description = "It is at another version, or is a static group, which has no query"),
    (status = 422, description = "The query is none, or there are too many attributes"),
    )
)]
pub(super) async fn update(
    State(state): State<ServerState>,
    Path(group): Path<String>,
    caller: Caller,
    Json(change): Json<ThingGroupChange>,
) -> Result<axum::Json<ThingGroup>, Problem> {
    caller.require(Action::ManageFleet)?;
    Ok(axum::Json(state.registry.update_group(&named(&group)?, change, &caller.actor()).await?))
}

/// Delete a group.
///
/// Its things stay. No group may stand in it, and no policy may be attached to it.
#[utoipa::path(
    delete, path = "/api/v1/thing-groups/{group}", tag = "thing groups",
    security(("token" = ["operator"])),
    params(InGroup),
    responses(
    (status = 200, description = "The group as it was", body = ThingGroup),
    (status = 404, description = "There is no such group"),
    (status = 409, description = "A group stands in it, a policy is attached to it, or it is the server's own"),
    )
)]
pub(super) async fn delete(
    State(state): State<ServerState>,
    Path(group): Path<String>,
    caller: Caller,
) -> Result<axum::Json<ThingGroup>, Problem> {
    caller.require(Action::ManageFleet)?;
    Ok(axum::Json(state.registry.delete_group(&named(&group)?, &caller.actor()).await?))
}

/// Which things of a group.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MembersQuery {
    #[serde(default)]
    recursive: bool,
    limit: Option<u16>,
    after: Option<String>,
}

/// The things of a group.
#[utoipa::path(
    get, path = "/api/v1/thing-groups/{group}/things", tag = "thing groups",
    security(("token" = ["viewer"])),
    params(InGroup,
    ("recursive" = Option<bool>, Query, description = "Also those of the groups below it", nullable = false),
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 1000, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of them, by name", body = GroupMembers), (status = 404, description = "There is no such group"))
)]
pub(super) async fn members(
    State(state): State<ServerState>,
    Path(group): Path<String>,
    caller: Caller,
    Asked(MembersQuery { recursive, limit, after }): Asked<MembersQuery>,
) -> Result<axum::Json<GroupMembers>, Problem> {
    caller.require(Action::ReadFleet)?;
    let limit = page::limit(limit, MEMBERS_PAGE)?;
    let after = after.map(|after| page::place("after", after)).transpose()?.unwrap_or_default();
    Ok(axum::Json(state.registry.members(&named(&group)?, recursive, limit, &after).await?))
}

/// Put a thing into a static group.
#[utoipa::path(
    put, path = "/api/v1/thing-groups/{group}/things/{thing}", tag = "thing groups",
    security(("token" = ["operator"])),
    params(InGroupOfThing),
    responses(
    (status = 200, description = "It is in it", body = Done),
    (status = 404, description = "There is no such group, or no such thing"),
    (status = 409, description = "The group is dynamic, or the thing is in as many groups as may be"),
    )
)]
pub(super) async fn add(
    State(state): State<ServerState>,
    Path((group, thing)): Path<(String, String)>,
    caller: Caller,
) -> Result<axum::Json<Done>, Problem> {
    caller.require(Action::ManageFleet)?;
    let changed = state.registry.add_to_group(&named(&group)?, &named(&thing)?, &caller.actor()).await?;
    Ok(axum::Json(Done { changed }))
}

/// Take a thing out of a static group.
#[utoipa::path(
    delete, path = "/api/v1/thing-groups/{group}/things/{thing}", tag = "thing groups",
    security(("token" = ["operator"])),
    params(InGroupOfThing),
    responses(
    (status = 200, description = "It is not in it", body = Done),
    (status = 404, description = "There is no such group, or no such thing"),
    (status = 409, description = "The group is dynamic"),
    )
)]
pub(super) async fn remove(
    State(state): State<ServerState>,
    Path((group, thing)): Path<(String, String)>,
    caller: Caller,
) -> Result<axum::Json<Done>, Problem> {
    caller.require(Action::ManageFleet)?;
    let changed = state.registry.remove_from_group(&named(&group)?, &named(&thing)?, &caller.actor()).await?;
    Ok(axum::Json(Done { changed }))
}
