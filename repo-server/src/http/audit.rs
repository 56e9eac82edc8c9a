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

/// The audit log, the newest entry first.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "audit",
    security(("token" = ["operator"])),
    params(
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 100, nullable = false),
    ("before" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of it", body = AuditPage))
)]
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
