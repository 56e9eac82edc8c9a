//! `/api/v1/things/…`: devices, and what is known of them.

use super::address::{InThing, InThingOfCertificate, named};
use super::caller::Caller;
use super::json::{Asked, Json};
use super::page::{self, PageQuery};
use super::problem::Problem;
use super::state::ServerState;
use crate::access::Action;
use crate::things::RegistryError;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use fleet_protocol::fleet_query::Query;
use fleet_protocol::names::{CertificateId, ThingName};
use fleet_protocol::things::{
    Done, GroupsOfThing, MOST_REGISTRATIONS, NewThing, Principals, Registered, Registrations, SearchPage, Thing,
    ThingChange, ThingPage,
};
use serde::Deserialize;

/// Things on a page.
const PAGE: u16 = 250;
/// Found things on a page.
const SEARCH_PAGE: u16 = 500;

/// All things.
#[utoipa::path(
    get, path = "/api/v1/things", tag = "things",
    security(("token" = ["viewer"])),
    params(
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 250, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of them, by name", body = ThingPage))
)]
pub(super) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<axum::Json<ThingPage>, Problem> {
    caller.require(Action::ReadFleet)?;
    let (limit, after) = query.check(PAGE)?;
    Ok(axum::Json(state.registry.list_things(limit, &after).await?))
}

/// Register many things.
///
/// Each that cannot be registered is told with the reason, and the others are registered, also into their groups.
#[utoipa::path(
    post, path = "/api/v1/things", tag = "things",
    security(("token" = ["operator"])),
    request_body = Registrations,
    responses((status = 200, description = "What became of them", body = Registered))
)]
pub(super) async fn register(
    State(state): State<ServerState>,
    caller: Caller,
    Json(Registrations { things }): Json<Registrations>,
) -> Result<axum::Json<Registered>, Problem> {
    caller.require(Action::ManageFleet)?;
    if things.len() > MOST_REGISTRATIONS {
        return Err(Problem::bad_request(format!(
            "the request names {} things; send up to {MOST_REGISTRATIONS} at once",
            things.len()
        )));
    }
    Ok(axum::Json(state.registry.register(&things, &caller.actor()).await?))
}

/// A thing.
#[utoipa::path(
    get, path = "/api/v1/things/{thing}", tag = "things",
    security(("token" = ["viewer"])),
    params(InThing),
    responses((status = 200, description = "The thing", body = Thing), (status = 404, description = "There is no such thing"))
)]
pub(super) async fn show(
    State(state): State<ServerState>,
    Path(thing): Path<String>,
    caller: Caller,
) -> Result<axum::Json<Thing>, Problem> {
    caller.require(Action::ReadFleet)?;
    let thing: ThingName = named(&thing)?;
    let found = state.registry.thing(&thing).await?;
    Ok(axum::Json(found.ok_or(RegistryError::NoThing(thing))?))
}

/// Make a thing.
#[utoipa::path(
    post, path = "/api/v1/things/{thing}", tag = "things",
    security(("token" = ["operator"])),
    params(InThing), request_body = NewThing,
    responses(
    (status = 201, description = "It was made", body = Thing),
    (status = 200, description = "It was there already, just so", body = Thing),
    (status = 404, description = "There is no such type"),
    (status = 409, description = "It is there already with another type or other attributes, or the type is deprecated"),
    )
)]
pub(super) async fn create(
    State(state): State<ServerState>,
    Path(thing): Path<String>,
    caller: Caller,
    Json(new): Json<NewThing>,
) -> Result<(StatusCode, axum::Json<Thing>), Problem> {
    caller.require(Action::ManageFleet)?;
    let (thing, is_new) = state.registry.create_thing(&named(&thing)?, &new, &caller.actor()).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, axum::Json(thing)))
}

/// Change a thing.
#[utoipa::path(
    patch, path = "/api/v1/things/{thing}", tag = "things",
    security(("token" = ["operator"])),
    params(InThing), request_body = ThingChange,
    responses(
    (status = 200, description = "The thing as it is now", body = Thing),
    (status = 404, description = "There is no such thing, or no such type"),
    (status = 409, description = "It is at another version, or the type is deprecated"),
    (status = 422, description = "Nothing can be so"),
    )
)]
pub(super) async fn update(
    State(state): State<ServerState>,
    Path(thing): Path<String>,
    caller: Caller,
    Json(change): Json<ThingChange>,
) -> Result<axum::Json<Thing>, Problem> {
    caller.require(Action::ManageFleet)?;
    Ok(axum::Json(state.registry.update_thing(&named(&thing)?, change, &caller.actor()).await?))
}

/// Delete a thing.
///
/// No certificate may speak for it any more.
#[utoipa::path(
    delete, path = "/api/v1/things/{thing}", tag = "things",
    security(("token" = ["operator"])),
    params(InThing),
    responses(
    (status = 200, description = "The thing as it was", body = Thing),
    (status = 404, description = "There is no such thing"),
    (status = 409, description = "A certificate speaks for it"),
    )
)]
pub(super) async fn delete(
    State(state): State<ServerState>,
    Path(thing): Path<String>,
    caller: Caller,
) -> Result<axum::Json<Thing>, Problem> {
    caller.require(Action::ManageFleet)?;
    Ok(axum::Json(state.registry.delete_thing(&named(&thing)?, &caller.actor()).await?))
}

/// What is looked for, and which page of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchQuery {
    query: String,
    limit: Option<u16>,
    after: Option<String>,
}

/// Find things.
#[utoipa::path(
    get, path = "/api/v1/search/things", tag = "things",
    security(("token" = ["viewer"])),
    params(
    ("query" = fleet_protocol::openapi::QueryString, Query, description = "In the syntax of AWS IoT fleet indexing"),
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 500, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of them, by name", body = SearchPage), (status = 422, description = "This is no query"))
)]
pub(super) async fn search(
    State(state): State<ServerState>,
    caller: Caller,
    Asked(SearchQuery { query, limit, after }): Asked<SearchQuery>,
) -> Result<axum::Json<SearchPage>, Problem> {
    caller.require(Action::ReadFleet)?;
    let limit = page::limit(limit, SEARCH_PAGE)?;
    let after = after.map(|after| page::place("after", after)).transpose()?.unwrap_or_default();
    let query: Query = query.parse().map_err(RegistryError::from)?;
    Ok(axum::Json(state.registry.search(&query, limit, &after).await?))
}

/// The groups that a thing is in.
#[utoipa::path(
    get, path = "/api/v1/things/{thing}/thing-groups", tag = "things",
    security(("token" = ["viewer"])),
    params(InThing),
    responses((status = 200, description = "Static and dynamic ones, by name", body = GroupsOfThing), (status = 404, description = "There is no such thing"))
)]
pub(super) async fn groups(
    State(state): State<ServerState>,
    Path(thing): Path<String>,
    caller: Caller,
) -> Result<axum::Json<GroupsOfThing>, Problem> {
    caller.require(Action::ReadFleet)?;
    let thing_groups = state.registry.direct_groups_of(&named(&thing)?).await?;
    Ok(axum::Json(GroupsOfThing { thing_groups }))
}

/// The certificates that speak for a thing.
#[utoipa::path(
    get, path = "/api/v1/things/{thing}/principals", tag = "things",
    security(("token" = ["viewer"])),
    params(InThing),
    responses((status = 200, description = "Their ids", body = Principals), (status = 404, description = "There is no such thing"))
)]
pub(super) async fn principals(
    State(state): State<ServerState>,
    Path(thing): Path<String>,
    caller: Caller,
) -> Result<axum::Json<Principals>, Problem> {
    caller.require(Action::ReadFleet)?;
    let principals = state.registry.principals_of(&named(&thing)?).await?;
    Ok(axum::Json(Principals { principals }))
}

/// Have a certificate speak for a thing.
#[utoipa::path(
    put, path = "/api/v1/things/{thing}/principals/{certificate}", tag = "things",
    security(("token" = ["admin"])),
    params(InThingOfCertificate),
    responses(
    (status = 200, description = "It does", body = Done),
    (status = 404, description = "There is no such thing, or no such certificate"),
    (status = 409, description = "As many certificates as may speak for it already"),
    )
)]
pub(super) async fn attach(
    State(state): State<ServerState>,
    Path((thing, certificate)): Path<(String, String)>,
    caller: Caller,
) -> Result<axum::Json<Done>, Problem> {
    caller.require(Action::ManageIdentities)?;
    let (thing, certificate): (ThingName, CertificateId) = (named(&thing)?, named(&certificate)?);
    let changed = state.registry.attach(&thing, &certificate, &caller.actor()).await?;
    Ok(axum::Json(Done { changed }))
}

/// Have a certificate speak for a thing no longer.
#[utoipa::path(
    delete, path = "/api/v1/things/{thing}/principals/{certificate}", tag = "things",
    security(("token" = ["admin"])),
    params(InThingOfCertificate),
    responses((status = 200, description = "It does not", body = Done), (status = 404, description = "There is no such thing"))
)]
pub(super) async fn detach(
    State(state): State<ServerState>,
    Path((thing, certificate)): Path<(String, String)>,
    caller: Caller,
) -> Result<axum::Json<Done>, Problem> {
    caller.require(Action::ManageIdentities)?;
    let (thing, certificate): (ThingName, CertificateId) = (named(&thing)?, named(&certificate)?);
    let changed = state.registry.detach(&thing, &certificate, &caller.actor()).await?;
    Ok(axum::Json(Done { changed }))
}
