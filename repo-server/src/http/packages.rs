//! `/api/v1/suites/<suite>/packages`: publishing.

use super::address::InSuite;
use super::body;
use super::caller::Caller;
use super::problem::Problem;
use super::state::ServerState;
use super::suites::known_suite;
use crate::access::Action;
use crate::metrics::Metrics;
use crate::repository::Piece;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts as _, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use debian_formats::names::{ComponentName, SuiteName};
use fleet_protocol::audit::Outcome;
use fleet_protocol::publishing::Published;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// What may stand behind the `?`.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UploadQuery {
    /// Absent: `main`.
    #[serde(default = "ComponentName::main")]
    #[param(value_type = fleet_protocol::openapi::ComponentName, required = false)]
    component: ComponentName,
}

/// Publish a package.
///
/// When the answer comes, the suite has it and readers see it. To send the same package again is safe.
#[utoipa::path(
    post, path = "/api/v1/suites/{suite}/packages", tag = "packages",
    security(("token" = ["publisher"])),
    params(InSuite, UploadQuery),
    request_body(content = Vec<u8>, content_type = "application/vnd.debian.binary-package",
    description = "The .deb, signed by a package key; no longer than the server's `--max-upload`"),
    responses(
    (status = 201, description = "It is published", body = Published),
    (status = 200, description = "The suite held exactly this package already", body = Published), (status = 404, description = "There is no such suite"),
    (status = 409, description = "The suite is a snapshot; or the name, version and architecture, or the place in the pool, are taken by other content"),
    (status = 413, description = "It is too large"),
    (status = 422, description = "It is no package, or not signed by a known key"),
    )
)]
pub(super) async fn publish(
    State(state): State<ServerState>,
    Path(suite): Path<String>,
    query: Result<Query<UploadQuery>, QueryRejection>,
    request: Request,
) -> Response {
    let mut tally = Tally::new(&state.metrics);
    let (mut head, mut body) = request.into_parts();
    // Who asks, and for what, is settled before the first byte of the body is read.
    let query = query.map_err(|rejection| Problem::bad_query(rejection.body_text()));
    let admitted = admit(&state, &suite, &mut head).await.and_then(|(by, suite)| Ok((by, suite, query?.0.component)));
    let (caller, suite, component) = match admitted {
        Ok(admitted) => admitted,
        Err(problem) => {
            tally.refused(&problem);
            return body::refuse(problem, &head.headers, body).await;
        }
    };
    let (sender, pieces) = mpsc::channel(body::PIECES);
    let stop = state.stop.clone();
    let publishing = publish_and_note(state, caller, suite, component, pieces);
    let (published, (end, ended)) = tokio::join!(publishing, body::feed(&mut body, sender, stop));
    match published {
        Ok(published) if published.created => {
            tally.published(ended);
            (StatusCode::CREATED, axum::Json(published)).into_response()
        }
        Ok(published) => {
            tally.repeated();
            (StatusCode::OK, axum::Json(published)).into_response()
        }
        Err(problem) => {
            let problem = body::refuse_fed(problem, end, body).await;
            tally.refused(&problem);
            problem.into_response()
        }
    }
}

/// Counts an upload when it ends, also when that is because the client has gone.
pub(super) struct Tally {
    metrics: Arc<Metrics>,
    outcome: &'static str,
}

impl Tally {
    pub(super) fn new(metrics: &Arc<Metrics>) -> Self {
        Self { metrics: metrics.clone(), outcome: "Upload broken off" }
    }

    /// `ended` is when its last byte came.
    pub(super) fn published(&mut self, ended: Instant) {
        self.outcome = "published";
        self.metrics.published(ended.elapsed());
    }

    /// It was there already.
    pub(super) fn repeated(&mut self) {
        self.outcome = "repeated";
    }

    pub(super) fn refused(&mut self, problem: &Problem) {
        self.outcome = problem.title();
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.metrics.upload(self.outcome);
    }
}

async fn publish_and_note(
    state: ServerState,
    caller: Caller,
    suite: SuiteName,
    component: ComponentName,
    pieces: mpsc::Receiver<Piece>,
) -> Result<Published, Problem> {
    let note = |detail, outcome| state.audit.record(caller.entry("package.publish", suite.as_str(), detail, outcome));
    match state.repository.publish(&suite, &component, pieces).await {
        Ok(published) => {
            // A repeated one as well: what the first one changed may have been cut off before it was noted.
            let Published { package, version, architecture, sha256, created, .. } = &published;
            let was_there = if *created { "" } else { "; it was there already" };
            note(format!("{package} {version} ({architecture}), SHA-256 {sha256}{was_there}"), Outcome::Done).await;
            Ok(published)
        }
        Err(error) => {
            let problem = Problem::from(error);
            if let Some(reason) = problem.refusal() {
                tracing::info!(%suite, reason, "refused an upload");
                note(reason.to_owned(), Outcome::Refused).await;
            }
            Err(problem)
        }
    }
}

async fn admit(state: &ServerState, suite: &str, head: &mut Parts) -> Result<(Caller, SuiteName), Problem> {
    let caller = Caller::from_request_parts(head, state).await?;
    let suite = known_suite(state, suite)?;
    caller.require(Action::Publish(&suite))?;
    let announced =
        head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let limit = state.repository.max_upload();
    if announced.is_some_and(|length| length > limit) {
        return Err(Problem::too_large(limit));
    }
    Ok((caller, suite))
}
