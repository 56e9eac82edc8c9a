//! `/api/v1/device/…`: what devices ask to become things, as over MQTT; and `/api/v1/provisioning/…`: how that is set up.

use super::caller::Caller;
use super::json::{Asked, Json};
use super::page::PageQuery;
use super::problem::Problem;
use super::requester::Device;
use super::state::ServerState;
use crate::access::Action;
use crate::provisioning::{ClaimRequest, TemplateChange};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use fleet_protocol::names::TemplateName;
use fleet_protocol::openapi::{SerialNumber, TemplateName as TemplateNameText};
use fleet_protocol::provisioning::messages::{
    CertificateRequest, CertificateResponse, RegistrationRequest, RegistrationResponse,
};
use fleet_protocol::provisioning::rest::{
    AddedSerials, CreatedClaim, NewClaim, NewSerials, SerialInfo, SerialPage, TemplateInfo, TemplatePage,
    TemplateSettings,
};
use jiff::Timestamp;

/// Templates on a page.
const TEMPLATES: u16 = 100;
/// Serial numbers on a page.
const SERIALS: u16 = 1000;

fn template_of(text: &str) -> Result<TemplateName, Problem> {
    text.parse().map_err(|error| Problem::bad_request(format!("{error}")))
}

/// Ask for a certificate.
///
/// With a claim, one that counts once the device is registered with it; with a device's own, the next, which counts at
/// once, and the one before it until the next was used. The same key is given the same certificate, so a device that was
/// cut off begins again.
#[utoipa::path(
    post, path = "/api/v1/device/certificates/create-from-csr", tag = "devices",
    security(("certificate" = [])),
    request_body = CertificateRequest,
    responses(
    (status = 200, description = "The certificate, and the proof of who asked for it", body = CertificateResponse),
    (status = 422, description = "It is no signing request of a key that is taken"),
    )
)]
pub(super) async fn create_from_csr(
    State(state): State<ServerState>,
    Device(device): Device,
    request: Result<Json<CertificateRequest>, Problem>,
) -> Result<impl IntoResponse, Problem> {
    let Json(request) = request.map_err(Problem::of_device_message)?;
    let now = Timestamp::now();
    let given = state.provisioning.create_from_csr(&device, &request.certificate_signing_request, now).await;
    let given: CertificateResponse = given.map_err(Problem::of_device)?;
    // It holds a secret.
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(given)))
}

/// Become a thing.
///
/// Again it takes a new token, from the step before.
#[utoipa::path(
    post, path = "/api/v1/device/provisioning-templates/{template}/provision", tag = "devices",
    security(("certificate" = [])),
    params(("template" = TemplateNameText, Path, description = "The template")),
    request_body = RegistrationRequest,
    responses(
    (status = 200, description = "What the device is from now on", body = RegistrationResponse),
    (status = 404, description = "There is no such template, or something that it names"),
    (status = 409, description = "The thing or the certificate is another's"),
    (status = 422, description = "The token does not count, or a parameter is not what the template needs"),
    )
)]
pub(super) async fn provision(
    State(state): State<ServerState>,
    Path(template): Path<String>,
    Device(device): Device,
    request: Result<Json<RegistrationRequest>, Problem>,
) -> Result<axum::Json<RegistrationResponse>, Problem> {
    let template = template_of(&template).map_err(Problem::of_device_message)?;
    let Json(request) = request.map_err(Problem::of_device_message)?;
    let registered = state.provisioning.register(&device, &template, request, Timestamp::now()).await;
    Ok(axum::Json(registered.map_err(Problem::of_device)?))
}

/// The provisioning templates, by name.
#[utoipa::path(
    get, path = "/api/v1/provisioning/templates", tag = "provisioning",
    security(("token" = ["viewer"])),
    params(
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 100, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of them", body = TemplatePage))
)]
pub(super) async fn templates(
    State(state): State<ServerState>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<axum::Json<TemplatePage>, Problem> {
    caller.require(Action::ReadFleet)?;
    let (limit, after) = query.check(TEMPLATES)?;
    Ok(axum::Json(state.provisioning.templates(limit, &after).await?))
}

/// A provisioning template.
#[utoipa::path(
    get, path = "/api/v1/provisioning/templates/{template}", tag = "provisioning",
    security(("token" = ["viewer"])),
    params(("template" = TemplateNameText, Path, description = "The template")),
    responses(
    (status = 200, description = "The template", body = TemplateInfo),
    (status = 404, description = "There is no such template"),
    )
)]
pub(super) async fn template(
    State(state): State<ServerState>,
    Path(template): Path<String>,
    caller: Caller,
) -> Result<axum::Json<TemplateInfo>, Problem> {
    caller.require(Action::ReadFleet)?;
    Ok(axum::Json(state.provisioning.template(&template_of(&template)?).await?))
}

/// Make a provisioning template, or change it.
#[utoipa::path(
    put, path = "/api/v1/provisioning/templates/{template}", tag = "provisioning",
    security(("token" = ["admin"])),
    params(("template" = TemplateNameText, Path, description = "The template")),
    request_body = TemplateSettings,
    responses(
    (status = 201, description = "It was made", body = TemplateInfo),
    (status = 200, description = "It is so now", body = TemplateInfo),
    (status = 422, description = "There cannot be such a template"),
    )
)]
pub(super) async fn set_template(
    State(state): State<ServerState>,
    Path(template): Path<String>,
    caller: Caller,
    Json(settings): Json<TemplateSettings>,
) -> Result<(StatusCode, axum::Json<TemplateInfo>), Problem> {
    caller.require(Action::ManageIdentities)?;
    let template = template_of(&template)?;
    let set = state.provisioning.set_template(&template, &settings, caller.actor(), Timestamp::now()).await?;
    let status = match set.1 {
        TemplateChange::Made => StatusCode::CREATED,
        TemplateChange::Changed => StatusCode::OK,
    };
    Ok((status, axum::Json(set.0)))
}

/// Remove a provisioning template with its serial numbers.
///
/// Not while a claim for it counts.
#[utoipa::path(
    delete, path = "/api/v1/provisioning/templates/{template}", tag = "provisioning",
    security(("token" = ["admin"])),
    params(("template" = TemplateNameText, Path, description = "The template")),
    responses(
    (status = 200, description = "The template, which is gone", body = TemplateInfo),
    (status = 404, description = "There is no such template"),
    (status = 409, description = "A claim for it counts"),
    )
)]
pub(super) async fn remove_template(
    State(state): State<ServerState>,
    Path(template): Path<String>,
    caller: Caller,
) -> Result<axum::Json<TemplateInfo>, Problem> {
    caller.require(Action::ManageIdentities)?;
    let gone = state.provisioning.remove_template(&template_of(&template)?, caller.actor(), Timestamp::now()).await?;
    Ok(axum::Json(gone))
}

/// The serial numbers of a template's list.
#[utoipa::path(
    get, path = "/api/v1/provisioning/templates/{template}/serials", tag = "provisioning",
    security(("token" = ["viewer"])),
    params(("template" = TemplateNameText, Path, description = "The template"),
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 1000, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses(
    (status = 200, description = "A page of them", body = SerialPage),
    (status = 404, description = "There is no such template"),
    )
)]
pub(super) async fn serials(
    State(state): State<ServerState>,
    Path(template): Path<String>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<axum::Json<SerialPage>, Problem> {
    caller.require(Action::ReadFleet)?;
    let (limit, after) = query.check(SERIALS)?;
    Ok(axum::Json(state.provisioning.serials(&template_of(&template)?, limit, &after).await?))
}

/// Add serial numbers to a template's list.
///
/// All or none. Where the template wants listed ones, no other device is registered by it.
#[utoipa::path(
    post, path = "/api/v1/provisioning/templates/{template}/serials", tag = "provisioning",
    security(("token" = ["admin"])),
    params(("template" = TemplateNameText, Path, description = "The template")),
    request_body = NewSerials,
    responses(
    (status = 200, description = "How many were new", body = AddedSerials),
    (status = 404, description = "There is no such template"),
    (status = 422, description = "One is no serial number"),
    )
)]
pub(super) async fn add_serials(
    State(state): State<ServerState>,
    Path(template): Path<String>,
    caller: Caller,
    Json(new): Json<NewSerials>,
) -> Result<axum::Json<AddedSerials>, Problem> {
    caller.require(Action::ManageIdentities)?;
    let template = template_of(&template)?;
    let added = state.provisioning.add_serials(&template, &new.serials, caller.actor(), Timestamp::now()).await?;
    Ok(axum::Json(AddedSerials { added }))
}

/// Take a serial number from a template's list.
///
/// A device that was registered with it stays.
#[utoipa::path(
    delete, path = "/api/v1/provisioning/templates/{template}/serials/{serial}", tag = "provisioning",
    security(("token" = ["admin"])),
    params(("template" = TemplateNameText, Path, description = "The template"),
    ("serial" = SerialNumber, Path, description = "The serial number"),),
    responses(
    (status = 200, description = "The serial number, which is gone", body = SerialInfo),
    (status = 404, description = "There is no such template or serial number"),
    )
)]
pub(super) async fn remove_serial(
    State(state): State<ServerState>,
    Path((template, serial)): Path<(String, String)>,
    caller: Caller,
) -> Result<axum::Json<SerialInfo>, Problem> {
    caller.require(Action::ManageIdentities)?;
    Ok(axum::Json(state.provisioning.remove_serial(&template_of(&template)?, &serial, caller.actor()).await?))
}

/// Make a claim certificate, which devices come with.
///
/// It may do what the policy `initial` says: ask for a certificate, and be registered by its template.
#[utoipa::path(
    post, path = "/api/v1/provisioning/claims", tag = "provisioning",
    security(("token" = ["admin"])),
    request_body = NewClaim,
    responses(
    (status = 201, description = "The claim", body = CreatedClaim),
    (status = 404, description = "There is no such template"),
    (status = 422, description = "There cannot be such a claim"),
    )
)]
pub(super) async fn create_claim(
    State(state): State<ServerState>,
    caller: Caller,
    Json(new): Json<NewClaim>,
) -> Result<(StatusCode, axum::Json<CreatedClaim>), Problem> {
    caller.require(Action::ManageIdentities)?;
    let now = Timestamp::now();
    let claim = ClaimRequest::check(new, now)?;
    let created = state.provisioning.create_claim(claim, caller.actor(), now).await?;
    tracing::info!(id = %created.certificate.certificate_id, by = caller.actor().name, "made a claim");
    Ok((StatusCode::CREATED, axum::Json(created)))
}
