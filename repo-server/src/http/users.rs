//! `/api/v1/users`: people, and which things they see.

use super::address::{InUser, InUserOfGroup, InUserOfThing, named};
use super::caller::Caller;
use super::json::{Asked, Json};
use super::page::PageQuery;
use super::problem::Problem;
use super::state::ServerState;
use crate::access::Action;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use fleet_protocol::people::{Ended, NewPassword, NewUser, UserChange, UserInfo, UserPage};
use fleet_protocol::things::{Done, GroupMembers};

/// Users on a page.
const PAGE: u16 = 100;
/// Things on a page.
const THINGS_PAGE: u16 = 1_000;

/// All users.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "users",
    security(("token" = ["operator"])),
    params(
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 100, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of them, by name", body = UserPage))
)]
pub(super) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<axum::Json<UserPage>, Problem> {
    caller.require(Action::AssignUsers)?;
    let (limit, after) = query.check(PAGE)?;
    Ok(axum::Json(state.people.list(limit, &after).await?))
}

/// A user, and what was given to them.
#[utoipa::path(
    get, path = "/api/v1/users/{user}", tag = "users",
    security(("token" = ["operator"])),
    params(InUser),
    responses((status = 200, description = "The user", body = UserInfo), (status = 404, description = "There is no such user"))
)]
pub(super) async fn show(
    State(state): State<ServerState>,
    Path(user): Path<String>,
    caller: Caller,
) -> Result<axum::Json<UserInfo>, Problem> {
    caller.require(Action::AssignUsers)?;
    Ok(axum::Json(state.people.user(&named(&user)?).await?))
}

/// Make a user.
#[utoipa::path(
    post, path = "/api/v1/users/{user}", tag = "users",
    security(("token" = ["admin"])),
    params(InUser), request_body = NewUser,
    responses(
    (status = 201, description = "They were made, and see nothing yet", body = UserInfo),
    (status = 409, description = "There is a user of this name"),
    (status = 422, description = "The password is too short or too long, or the names cannot be"),
    )
)]
pub(super) async fn create(
    State(state): State<ServerState>,
    Path(user): Path<String>,
    caller: Caller,
    Json(new): Json<NewUser>,
) -> Result<(StatusCode, axum::Json<UserInfo>), Problem> {
    caller.require(Action::ManageIdentities)?;
    let made = state.people.create(&named(&user)?, new, &caller.actor()).await?;
    Ok((StatusCode::CREATED, axum::Json(made)))
}

/// Change a user.
///
/// Of a disabled user all sessions and tokens end, and their connections within two seconds.
#[utoipa::path(
    patch, path = "/api/v1/users/{user}", tag = "users",
    security(("token" = ["admin"])),
    params(InUser), request_body = UserChange,
    responses(
    (status = 200, description = "The user as they are now", body = UserInfo),
    (status = 404, description = "There is no such user"),
    (status = 422, description = "The display name cannot be"),
    )
)]
pub(super) async fn update(
    State(state): State<ServerState>,
    Path(user): Path<String>,
    caller: Caller,
    Json(change): Json<UserChange>,
) -> Result<axum::Json<UserInfo>, Problem> {
    caller.require(Action::ManageIdentities)?;
    Ok(axum::Json(state.people.update(&named(&user)?, change, &caller.actor()).await?))
}

/// Delete a user whom no policy is attached to.
///
/// All that they are signed in with ends, and their connections within two seconds.
#[utoipa::path(
    delete, path = "/api/v1/users/{user}", tag = "users",
    security(("token" = ["admin"])),
    params(InUser),
    responses(
    (status = 200, description = "The user as they were", body = UserInfo),
    (status = 404, description = "There is no such user"),
    (status = 409, description = "A policy is attached to them"),
    )
)]
pub(super) async fn delete(
    State(state): State<ServerState>,
    Path(user): Path<String>,
    caller: Caller,
) -> Result<axum::Json<UserInfo>, Problem> {
    caller.require(Action::ManageIdentities)?;
    Ok(axum::Json(state.people.delete(&named(&user)?, &caller.actor()).await?))
}

/// Set a user's password.
///
/// All that they are signed in with ends.
#[utoipa::path(
    put, path = "/api/v1/users/{user}/password", tag = "users",
    security(("token" = ["admin"])),
    params(InUser), request_body = NewPassword,
    responses(
    (status = 200, description = "The user", body = UserInfo),
    (status = 404, description = "There is no such user"),
    (status = 422, description = "The password is too short or too long"),
    )
)]
pub(super) async fn set_password(
    State(state): State<ServerState>,
    Path(user): Path<String>,
    caller: Caller,
    Json(NewPassword { password }): Json<NewPassword>,
) -> Result<axum::Json<UserInfo>, Problem> {
    caller.require(Action::ManageIdentities)?;
    Ok(axum::Json(state.people.set_password(&named(&user)?, &password, &caller.actor()).await?))
}

/// End a user's sessions and tokens, and their connections within two seconds.
#[utoipa::path(
    delete, path = "/api/v1/users/{user}/sessions", tag = "users",
    security(("token" = ["operator"])),
    params(InUser),
    responses((status = 200, description = "How many there were", body = Ended), (status = 404, description = "There is no such user"))
)]
pub(super) async fn end_sessions(
    State(state): State<ServerState>,
    Path(user): Path<String>,
    caller: Caller,
) -> Result<axum::Json<Ended>, Problem> {
    caller.require(Action::AssignUsers)?;
    let ended = state.people.end_sessions(&named(&user)?, &caller.actor()).await?;
    Ok(axum::Json(Ended { ended }))
}

/// The things that a user sees, by themselves and in groups.
#[utoipa::path(
    get, path = "/api/v1/users/{user}/things", tag = "users",
    security(("token" = ["operator"])),
    params(InUser,
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 1000, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of them, by name", body = GroupMembers), (status = 404, description = "There is no such user"))
)]
pub(super) async fn things(
    State(state): State<ServerState>,
    Path(user): Path<String>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<axum::Json<GroupMembers>, Problem> {
    caller.require(Action::AssignUsers)?;
    let (limit, after) = query.check(THINGS_PAGE)?;
    Ok(axum::Json(state.people.things_of(&named(&user)?, limit, &after).await?))
}

/// Give a user a thing.
#[utoipa::path(
    put, path = "/api/v1/users/{user}/things/{thing}", tag = "users",
    security(("token" = ["operator"])),
    params(InUserOfThing),
    responses(
    (status = 200, description = "They see it", body = Done),
    (status = 404, description = "There is no such user, or no such thing"),
    (status = 409, description = "They were given as many things as may be"),
    )
)]
pub(super) async fn give_thing(
    State(state): State<ServerState>,
    Path((user, thing)): Path<(String, String)>,
    caller: Caller,
) -> Result<axum::Json<Done>, Problem> {
    caller.require(Action::AssignUsers)?;
    let changed = state.people.give_thing(&named(&user)?, &named(&thing)?, &caller.actor()).await?;
    Ok(axum::Json(Done { changed }))
}

/// Take a thing from a user that was given to them by itself.
#[utoipa::path(
    delete, path = "/api/v1/users/{user}/things/{thing}", tag = "users",
    security(("token" = ["operator"])),
    params(InUserOfThing),
    responses(
    (status = 200, description = "They see it no longer, but in a group", body = Done),
    (status = 404, description = "There is no such user"),
    )
)]
pub(super) async fn take_thing(
    State(state): State<ServerState>,
    Path((user, thing)): Path<(String, String)>,
    caller: Caller,
) -> Result<axum::Json<Done>, Problem> {
    caller.require(Action::AssignUsers)?;
    let changed = state.people.take_thing(&named(&user)?, &named(&thing)?, &caller.actor()).await?;
    Ok(axum::Json(Done { changed }))
}

/// Give a user the things of a group, static or dynamic, and of those below it.
#[utoipa::path(
    put, path = "/api/v1/users/{user}/thing-groups/{group}", tag = "users",
    security(("token" = ["operator"])),
    params(InUserOfGroup),
    responses(
    (status = 200, description = "They see its things", body = Done),
    (status = 404, description = "There is no such user, or no such group"),
    (status = 409, description = "They were given as many groups as may be"),
    )
)]
pub(super) async fn give_group(
    State(state): State<ServerState>,
    Path((user, group)): Path<(String, String)>,
    caller: Caller,
) -> Result<axum::Json<Done>, Problem> {
    caller.require(Action::AssignUsers)?;
    let changed = state.people.give_group(&named(&user)?, &named(&group)?, &caller.actor()).await?;
    Ok(axum::Json(Done { changed }))
}

/// Take the things of a group from a user.
#[utoipa::path(
    delete, path = "/api/v1/users/{user}/thing-groups/{group}", tag = "users",
    security(("token" = ["operator"])),
    params(InUserOfGroup),
    responses(
    (status = 200, description = "They see its things no longer, but those in other groups of theirs", body = Done),
    (status = 404, description = "There is no such user"),
    )
)]
pub(super) async fn take_group(
    State(state): State<ServerState>,
    Path((user, group)): Path<(String, String)>,
    caller: Caller,
) -> Result<axum::Json<Done>, Problem> {
    caller.require(Action::AssignUsers)?;
    let changed = state.people.take_group(&named(&user)?, &named(&group)?, &caller.actor()).await?;
    Ok(axum::Json(Done { changed }))
}
