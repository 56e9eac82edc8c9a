//! `/api/v1/suites/<suite>/…`: how suites are set up.

use super::caller::Caller;
use super::json::Json;
use super::problem::Problem;
use super::state::ServerState;
use crate::access::Action;
use crate::repository::PublishError;
use axum::extract::{Path, State};
use debian_formats::names::SuiteName;
use fleet_protocol::access::SuiteAccess;

/// `GET /api/v1/suites/<suite>/access`
pub(super) async fn access(
    State(state): State<ServerState>,
    Path(suite): Path<String>,
    caller: Caller,
) -> Result<axum::Json<SuiteAccess>, Problem> {
    let suite = known_suite(&state, &suite)?;
    caller.require(Action::Read(&suite))?;
    let access = state.access.suites.access_of(&suite).await?;
    Ok(axum::Json(SuiteAccess { access }))
}

/// `PUT /api/v1/suites/<suite>/access`
pub(super) async fn set_access(
    State(state): State<ServerState>,
    Path(suite): Path<String>,
    caller: Caller,
    Json(asked): Json<SuiteAccess>,
) -> Result<axum::Json<SuiteAccess>, Problem> {
    let suite = known_suite(&state, &suite)?;
    caller.require(Action::ChangeSuite(&suite))?;
    if state.access.suites.set(&suite, asked.access, caller.actor()).await? {
        Ok(axum::Json(asked))
    } else {
        Err(PublishError::UnknownSuite(suite).into())
    }
}

/// A suite of this server.
pub(super) fn known_suite(state: &ServerState, name: &str) -> Result<SuiteName, Problem> {
    let suite: SuiteName = name.parse().map_err(|error| Problem::not_found(format!("{error}")))?;
    match state.repository.suite(&suite) {
        Some(_) => Ok(suite),
        None => Err(PublishError::UnknownSuite(suite).into()),
    }
}
