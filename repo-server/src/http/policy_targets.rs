//! `/api/v1/policies/{policy}/targets`: what a policy is attached to.

use super::caller::Caller;
use super::json::Asked;
use super::page::PageQuery;
use super::policies::name;
use super::problem::Problem;
use super::state::ServerState;
use crate::access::Action;
use axum::extract::{Path, State};
use fleet_protocol::openapi::PolicyName as PolicyNameSchema;
use fleet_protocol::policies::{PolicyTarget, PolicyTargetPage, TargetKind};

/// Targets on a page.
const PAGE: u16 = 100;

/// The target of this kind and name, as they stand in an address.
fn target(kind: &str, name: &str) -> Result<PolicyTarget, Problem> {
    let target = kind.parse::<TargetKind>().and_then(|kind| kind.named(name));
    target.map_err(|error| Problem::not_found(error.to_string()))
}

/// What a policy is attached to.
#[utoipa::path(
    get, path = "/api/v1/policies/{policy}/targets", tag = "policies",
    security(("token" = ["viewer"])),
    params(
    ("policy" = PolicyNameSchema, Path, description = "The policy's name"),
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 100, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of them", body = PolicyTargetPage), (status = 404, description = "There is no such policy"))
)]
pub(super) async fn list(
    State(state): State<ServerState>,
    Path(policy): Path<String>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<axum::Json<PolicyTargetPage>, Problem> {
    caller.require(Action::ReadFleet)?;
    let (limit, after) = query.check(PAGE)?;
    Ok(axum::Json(state.policies.targets(&name(&policy)?, limit, &after).await?))
}

/// Attach a policy to a certificate, a thing group, a role or a user.
///
/// For those of a role, and the mightier ones, and for a user it counts for what they do over MQTT. Again it changes
/// nothing. At most ten policies are attached to one.
#[utoipa::path(
    put, path = "/api/v1/policies/{policy}/targets/{kind}/{target}", tag = "policies",
    security(("token" = ["admin"])),
    params(
    ("policy" = PolicyNameSchema, Path, description = "The policy's name"),
    ("kind" = TargetKind, Path, description = "What it is attached to"),
    ("target" = String, Path, description = "The certificate's id, or the name", pattern = "^[a-zA-Z0-9:@._-]{1,128}$"),
    ),
    responses(
    (status = 200, description = "What it is attached to", body = PolicyTarget),
    (status = 404, description = "There is no such policy or target"),
    (status = 409, description = "Ten policies are attached to it already"),
    )
)]
pub(super) async fn attach(
    State(state): State<ServerState>,
    Path((policy, kind, named)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<axum::Json<PolicyTarget>, Problem> {
    caller.require(Action::ManageIdentities)?;
    let (policy, target) = (name(&policy)?, target(&kind, &named)?);
    state.policies.attach(&policy, &target, &caller.actor()).await?;
    Ok(axum::Json(target))
}

/// Detach a policy from what it is attached to.
///
/// Again it changes nothing.
#[utoipa::path(
    delete, path = "/api/v1/policies/{policy}/targets/{kind}/{target}", tag = "policies",
    security(("token" = ["admin"])),
    params(
    ("policy" = PolicyNameSchema, Path, description = "The policy's name"),
    ("kind" = TargetKind, Path, description = "What it is attached to"),
    ("target" = String, Path, description = "The certificate's id, or the name", pattern = "^[a-zA-Z0-9:@._-]{1,128}$"),
    ),
    responses((status = 200, description = "What it was attached to", body = PolicyTarget), (status = 404, description = "There is no such policy or target"))
)]
pub(super) async fn detach(
    State(state): State<ServerState>,
    Path((policy, kind, named)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<axum::Json<PolicyTarget>, Problem> {
    caller.require(Action::ManageIdentities)?;
    let (policy, target) = (name(&policy)?, target(&kind, &named)?);
    state.policies.detach(&policy, &target, &caller.actor()).await?;
    Ok(axum::Json(target))
}
