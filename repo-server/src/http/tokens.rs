//! `/api/v1/tokens`: making, listing and revoking tokens.

use super::caller::Caller;
use super::json::{Asked, Json};
use super::page::PageQuery;
use super::problem::Problem;
use super::state::ServerState;
use crate::access::{Action, TokenRequest};
use crate::repository::PublishError;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use fleet_protocol::access::{CreatedToken, NewToken, TokenInfo, TokenPage};
use fleet_protocol::openapi::TokenId;
use jiff::Timestamp;

/// Tokens on a page.
const PAGE: u16 = 100;

/// Make a token.
///
/// The answer is the only one that holds its secret.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "tokens",
    security(("token" = ["admin"])),
    request_body = NewToken,
    responses(
    (status = 201, description = "The token and its secret", body = CreatedToken),
    (status = 404, description = "It names a suite that is not there"),
    (status = 422, description = "There cannot be such a token"),
    )
)]
pub(super) async fn create(
    State(state): State<ServerState>,
    caller: Caller,
    Json(new): Json<NewToken>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Action::ManageTokens)?;
    let now = Timestamp::now();
    let request = TokenRequest::check(new, now)?;
    // A misspelt suite would make a token that is good for nothing.
    if let Some(unknown) = request.suites().find(|suite| state.repository.suite(suite).is_none()) {
        return Err(PublishError::UnknownSuite(unknown.clone()).into());
    }
    let created = state.access.tokens.create(request, caller.actor(), now).await?;
    let token = &created.token;
    tracing::info!(id = token.id, name = token.name, role = %token.role, by = caller.actor().name, "made a token");
    // It holds a secret.
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], axum::Json(created)))
}

/// All tokens, revoked and expired ones too; no secret.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens",
    security(("token" = ["admin"])),
    params(
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 100, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of them, by id", body = TokenPage))
)]
pub(super) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<axum::Json<TokenPage>, Problem> {
    caller.require(Action::ManageTokens)?;
    let (limit, after) = query.check(PAGE)?;
    Ok(axum::Json(state.access.tokens.page(limit, &after).await?))
}

/// Revoke a token, at once and for good.
///
/// Again it changes nothing.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = "tokens",
    security(("token" = ["admin"])),
    params(("id" = TokenId, Path, description = "The token's id")),
    responses((status = 200, description = "The token", body = TokenInfo), (status = 404, description = "There is no token of this id"))
)]
pub(super) async fn revoke(
    State(state): State<ServerState>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<axum::Json<TokenInfo>, Problem> {
    caller.require(Action::ManageTokens)?;
    // What is no id is not even asked for: PostgreSQL takes no text with a NUL.
    let revoked = match id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => state.access.tokens.revoke(&id, caller.actor(), Timestamp::now()).await?,
        false => None,
    };
    let missing = || Problem::not_found("there is no token of this id; `debfleet token list` shows them all");
    Ok(axum::Json(revoked.ok_or_else(missing)?))
}
