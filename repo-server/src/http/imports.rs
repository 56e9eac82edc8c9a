//! `/api/v1/suites/<suite>/imports`: many packages at once.

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
use tokio::sync::mpsc;

/// What may stand behind the question mark.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportQuery {
    /// Absent: `main`.
    #[serde(default = "ComponentName::main")]
    component: ComponentName,
    /// Whether packages without a signature by a package key are taken in.
    #[serde(default)]
    unsigned: bool,
}

/// `POST /api/v1/suites/<suite>/imports?component=<component>&unsigned=<bool>`, a tar of .debs as body.
pub(super) async fn import(State(state): State<ServerState>, Path(suite): Path<String>, request: Request) -> Response {
    let (mut head, mut body) = request.into_parts();
    let (caller, suite, query) = match admit(&state, &suite, &mut head).await {
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
