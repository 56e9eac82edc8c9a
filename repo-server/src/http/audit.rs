//! `/api/v1/audit`: who changed what.

use super::caller::Caller;
use super::json::Asked;
use super::page;
use super::problem::Problem;
use super::state::ServerState;
use crate::access::Action;
use axum::extract::State;
use fleet_protocol::audit::AuditPage;
use serde::Deserialize;

/// Entries on a page.
const PAGE: u16 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    limit: Option<u16>,
    before: Option<String>,
}

/// `GET /api/v1/audit?limit=&before=`
pub(super) async fn read(
    State(state): State<ServerState>,
    caller: Caller,
    Asked(query): Asked<AuditQuery>,
) -> Result<axum::Json<AuditPage>, Problem> {
    caller.require(Action::ReadAudit)?;
    let limit = page::limit(query.limit, PAGE)?;
    let before = query.before.map(|before| page::place("before", before)).transpose()?;
    Ok(axum::Json(state.audit.page(limit, before.as_deref()).await?))
}
