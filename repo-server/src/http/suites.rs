//! `/api/v1/suites/<suite>/…`: how suites are set up.

use super::address::{InSuite, InSuiteOfPackage};
use super::caller::Caller;
use super::json::{Asked, Json};
use super::page::PageQuery;
use super::problem::Problem;
use super::state::ServerState;
use crate::access::Action;
use crate::repository::{Placed, PublishError, Selection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use debian_formats::names::SuiteName;
use fleet_protocol::access::SuiteAccess;
use fleet_protocol::audit::Outcome;
use fleet_protocol::suites::{
    Changed, Phase, Promotion, Retention, SuiteContents, SuiteInfo, SuiteList, SuitePackage, Withdrawal, Withdrawn,
};
use serde::Deserialize;
use std::fmt::Display;
use std::str::FromStr;
use utoipa::IntoParams;

/// Who may read a suite.
#[utoipa::path(
    get, path = "/api/v1/suites/{suite}/access", tag = "suites",
    security(("token" = ["viewer"])),
    params(InSuite),
    responses((status = 200, description = "Who may", body = SuiteAccess), (status = 404, description = "There is no such suite"),)
)]
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

/// Say who may read a suite.
#[utoipa::path(
    put, path = "/api/v1/suites/{suite}/access", tag = "suites",
    security(("token" = ["operator"])),
    params(InSuite), request_body = SuiteAccess,
    responses((status = 200, description = "It is so, in every server process", body = SuiteAccess), (status = 404, description = "There is no such suite"),)
)]
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

/// Suites on a page.
const SUITES_PAGE: u16 = 100;

/// The suites that the token may read.
#[utoipa::path(
    get, path = "/api/v1/suites", tag = "suites",
    security(("token" = ["viewer"])),
    params(
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 100, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of them", body = SuiteList))
)]
pub(super) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<axum::Json<SuiteList>, Problem> {
    let (limit, after) = query.check(SUITES_PAGE)?;
    let names = state.repository.suite_names().into_iter();
    let mut names = names.filter(|suite| suite.as_str() > after.as_str() && caller.may(Action::Read(suite)));
    let suites: Vec<_> = names.by_ref().take(limit.into()).map(|name| SuiteInfo { name: name.to_string() }).collect();
    let next = suites.last().filter(|_| names.next().is_some()).map(|last| last.name.clone());
    Ok(axum::Json(SuiteList { suites, next }))
}

/// Make a suite.
///
/// Devices can subscribe to it at once.
#[utoipa::path(
    post, path = "/api/v1/suites", tag = "suites",
    security(("token" = ["operator"])),
    request_body = SuiteInfo,
    responses(
    (status = 201, description = "It was made", body = SuiteInfo),
    (status = 200, description = "It was there already", body = SuiteInfo),
    )
)]
pub(super) async fn create(
    State(state): State<ServerState>,
    caller: Caller,
    Json(asked): Json<SuiteInfo>,
) -> Result<(StatusCode, axum::Json<SuiteInfo>), Problem> {
    let suite: SuiteName = asked.name.parse().map_err(|error| Problem::bad_request(format!("{error}")))?;
    caller.require(Action::ChangeSuite(&suite))?;
    let created = state.repository.create_suite(&suite).await?;
    if created {
        state.audit.record(caller.entry("suite.create", suite.as_str(), String::new(), Outcome::Done)).await;
    }
    Ok((if created { StatusCode::CREATED } else { StatusCode::OK }, axum::Json(asked)))
}

/// Packages on a page.
const CONTENTS_PAGE: u16 = 500;

/// What a suite holds.
#[utoipa::path(
    get, path = "/api/v1/suites/{suite}/contents", tag = "packages",
    security(("token" = ["viewer"])),
    params(InSuite,
    ("limit" = Option<u16>, Query, description = "So many at the most", minimum = 1, maximum = 500, nullable = false),
    ("after" = Option<String>, Query, description = "Where the page begins: the last page's `next`", pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false),
    ),
    responses((status = 200, description = "A page of packages, by file name", body = SuiteContents), (status = 404, description = "There is no such suite"),)
)]
pub(super) async fn contents(
    State(state): State<ServerState>,
    Path(suite): Path<String>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<axum::Json<SuiteContents>, Problem> {
    let suite = known_suite(&state, &suite)?;
    caller.require(Action::Read(&suite))?;
    let (limit, after) = query.check(CONTENTS_PAGE)?;
    let held = state.repository.page(&suite, &after, limit).await?;
    let next = held.last().filter(|_| held.len() == usize::from(limit)).map(|last| last.package.filename.clone());
    Ok(axum::Json(SuiteContents { packages: held.iter().map(told).collect(), next }))
}

/// Which versions of a package.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SelectionQuery {
    /// Only this version; absent: every one.
    #[param(value_type = Option<fleet_protocol::openapi::Version>, nullable = false)]
    version: Option<String>,
    /// Only for this architecture; absent: for every one.
    #[param(value_type = Option<fleet_protocol::openapi::Architecture>, nullable = false)]
    architecture: Option<String>,
}

/// Take packages out of a suite.
///
/// Devices keep what they have installed.
#[utoipa::path(
    delete, path = "/api/v1/suites/{suite}/contents/{package}", tag = "packages",
    security(("token" = ["operator"])),
    params(InSuiteOfPackage, SelectionQuery),
    responses((status = 200, description = "What it holds no longer", body = Changed), (status = 404, description = "There is no such suite, or it holds no such package"), (status = 409, description = "The suite is a snapshot, which never changes"),)
)]
pub(super) async fn withdraw(
    State(state): State<ServerState>,
    Path((suite, package)): Path<(String, String)>,
    caller: Caller,
    Asked(query): Asked<SelectionQuery>,
) -> Result<axum::Json<Changed>, Problem> {
    let suite = known_suite(&state, &suite)?;
    caller.require(Action::ChangeSuite(&suite))?;
    let selection = selection(&package, query.version.as_deref(), query.architecture.as_deref())?;
    let gone = state.repository.withdraw(&suite, &selection).await?;
    Ok(note(&state, &caller, "suite.withdraw", &suite, &gone, String::new()).await)
}

/// Take many packages out of a suite, in one publication.
///
/// They are named by their SHA-256; what the suite does not hold is passed over.
#[utoipa::path(
    post, path = "/api/v1/suites/{suite}/withdrawals", tag = "packages",
    security(("token" = ["operator"])),
    params(InSuite), request_body = Withdrawal,
    responses((status = 200, description = "How many it holds no longer", body = Withdrawn), (status = 404, description = "There is no such suite"), (status = 409, description = "The suite is a snapshot, which never changes"))
)]
pub(super) async fn withdraw_many(
    State(state): State<ServerState>,
    Path(suite): Path<String>,
    caller: Caller,
    Json(Withdrawal { packages }): Json<Withdrawal>,
) -> Result<axum::Json<Withdrawn>, Problem> {
    let suite = known_suite(&state, &suite)?;
    caller.require(Action::ChangeSuite(&suite))?;
    if let Some(other) =
        packages.iter().find(|it| it.len() != 64 || !it.bytes().all(|byte| b"0123456789abcdef".contains(&byte)))
    {
        return Err(Problem::bad_request(format!(
            "{other:?} is no SHA-256 in lower-case hex; the suite's contents tell them"
        )));
    }
    let withdrawn = state.repository.withdraw_many(&suite, &packages.into_iter().collect()).await?;
    if withdrawn > 0 {
        let detail = format!("{withdrawn} packages at once");
        state.audit.record(caller.entry("suite.withdraw", suite.as_str(), detail, Outcome::Done)).await;
    }
    Ok(axum::Json(Withdrawn { suite: suite.to_string(), withdrawn }))
}

/// Give packages to a share of the devices.
///
/// Each device finds out by itself whether it belongs to them (`Phased-Update-Percentage`); 100 is all.
#[utoipa::path(
    put, path = "/api/v1/suites/{suite}/contents/{package}/phase", tag = "packages",
    security(("token" = ["operator"])),
    params(InSuiteOfPackage, SelectionQuery), request_body = Phase,
    responses((status = 200, description = "What changed", body = Changed), (status = 404, description = "There is no such suite, or it holds no such package"), (status = 409, description = "The suite is a snapshot, which never changes"),)
)]
pub(super) async fn phase(
    State(state): State<ServerState>,
    Path((suite, package)): Path<(String, String)>,
    caller: Caller,
    Asked(query): Asked<SelectionQuery>,
    Json(Phase { percentage }): Json<Phase>,
) -> Result<axum::Json<Changed>, Problem> {
    let suite = known_suite(&state, &suite)?;
    caller.require(Action::ChangeSuite(&suite))?;
    if percentage > 100 {
        return Err(Problem::bad_request(format!("percentage is {percentage}; give one of 0 to 100")));
    }
    let selection = selection(&package, query.version.as_deref(), query.architecture.as_deref())?;
    let phased = state.repository.phase(&suite, &selection, percentage).await?;
    Ok(note(&state, &caller, "suite.phase", &suite, &phased, format!(" at {percentage} %")).await)
}

/// Put packages of another suite into this one.
///
/// They stay exactly as they are, and are not uploaded again.
#[utoipa::path(
    post, path = "/api/v1/suites/{suite}/promotions", tag = "packages",
    security(("token" = ["publisher"])),
    params(InSuite), request_body = Promotion,
    responses((status = 200, description = "What is new in it", body = Changed), (status = 404, description = "There is no such suite, or it holds no such package"), (status = 409, description = "The suite is a snapshot, which never changes"),)
)]
pub(super) async fn promote(
    State(state): State<ServerState>,
    Path(suite): Path<String>,
    caller: Caller,
    Json(asked): Json<Promotion>,
) -> Result<axum::Json<Changed>, Problem> {
    let (to, from) = (known_suite(&state, &suite)?, known_suite(&state, &asked.from)?);
    caller.require(Action::Read(&from))?;
    caller.require(Action::Publish(&to))?;
    let selection = selection(&asked.package, asked.version.as_deref(), asked.architecture.as_deref())?;
    let new = state.repository.promote(&from, &to, &selection).await?;
    Ok(note(&state, &caller, "suite.promote", &to, &new, format!(" from {from}")).await)
}

/// Freeze a suite as it is.
///
/// A snapshot is a suite that never changes.
#[utoipa::path(
    post, path = "/api/v1/suites/{suite}/snapshots", tag = "snapshots",
    security(("token" = ["operator"])),
    params(InSuite),
    responses(
    (status = 201, description = "The snapshot", body = SuiteInfo), (status = 404, description = "There is no such suite"), (status = 409, description = "The suite is a snapshot, which never changes"),
    (status = 422, description = "With the time behind it the suite's name is too long"),
    )
)]
pub(super) async fn freeze(
    State(state): State<ServerState>,
    Path(suite): Path<String>,
    caller: Caller,
) -> Result<(StatusCode, axum::Json<SuiteInfo>), Problem> {
    let suite = known_suite(&state, &suite)?;
    caller.require(Action::ChangeSuite(&suite))?;
    let snapshot = state.repository.freeze(&suite).await?;
    state.audit.record(caller.entry("suite.snapshot", suite.as_str(), snapshot.to_string(), Outcome::Done)).await;
    Ok((StatusCode::CREATED, axum::Json(SuiteInfo { name: snapshot.to_string() })))
}

/// Have a suite hold what a snapshot of it holds.
#[utoipa::path(
    post, path = "/api/v1/suites/{suite}/return", tag = "snapshots",
    security(("token" = ["operator"])),
    params(InSuite), request_body(content = SuiteInfo, description = "The snapshot"),
    responses(
    (status = 200, description = "It does", body = SuiteInfo),
    (status = 404, description = "There is no such suite, or no such snapshot"),
    (status = 409, description = "The suite is a snapshot itself, or the other one is none"),
    )
)]
pub(super) async fn return_to(
    State(state): State<ServerState>,
    Path(suite): Path<String>,
    caller: Caller,
    Json(asked): Json<SuiteInfo>,
) -> Result<axum::Json<SuiteInfo>, Problem> {
    let (suite, snapshot) = (known_suite(&state, &suite)?, known_suite(&state, &asked.name)?);
    caller.require(Action::ChangeSuite(&suite))?;
    caller.require(Action::Read(&snapshot))?;
    state.repository.return_to(&suite, &snapshot).await?;
    state.audit.record(caller.entry("suite.return", suite.as_str(), snapshot.to_string(), Outcome::Done)).await;
    Ok(axum::Json(SuiteInfo { name: suite.to_string() }))
}

/// What a suite keeps.
#[utoipa::path(
    get, path = "/api/v1/suites/{suite}/retention", tag = "packages",
    security(("token" = ["viewer"])),
    params(InSuite),
    responses((status = 200, description = "How much of each package", body = Retention), (status = 404, description = "There is no such suite"),)
)]
pub(super) async fn retention(
    State(state): State<ServerState>,
    Path(suite): Path<String>,
    caller: Caller,
) -> Result<axum::Json<Retention>, Problem> {
    let suite = known_suite(&state, &suite)?;
    caller.require(Action::Read(&suite))?;
    Ok(axum::Json(state.repository.retention(&suite).await?))
}

/// Say what a suite keeps.
///
/// What goes is withdrawn before the answer, and from then on every hour.
#[utoipa::path(
    put, path = "/api/v1/suites/{suite}/retention", tag = "packages",
    security(("token" = ["operator"])),
    params(InSuite), request_body = Retention,
    responses((status = 200, description = "It is so", body = Retention), (status = 404, description = "There is no such suite"), (status = 409, description = "The suite is a snapshot, which never changes"),)
)]
pub(super) async fn set_retention(
    State(state): State<ServerState>,
    Path(suite): Path<String>,
    caller: Caller,
    Json(asked): Json<Retention>,
) -> Result<axum::Json<Retention>, Problem> {
    let suite = known_suite(&state, &suite)?;
    caller.require(Action::ChangeSuite(&suite))?;
    state.repository.set_retention(&suite, asked).await?;
    // Noted by itself: it holds also where what goes cannot be withdrawn now.
    let detail = format!("{} versions, {} days", asked.versions, asked.days);
    state.audit.record(caller.entry("suite.retention", suite.as_str(), detail, Outcome::Done)).await;
    state.repository.withdraw_expired(&suite, caller.actor(), &state.audit).await?;
    Ok(axum::Json(asked))
}

fn selection(package: &str, version: Option<&str>, architecture: Option<&str>) -> Result<Selection, Problem> {
    fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, Problem> {
        text.parse().map_err(|error| Problem::bad_request(format!("{error}")))
    }
    Ok(Selection {
        name: parsed(package)?,
        version: version.map(parsed).transpose()?,
        architecture: architecture.map(parsed).transpose()?,
    })
}

async fn note(
    state: &ServerState,
    caller: &Caller,
    action: &'static str,
    suite: &SuiteName,
    changed: &[Placed],
    how: String,
) -> axum::Json<Changed> {
    let packages: Vec<SuitePackage> = changed.iter().map(told).collect();
    if !packages.is_empty() {
        let names = packages.iter().map(|it| format!("{} {} ({})", it.package, it.version, it.architecture));
        let detail = names.collect::<Vec<_>>().join(", ") + &how;
        state.audit.record(caller.entry(action, suite.as_str(), detail, Outcome::Done)).await;
    }
    axum::Json(Changed { suite: suite.to_string(), packages })
}

fn told(placed: &Placed) -> SuitePackage {
    let Placed { package, component, phased } = placed;
    SuitePackage {
        package: package.name.clone(),
        version: package.version.to_string(),
        architecture: package.architecture.clone(),
        component: component.to_string(),
        filename: package.filename.clone(),
        sha256: package.sha256.clone(),
        phased: *phased,
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
