//! `/api/v1/suites/<suite>/imports`: many packages at once.

use super::address::InSuite;
use super::body;
use super::caller::Caller;
use super::json::Asked;
use super::problem::Problem;
use super::state::ServerState;
use super::suites::known_suite;
use crate::access::Action;
use crate::repository::Pieces;
use axum::extract::{FromRequestParts as _, Path, Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use debian_formats::names::{ComponentName, SuiteName};
use fleet_protocol::audit::Outcome;
use fleet_protocol::publishing::Imported;
use hyper::body::Body as _;
use tokio::sync::mpsc;

/// What may stand behind the question mark.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportQuery {
    /// Absent: `main`.
    #[serde(default = "ComponentName::main")]
    #[param(value_type = fleet_protocol::openapi::ComponentName, required = false)]
    component: ComponentName,
    /// Whether packages without a signature by a package key are taken in, which needs the role admin.
    #[serde(default)]
    unsigned: bool,
}

/// Publish many packages at once.
///
/// Each is checked as if it were published alone; those that are refused are told, and the others are published together.
#[utoipa::path(
    post, path = "/api/v1/suites/{suite}/imports", tag = "packages",
    security(("token" = ["publisher"])),
    params(InSuite, ImportQuery),
    request_body(content = Vec<u8>, content_type = "application/x-tar", description = "A tar of .debs"),
    responses(
    (status = 200, description = "What became of them", body = Imported), (status = 404, description = "There is no such suite"), (status = 409, description = "The suite is a snapshot, which never changes"),
    (status = 413, description = "There are too many packages"),
    )
)]
pub(super) async fn import(State(state): State<ServerState>, Path(suite): Path<String>, request: Request) -> Response {
    let (mut head, mut body) = request.into_parts();
    let (caller, suite, query) = match admit(&state, &suite, &mut head).await {
        Ok(_) if body.is_end_stream() => {
            return Problem::bad_request("the body is empty; send a tar of .debs").into_response();
        }
        Ok(admitted) => admitted,
        Err(problem) => return body::refuse(problem, &head.headers, body).await,
    };
    let (sender, pieces) = mpsc::channel(body::PIECES);
    let stop = state.stop.clone();
    let importing = import_and_note(state, caller, suite, query, pieces);
    let (imported, (end, _)) = tokio::join!(importing, body::feed(&mut body, sender, stop));
    match imported {
        Ok(imported) => axum::Json(imported).into_response(),
        Err(problem) => body::refuse_fed(problem, end, body).await.into_response(),
    }
}

async fn admit(
    state: &ServerState,
    suite: &str,
    head: &mut Parts,
) -> Result<(Caller, SuiteName, ImportQuery), Problem> {
    let caller = Caller::from_request_parts(head, state).await?;
    let suite = known_suite(state, suite)?;
    let Asked(query) = Asked::<ImportQuery>::from_request_parts(head, state).await?;
    caller.require(if query.unsigned { Action::PublishUnsigned(&suite) } else { Action::Publish(&suite) })?;
    Ok((caller, suite, query))
}

async fn import_and_note(
    state: ServerState,
    caller: Caller,
    suite: SuiteName,
    query: ImportQuery,
    pieces: Pieces,
) -> Result<Imported, Problem> {
    let note = |detail, outcome| state.audit.record(caller.entry("suite.import", suite.as_str(), detail, outcome));
    let ImportQuery { component, unsigned } = query;
    match state.repository.import(&suite, &component, unsigned, pieces).await {
        Ok(imported) => {
            let Imported { added, held, refused, .. } = &imported;
            let signed = if unsigned { ", unsigned ones too" } else { "" };
            let detail = format!("into {component}{signed}: {added} added, {held} held before, {refused} refused");
            note(detail, Outcome::Done).await;
            Ok(imported)
        }
        Err(error) => {
            let problem = Problem::from(error);
            if let Some(reason) = problem.refusal() {
                note(reason.to_owned(), Outcome::Refused).await;
            }
            Err(problem)
        }
    }
}
