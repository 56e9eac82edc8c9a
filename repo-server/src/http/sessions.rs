//! `/api/v1/sessions`, `/api/v1/session`: signing in and out, and tokens for MQTT.

use super::address::{InUser, named};
use super::caller::{Caller, address_of};
use super::exchange::Client;
use super::host::requested_host;
use super::json::{Asked, Json};
use super::page::PageQuery;
use super::problem::Problem;
use super::signed_in::Visitor;
use super::state::{Scheme, ServerState};
use crate::access::Action;
use crate::people::NewSecret;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use fleet_protocol::names::UserName;
use fleet_protocol::people::{CreatedSession, Credentials, MqttToken, PasswordChange, SessionInfo, client_id_prefix};
use fleet_protocol::things::GroupMembers;
use serde::Deserialize;

/// Things on a page.
const THINGS_PAGE: u16 = 1_000;
/// It holds a secret.
const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

type Secret<T> = (StatusCode, [(HeaderName, &'static str); 1], axum::Json<T>);

/// Sign in with a password.
///
/// The answer is the only one that holds the session's token, which counts for twelve hours. It is no API token: it is for
/// the operations below `/api/v1/session`.
#[utoipa::path(
    post, path = "/api/v1/sessions", tag = "sessions",
    security(()),
    request_body = Credentials,
    responses(
    (status = 201, description = "The session", body = CreatedSession),
    (status = 401, description = "The user name or the password is wrong, or the user may not sign in"),
    (status = 429, description = "Too many wrong passwords came from this address"),
    (status = 503, description = "Too many people sign in at once; send it again"),
    )
)]
pub(super) async fn sign_in(
    State(state): State<ServerState>,
    client: Option<Extension<Client>>,
    Json(credentials): Json<Credentials>,
) -> Result<Secret<CreatedSession>, Problem> {
    let address = address_of(client.as_deref());
    Ok((StatusCode::CREATED, NO_STORE, axum::Json(state.people.sign_in(credentials, address).await?)))
}

/// Who is signed in.
#[utoipa::path(
    get, path = "/api/v1/session", tag = "sessions",
    security(("session" = [])),
    responses((status = 200, description = "The session", body = SessionInfo))
)]
pub(super) async fn show(visitor: Visitor) -> axum::Json<SessionInfo> {
    axum::Json(info(&visitor))
}

/// Sign out.
///
/// The session's tokens for MQTT end, and the connections that were opened with them.
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "sessions",
    security(("session" = [])),
    responses((status = 200, description = "The session as it was", body = SessionInfo))
)]
pub(super) async fn sign_out(
    State(state): State<ServerState>,
    visitor: Visitor,
) -> Result<axum::Json<SessionInfo>, Problem> {
    state.people.sign_out(&visitor.signed_in, &visitor.actor).await?;
    Ok(axum::Json(info(&visitor)))
}

/// Set another password.
///
/// It takes the old one. All that the user is signed in with ends, this session too: sign in again.
#[utoipa::path(
    put, path = "/api/v1/session/password", tag = "sessions",
    security(("session" = [])),
    request_body = PasswordChange,
    responses(
    (status = 204, description = "It is set"),
    (status = 403, description = "The old password is wrong"),
    (status = 422, description = "The new password is too short or too long"),
    (status = 429, description = "Too many wrong passwords came from this address"),
    (status = 503, description = "Too many people sign in at once; send it again"),
    )
)]
pub(super) async fn change_password(
    State(state): State<ServerState>,
    visitor: Visitor,
    client: Option<Extension<Client>>,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode, Problem> {
    let address = address_of(client.as_deref());
    state.people.change_password(&visitor.signed_in, change, address, &visitor.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The things that whoever is signed in sees.
#[utoipa::path(
    get, path = "/api/v1/session/things", tag = "sessions",
    security(("session" = [])),
    params(
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 1000, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of them, by name", body = GroupMembers))
)]
pub(super) async fn things(
    State(state): State<ServerState>,
    visitor: Visitor,
    Asked(query): Asked<PageQuery>,
) -> Result<axum::Json<GroupMembers>, Problem> {
    let (limit, after) = query.check(THINGS_PAGE)?;
    Ok(axum::Json(state.people.things_of(&visitor.signed_in.user.user_name, limit, &after).await?))
}

/// How long a token shall count.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TokenQuery {
    lifetime_seconds: Option<u32>,
}

/// A token for MQTT over WebSocket, for whoever is signed in.
///
/// Its connection sees the user's things, and ends with the token.
#[utoipa::path(
    post, path = "/api/v1/session/mqtt-tokens", tag = "sessions",
    security(("session" = [])),
    params(
    ("lifetimeSeconds" = Option<u32>, Query, description = "So long it counts; 900 unless given", minimum = 1, maximum = 900, nullable = false),
    ),
    responses(
    (status = 201, description = "The token, and where it is shown", body = MqttToken),
    (status = 409, description = "The session has just ended"),
    (status = 422, description = "No token counts for so long"),
    )
)]
pub(super) async fn make_token(
    State(state): State<ServerState>,
    visitor: Visitor,
    Asked(TokenQuery { lifetime_seconds }): Asked<TokenQuery>,
    client: Option<Extension<Client>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Secret<MqttToken>, Problem> {
    let url = url(client.as_deref(), &uri, &headers)?;
    let made = state.people.token_in_session(&visitor.signed_in, lifetime_seconds).await?;
    Ok(told(made, visitor.signed_in.user.user_name, url))
}

/// A token for MQTT over WebSocket, for a user.
///
/// For a web application that knows its users by itself: it asks with its own token and hands the answer on.
#[utoipa::path(
    post, path = "/api/v1/users/{user}/mqtt-tokens", tag = "sessions",
    security(("token" = ["operator"])),
    params(InUser,
    ("lifetimeSeconds" = Option<u32>, Query, description = "So long it counts; 900 unless given", minimum = 1, maximum = 900, nullable = false),
    ),
    responses(
    (status = 201, description = "The token, and where it is shown", body = MqttToken),
    (status = 404, description = "There is no such user"),
    (status = 409, description = "The user is disabled"),
    (status = 422, description = "No token counts for so long"),
    )
)]
pub(super) async fn make_token_for(
    State(state): State<ServerState>,
    Path(user): Path<String>,
    caller: Caller,
    Asked(TokenQuery { lifetime_seconds }): Asked<TokenQuery>,
    client: Option<Extension<Client>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Secret<MqttToken>, Problem> {
    caller.require(Action::AssignUsers)?;
    let (user, url) = (named::<UserName>(&user)?, url(client.as_deref(), &uri, &headers)?);
    let made = state.people.token_for(&user, lifetime_seconds, &caller.actor()).await?;
    Ok(told(made, user, url))
}

fn info(visitor: &Visitor) -> SessionInfo {
    SessionInfo { expires_at: visitor.signed_in.expires_at, user: visitor.signed_in.user.clone() }
}

fn told(made: NewSecret, user_name: UserName, url: String) -> Secret<MqttToken> {
    let NewSecret { id, secret: token, expires_at } = made;
    let client_id = format!("{}{id}", client_id_prefix(&user_name));
    (StatusCode::CREATED, NO_STORE, axum::Json(MqttToken { token, expires_at, url, client_id, user_name }))
}

/// Where MQTT over WebSocket is, as the client reaches this server.
fn url(client: Option<&Client>, uri: &Uri, headers: &HeaderMap) -> Result<String, Problem> {
    let host = requested_host(uri, headers).ok_or_else(Problem::bad_host)?;
    let scheme = match client.map(|client| client.scheme) {
        Some(Scheme::Https) => "wss",
        Some(Scheme::Http) | None => "ws",
    };
    Ok(format!("{scheme}://{host}/mqtt"))
}
