//! `/api/v1/policies`: policies and their versions; and whether and why a client may do something.

use super::caller::Caller;
use super::json::{Asked, Json};
use super::page::PageQuery;
use super::problem::Problem;
use super::state::ServerState;
use crate::access::Action;
use crate::people::PersonSubject;
use crate::policies::{PolicyError, Subject};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use fleet_protocol::names::{NameError, PolicyName, ThingName, UserName};
use fleet_protocol::openapi::PolicyName as PolicyNameSchema;
use fleet_protocol::people::client_id_prefix;
use fleet_protocol::policies::{
    AuthorizationAnswer, AuthorizationTest, DefaultVersion, NewPolicy, NewPolicyVersion, PolicyInfo, PolicyPage,
    PolicyVersion,
};
use fleet_protocol::policy;
use std::net::{IpAddr, Ipv4Addr};

/// Policies on a page.
const PAGE: u16 = 100;
/// Topics and client ids are no longer (AWS: 256 and 128 bytes; MQTT allows more).
const LONGEST_RESOURCE: usize = 1024;

pub(super) fn name(text: &str) -> Result<PolicyName, Problem> {
    text.parse().map_err(|error: NameError| Problem::not_found(format!("there is no such policy: {error}")))
}

/// What is no number is no version.
fn number(policy: &PolicyName, text: &str) -> Result<u32, Problem> {
    let canonical = text.parse().ok().filter(|number: &u32| number.to_string() == text);
    let missing =
        || format!("the policy {policy} has no version of this number; `debfleet policy show` tells which it has");
    canonical.ok_or_else(|| Problem::not_found(missing()))
}

/// All policies.
#[utoipa::path(
    get, path = "/api/v1/policies", tag = "policies",
    security(("token" = ["viewer"])),
    params(
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 100, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of them, by name", body = PolicyPage))
)]
pub(super) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<axum::Json<PolicyPage>, Problem> {
    caller.require(Action::ReadFleet)?;
    let (limit, after) = query.check(PAGE)?;
    Ok(axum::Json(state.policies.page(limit, &after).await?))
}

/// Make a policy.
///
/// To make the same again changes nothing.
#[utoipa::path(
    post, path = "/api/v1/policies", tag = "policies",
    security(("token" = ["admin"])),
    request_body = NewPolicy,
    responses(
    (status = 201, description = "The policy; its first version is in force", body = PolicyInfo),
    (status = 200, description = "The policy, which was there already", body = PolicyInfo),
    (status = 409, description = "There is a policy of this name with another document"),
    (status = 422, description = "The document is no policy"),
    )
)]
pub(super) async fn create(
    State(state): State<ServerState>,
    caller: Caller,
    Json(new): Json<NewPolicy>,
) -> Result<(StatusCode, axum::Json<PolicyInfo>), Problem> {
    caller.require(Action::ManageIdentities)?;
    let (info, is_new) = state.policies.create(&new, &caller.actor()).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, axum::Json(info)))
}

/// A policy, its versions and the document that is in force.
#[utoipa::path(
    get, path = "/api/v1/policies/{policy}", tag = "policies",
    security(("token" = ["viewer"])),
    params(("policy" = PolicyNameSchema, Path, description = "The policy's name")),
    responses((status = 200, description = "The policy", body = PolicyInfo), (status = 404, description = "There is no such policy"))
)]
pub(super) async fn show(
    State(state): State<ServerState>,
    Path(policy): Path<String>,
    caller: Caller,
) -> Result<axum::Json<PolicyInfo>, Problem> {
    caller.require(Action::ReadFleet)?;
    Ok(axum::Json(state.policies.info(&name(&policy)?).await?))
}

/// Delete a policy that is attached to nothing, with all its versions.
#[utoipa::path(
    delete, path = "/api/v1/policies/{policy}", tag = "policies",
    security(("token" = ["admin"])),
    params(("policy" = PolicyNameSchema, Path, description = "The policy's name")),
    responses(
    (status = 200, description = "The policy as it was", body = PolicyInfo),
    (status = 404, description = "There is no such policy"),
    (status = 409, description = "It is attached to something, or one of those that every server has"),
    )
)]
pub(super) async fn delete(
    State(state): State<ServerState>,
    Path(policy): Path<String>,
    caller: Caller,
) -> Result<axum::Json<PolicyInfo>, Problem> {
    caller.require(Action::ManageIdentities)?;
    Ok(axum::Json(state.policies.delete(&name(&policy)?, &caller.actor()).await?))
}

/// Make a version of a policy.
///
/// A policy has five at the most.
#[utoipa::path(
    post, path = "/api/v1/policies/{policy}/versions", tag = "policies",
    security(("token" = ["admin"])),
    params(("policy" = PolicyNameSchema, Path, description = "The policy's name")),
    request_body = NewPolicyVersion,
    responses(
    (status = 201, description = "The version", body = PolicyVersion),
    (status = 404, description = "There is no such policy"),
    (status = 409, description = "It has five versions already"),
    (status = 422, description = "The document is no policy"),
    )
)]
pub(super) async fn create_version(
    State(state): State<ServerState>,
    Path(policy): Path<String>,
    caller: Caller,
    Json(new): Json<NewPolicyVersion>,
) -> Result<(StatusCode, axum::Json<PolicyVersion>), Problem> {
    caller.require(Action::ManageIdentities)?;
    let version = state.policies.create_version(&name(&policy)?, &new, &caller.actor()).await?;
    Ok((StatusCode::CREATED, axum::Json(version)))
}

/// A version of a policy.
#[utoipa::path(
    get, path = "/api/v1/policies/{policy}/versions/{version}", tag = "policies",
    security(("token" = ["viewer"])),
    params(
    ("policy" = PolicyNameSchema, Path, description = "The policy's name"),
    ("version" = u32, Path, description = "The version's number", minimum = 1),
    ),
    responses((status = 200, description = "The version", body = PolicyVersion), (status = 404, description = "There is no such policy or version"))
)]
pub(super) async fn show_version(
    State(state): State<ServerState>,
    Path((policy, version)): Path<(String, String)>,
    caller: Caller,
) -> Result<axum::Json<PolicyVersion>, Problem> {
    caller.require(Action::ReadFleet)?;
    let policy = name(&policy)?;
    Ok(axum::Json(state.policies.version(&policy, number(&policy, &version)?).await?))
}

/// Delete a version of a policy that is not in force.
#[utoipa::path(
    delete, path = "/api/v1/policies/{policy}/versions/{version}", tag = "policies",
    security(("token" = ["admin"])),
    params(
    ("policy" = PolicyNameSchema, Path, description = "The policy's name"),
    ("version" = u32, Path, description = "The version's number", minimum = 1),
    ),
    responses(
    (status = 200, description = "The version as it was", body = PolicyVersion),
    (status = 404, description = "There is no such policy or version"),
    (status = 409, description = "It is in force"),
    )
)]
pub(super) async fn delete_version(
    State(state): State<ServerState>,
    Path((policy, version)): Path<(String, String)>,
    caller: Caller,
) -> Result<axum::Json<PolicyVersion>, Problem> {
    caller.require(Action::ManageIdentities)?;
    let policy = name(&policy)?;
    let number = number(&policy, &version)?;
    Ok(axum::Json(state.policies.delete_version(&policy, number, &caller.actor()).await?))
}

/// Put another version of a policy in force.
#[utoipa::path(
    put, path = "/api/v1/policies/{policy}/default-version", tag = "policies",
    security(("token" = ["admin"])),
    params(("policy" = PolicyNameSchema, Path, description = "The policy's name")),
    request_body = DefaultVersion,
    responses((status = 200, description = "The policy", body = PolicyInfo), (status = 404, description = "There is no such policy or version"))
)]
pub(super) async fn set_default_version(
    State(state): State<ServerState>,
    Path(policy): Path<String>,
    caller: Caller,
    Json(wanted): Json<DefaultVersion>,
) -> Result<axum::Json<PolicyInfo>, Problem> {
    caller.require(Action::ManageIdentities)?;
    Ok(axum::Json(state.policies.set_default(&name(&policy)?, wanted.version, &caller.actor()).await?))
}

/// Whether and why a client may do something.
///
/// It changes nothing.
#[utoipa::path(
    post, path = "/api/v1/test-authorization", tag = "policies",
    security(("token" = ["viewer"])),
    request_body = AuthorizationTest,
    responses(
    (status = 200, description = "The decision and its reasons", body = AuthorizationAnswer),
    (status = 404, description = "There is no such certificate or thing"),
    (status = 422, description = "There is no such action or address, or it does not say who asks"),
    )
)]
pub(super) async fn test(
    State(state): State<ServerState>,
    caller: Caller,
    Json(asked): Json<AuthorizationTest>,
) -> Result<axum::Json<AuthorizationAnswer>, Problem> {
    caller.require(Action::ReadFleet)?;
    let action: policy::Action = asked.action.parse().map_err(|error| Problem::untestable(&error))?;
    let address = asked.source_ip.as_ref().map(|text| text.parse::<IpAddr>()).transpose();
    let address = address.map_err(|error| Problem::untestable(&error))?;
    let texts = [Some(&asked.resource), asked.client_id.as_ref(), asked.will_topic.as_ref()];
    if texts.into_iter().flatten().any(|text| text.len() > LONGEST_RESOURCE) {
        return Err(Problem::bad_request(format!(
            "the resource, client id or will is longer than {LONGEST_RESOURCE} bytes"
        )));
    }
    if let Some(user) = asked.user.clone() {
        return test_person(&state, user, action, address, asked).await;
    }
    let certificate = match (&asked.certificate, &asked.thing) {
        (Some(id), _) if !state.policies.knows_certificate(id).await? => {
            return Err(PolicyError::UnknownCertificate(id.clone()).into());
        }
        (Some(id), _) => id.clone(),
        (None, Some(thing)) => state.policies.certificate_of(thing).await?,
        (None, None) => return Err(PolicyError::Nobody.into()),
    };
    let client_id = asked.client_id.or_else(|| asked.thing.as_ref().map(ThingName::to_string));
    let subject = Subject {
        client_id: client_id.ok_or(PolicyError::NoClientId)?,
        certificate,
        address: address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
        persistent: asked.persistent,
        will_topic: asked.will_topic,
    };
    let tested = state.policies.test(&subject, action, &asked.resource).await?;
    Ok(axum::Json(AuthorizationAnswer {
        decision: tested.decision.verdict,
        reason: tested.decision.to_string(),
        certificate: Some(subject.certificate),
        client_id: subject.client_id,
        thing: tested.thing,
        things: Vec::new(),
        policies: tested.policies,
        findings: tested.findings,
    }))
}

async fn test_person(
    state: &ServerState,
    user: UserName,
    action: policy::Action,
    address: Option<IpAddr>,
    asked: AuthorizationTest,
) -> Result<axum::Json<AuthorizationAnswer>, Problem> {
    if asked.certificate.is_some() || asked.thing.is_some() {
        return Err(PolicyError::PersonAndDevice.into());
    }
    // Of a user who is not there it would say only that they may not.
    state.people.user(&user).await?;
    let client_id = asked.client_id.unwrap_or_else(|| format!("{}1", client_id_prefix(&user)));
    let subject =
        PersonSubject { user, client_id: client_id.clone(), address: address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()) };
    let tested = state.people.test(&subject, action, &asked.resource).await?;
    Ok(axum::Json(AuthorizationAnswer {
        decision: tested.decision.verdict,
        reason: tested.decision.to_string(),
        certificate: None,
        client_id,
        thing: None,
        things: tested.things,
        policies: tested.policies,
        findings: tested.findings,
    }))
}
