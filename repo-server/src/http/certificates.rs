//! `/api/v1/certificates`: the client certificates of devices and their claims.

use super::caller::Caller;
use super::json::{Asked, Json};
use super::page;
use super::problem::Problem;
use super::state::ServerState;
use crate::access::Action;
use crate::certificates::Filter;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use fleet_protocol::certificates::{
    CertificateDescription, CertificateInfo, CertificateKind, CertificatePage, CertificateStatus, NewCertificate,
    StatusChange,
};
use fleet_protocol::names::{CertificateId, ThingName};
use fleet_protocol::openapi::Sha256;
use jiff::Timestamp;
use serde::Deserialize;

/// Certificates on a page.
const PAGE: u16 = 100;

/// Which certificates are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CertificateQuery {
    limit: Option<u16>,
    after: Option<String>,
    kind: Option<CertificateKind>,
    status: Option<CertificateStatus>,
    thing: Option<ThingName>,
}

/// The certificate's id, as it stands in an address.
pub(super) fn id_of(text: &str) -> Result<CertificateId, Problem> {
    text.parse().map_err(|error| Problem::bad_request(format!("{error}; `debfleet certificate list` shows them")))
}

/// The certificates of devices and their claims, by id.
#[utoipa::path(
    get, path = "/api/v1/certificates", tag = "certificates",
    security(("token" = ["viewer"])),
    params(
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 100, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ("kind" = Option<CertificateKind>, Query, description = "Only those of this kind", nullable = false),
    ("status" = Option<CertificateStatus>, Query, description = "Only those of this status", nullable = false),
    ("thing" = Option<String>, Query, description = "Only those that speak for this thing", pattern = "^[a-zA-Z0-9:_-]{1,128}$", nullable = false),
    ),
    responses((status = 200, description = "A page of them", body = CertificatePage))
)]
pub(super) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Asked(query): Asked<CertificateQuery>,
) -> Result<axum::Json<CertificatePage>, Problem> {
    caller.require(Action::ReadFleet)?;
    let CertificateQuery { limit, after, kind, status, thing } = query;
    let limit = page::limit(limit, PAGE)?;
    let after = after.map(|after| page::place("after", after)).transpose()?.unwrap_or_default();
    Ok(axum::Json(state.certificates.page(&Filter { kind, status, thing }, limit, &after).await?))
}

/// Register a certificate that was made elsewhere with the fleet CA's key.
///
/// It counts from then on.
#[utoipa::path(
    post, path = "/api/v1/certificates", tag = "certificates",
    security(("token" = ["admin"])),
    request_body = NewCertificate,
    responses(
    (status = 201, description = "It counts now", body = CertificateInfo),
    (status = 200, description = "It was known; nothing was changed", body = CertificateInfo),
    (status = 422, description = "It is not a certificate of the fleet CA that counts today"),
    )
)]
pub(super) async fn register(
    State(state): State<ServerState>,
    caller: Caller,
    Json(new): Json<NewCertificate>,
) -> Result<(StatusCode, axum::Json<CertificateInfo>), Problem> {
    caller.require(Action::ManageIdentities)?;
    let now = Timestamp::now();
    let vouched = |der: &[u8]| state.authority.vouches_for(der, now);
    let (certificate, is_new) = state.certificates.register(&new.certificate_pem, vouched, caller.actor(), now).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, axum::Json(certificate)))
}

/// A certificate.
#[utoipa::path(
    get, path = "/api/v1/certificates/{id}", tag = "certificates",
    security(("token" = ["viewer"])),
    params(("id" = Sha256, Path, description = "The SHA-256 of its DER form")),
    responses(
    (status = 200, description = "All that is known of it", body = CertificateDescription),
    (status = 404, description = "There is no such certificate"),
    )
)]
pub(super) async fn describe(
    State(state): State<ServerState>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<axum::Json<CertificateDescription>, Problem> {
    caller.require(Action::ReadFleet)?;
    Ok(axum::Json(state.certificates.describe(&id_of(&id)?).await?))
}

/// Have a certificate count, or count no longer, at once.
///
/// Open connections with it end within two seconds. To revoke it is for good. The same again changes nothing.
#[utoipa::path(
    put, path = "/api/v1/certificates/{id}/status", tag = "certificates",
    security(("token" = ["admin"])),
    params(("id" = Sha256, Path, description = "The SHA-256 of its DER form")),
    request_body = StatusChange,
    responses(
    (status = 200, description = "The certificate", body = CertificateInfo),
    (status = 404, description = "There is no such certificate"),
    (status = 409, description = "It was revoked, or its device is not registered yet"),
    (status = 422, description = "Nobody may ask for this status"),
    )
)]
pub(super) async fn set_status(
    State(state): State<ServerState>,
    Path(id): Path<String>,
    caller: Caller,
    Json(change): Json<StatusChange>,
) -> Result<axum::Json<CertificateInfo>, Problem> {
    caller.require(Action::ManageIdentities)?;
    let id = id_of(&id)?;
    let changed = state.certificates.change_status(&id, change.status, caller.actor(), Timestamp::now()).await?;
    tracing::info!(%id, status = %changed.status, by = caller.actor().name, "a certificate's status");
    Ok(axum::Json(changed))
}
