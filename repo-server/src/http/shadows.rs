//! `/things/THING/shadow` and `/api/things/shadow/ListNamedShadowsForThing/THING`: shadows over REST, with AWS's paths and
//! shapes.

use super::caller::{Caller, bearer_token};
use super::device;
use super::json::{Asked, BODY_TIME};
use super::problem::Problem;
use super::service_error::ServiceError;
use super::state::ServerState;
use crate::access::Action;
use crate::audit::Actor;
use crate::external_broker::BrokerState;
use axum::extract::{FromRequest as _, FromRequestParts as _, Path, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use fleet_protocol::names::{ShadowName, ThingName};
use fleet_protocol::openapi::{ShadowName as ShadowNameText, ShadowUpdate, ThingName as ThingNameText};
use fleet_protocol::policy;
use fleet_protocol::shadow::{NamedShadows, Operation, Rejected, ShadowId};
use serde::Deserialize;
use tokio::time::timeout;

/// Names on a page.
const PAGE: u16 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShadowQuery {
    name: Option<String>,
}

/// A thing's shadow.
///
/// With the difference between its sections as `state.delta`, if there is one.
#[utoipa::path(
    get, path = "/things/{thing}/shadow", tag = "shadows",
    security(("token" = ["viewer"])),
    params(
    ("thing" = ThingNameText, Path, description = "The thing"),
    ("name" = Option<ShadowNameText>, Query, description = "The named shadow; without it the classic one", nullable = false),
    ),
    responses((status = 200, description = "The shadow", body = Object), (status = 404, description = "There is no such thing or shadow", body = Rejected))
)]
pub(super) async fn get(State(state): State<ServerState>, request: Request) -> Result<Response, ServiceError> {
    carry_out(&state, request, Operation::Get, policy::Action::GetThingShadow).await
}

/// Change a thing's shadow, or make it.
///
/// Members of `state.desired` and `state.reported` are merged; null removes. With a `version` it must be the shadow's.
#[utoipa::path(
    post, path = "/things/{thing}/shadow", tag = "shadows",
    security(("token" = ["operator"])),
    params(
    ("thing" = ThingNameText, Path, description = "The thing"),
    ("name" = Option<ShadowNameText>, Query, description = "The named shadow; without it the classic one", nullable = false),
    ),
    request_body = ShadowUpdate,
    responses(
    (status = 200, description = "What was written", body = Object),
    (status = 404, description = "There is no such thing", body = Rejected),
    (status = 409, description = "The shadow has another version, or changes at the same time", body = Rejected),
    )
)]
pub(super) async fn update(State(state): State<ServerState>, request: Request) -> Result<Response, ServiceError> {
    carry_out(&state, request, Operation::Update, policy::Action::UpdateThingShadow).await
}

/// Delete a thing's shadow.
///
/// Its version goes on where it is made again.
#[utoipa::path(
    delete, path = "/things/{thing}/shadow", tag = "shadows",
    security(("token" = ["operator"])),
    params(
    ("thing" = ThingNameText, Path, description = "The thing"),
    ("name" = Option<ShadowNameText>, Query, description = "The named shadow; without it the classic one", nullable = false),
    ),
    responses((status = 200, description = "The deleted shadow's version", body = Object), (status = 404, description = "There is no such thing or shadow", body = Rejected))
)]
pub(super) async fn delete(State(state): State<ServerState>, request: Request) -> Result<Response, ServiceError> {
    carry_out(&state, request, Operation::Delete, policy::Action::DeleteThingShadow).await
}

async fn carry_out(
    state: &ServerState,
    request: Request,
    operation: Operation,
    action: policy::Action,
) -> Result<Response, ServiceError> {
    let (mut head, body) = request.into_parts();
    let thing = thing_of(&mut head, state).await?;
    let Asked(ShadowQuery { name }) = Asked::from_request_parts(&mut head, state).await?;
    let name = name.map(|name| name.parse::<ShadowName>()).transpose();
    let shadow = ShadowId { thing, name: name.map_err(|error| ServiceError::bad_request(error.to_string()))? };
    let by = admit(&mut head, state, action, &shadow).await?;
    if operation != Operation::Get && state.external_broker.as_ref().is_some_and(BrokerState::has_shadows) {
        return Err(Problem::shadows_elsewhere().into());
    }
    let payload = match operation {
        Operation::Update => read(Request::from_parts(head, body), state).await?,
        Operation::Get | Operation::Delete => Bytes::new(),
    };
    match state.shadows.carry_out(&shadow, operation, &payload, by.as_ref()).await {
        Ok(done) => {
            let answer = done.accepted.clone();
            if operation != Operation::Get {
                state.registry.shadow_changed(&shadow.thing).await;
                done.into_messages(&shadow, operation).into_iter().for_each(|message| state.outbox.send(message));
            }
            Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], answer)
                .into_response())
        }
        Err(error) => Err(state.shadows.rejected(&shadow, &payload, &error).into()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamesQuery {
    #[serde(rename = "pageSize")]
    page_size: Option<u16>,
    #[serde(rename = "nextToken")]
    next_token: Option<String>,
}

/// The names of a thing's named shadows.
#[utoipa::path(
    get, path = "/api/things/shadow/ListNamedShadowsForThing/{thing}", tag = "shadows",
    security(("token" = ["viewer"])),
    params(
    ("thing" = ThingNameText, Path, description = "The thing"),
    ("pageSize" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 100, nullable = false),
    ("nextToken" = Option<ShadowNameText>, Query, description = "Where the page begins: the last page's `nextToken`", nullable = false),
    ),
    responses((status = 200, description = "A page of them", body = NamedShadows), (status = 404, description = "There is no such thing", body = Rejected))
)]
pub(super) async fn names(
    State(state): State<ServerState>,
    request: Request,
) -> Result<axum::Json<NamedShadows>, ServiceError> {
    let (mut head, _) = request.into_parts();
    let thing = thing_of(&mut head, &state).await?;
    let shadow = ShadowId { thing, name: None };
    admit(&mut head, &state, policy::Action::ListNamedShadowsForThing, &shadow).await?;
    let Asked(NamesQuery { page_size, next_token }) = Asked::from_request_parts(&mut head, &state).await?;
    let limit = page_size.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&limit) {
        return Err(ServiceError::bad_request(format!("pageSize is {limit}; give one of 1 to {PAGE}")));
    }
    let after = next_token.map(|token| token.parse::<ShadowName>()).transpose();
    let after = after.map_err(|_| ServiceError::bad_request("nextToken is not the last page's nextToken"))?;
    let names = state.shadows.names(&shadow.thing, limit, after.as_ref().map_or("", ShadowName::as_str)).await;
    names.map(axum::Json).map_err(|error| state.shadows.rejected(&shadow, b"", &error).into())
}

async fn thing_of(head: &mut Parts, state: &ServerState) -> Result<ThingName, ServiceError> {
    let Path(thing) = Path::<String>::from_request_parts(head, state)
        .await
        .map_err(|rejection| ServiceError::bad_request(rejection.body_text()))?;
    thing.parse().map_err(|error: fleet_protocol::names::NameError| ServiceError::bad_request(error.to_string()))
}

/// Goes on only for whoever may do it: a person by their token's role, a device by its policies; and says which person
/// that is.
async fn admit(
    head: &mut Parts,
    state: &ServerState,
    action: policy::Action,
    shadow: &ShadowId,
) -> Result<Option<Actor>, ServiceError> {
    // What else AWS's clients sign with is theirs.
    if bearer_token(&head.headers).is_none() {
        device::require(head, state, &shadow.thing, action, &shadow.label()).await?;
        return Ok(None);
    }
    let changes = matches!(action, policy::Action::UpdateThingShadow | policy::Action::DeleteThingShadow);
    let caller = Caller::from_request_parts(head, state).await?;
    caller.require(if changes { Action::ManageFleet } else { Action::ReadFleet })?;
    Ok(Some(caller.actor()))
}

/// A request's body, whatever it says that it is: AWS's clients do not say.
async fn read(request: Request, state: &ServerState) -> Result<Bytes, ServiceError> {
    match timeout(BODY_TIME, Bytes::from_request(request, state)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) => Err(Problem::bad_body(rejection.status(), rejection.body_text()).into()),
        Err(_) => {
            let seconds = BODY_TIME.as_secs();
            Err(ServiceError::bad_request(format!("the request's body did not come within {seconds} seconds")))
        }
    }
}
