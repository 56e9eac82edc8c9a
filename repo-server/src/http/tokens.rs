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
use fleet_protocol::access::{NewToken, TokenInfo, TokenPage};
use jiff::Timestamp;

/// Tokens on a page.
const PAGE: u16 = 100;

/// `POST /api/v1/tokens`
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

/// `GET /api/v1/tokens?limit=&after=`
pub(super) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<axum::Json<TokenPage>, Problem> {
    caller.require(Action::ManageTokens)?;
    let (limit, after) = query.check(PAGE)?;
    Ok(axum::Json(state.access.tokens.page(limit, &after).await?))
}

/// `DELETE /api/v1/tokens/<id>`
pub(super) async fn revoke(
    State(state): State<ServerState>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<axum::Json<TokenInfo>, Problem> {
    caller.require(Action::ManageTokens)?;
    let revoked = state.access.tokens.revoke(&id, caller.actor(), Timestamp::now()).await?;
    let missing = || Problem::not_found("there is no token of this id; `debfleet token list` shows them all");
    Ok(axum::Json(revoked.ok_or_else(missing)?))
}
