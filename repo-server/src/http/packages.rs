//! `/api/v1/suites/<suite>/packages`: publishing.

use super::caller::Caller;
use super::problem::Problem;
use super::state::ServerState;
use super::suites::known_suite;
use crate::access::Action;
use crate::repository::{Piece, PublishError};
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts as _, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use debian_formats::names::{ComponentName, SuiteName};
use fleet_protocol::audit::Outcome;
use fleet_protocol::publishing::Published;
use http_body_util::BodyExt as _;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// An upload from which nothing comes for so long has broken off.
const SILENCE: Duration = Duration::from_secs(60);
/// Pieces on their way to the disk.
const PIECES: usize = 16;
/// How much of a refused upload is read and thrown away, and for how long: a client that is still sending when the
/// connection closes would not see the answer.
const DISCARD_BYTES: usize = 64 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// What may stand behind the `?`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadQuery {
    /// Absent: `main`.
    #[serde(default = "ComponentName::main")]
    component: ComponentName,
}

/// `POST /api/v1/suites/<suite>/packages?component=<component>`, the .deb as body.
pub(super) async fn publish(
    State(state): State<ServerState>,
    Path(suite): Path<String>,
    query: Result<Query<UploadQuery>, QueryRejection>,
    request: Request,
) -> Response {
    let (mut head, mut body) = request.into_parts();
    // Who asks, and for what, is settled before the first byte of the body is read.
    let query = query.map_err(|rejection| Problem::bad_query(rejection.body_text()));
    let admitted = admit(&state, &suite, &mut head).await.and_then(|(by, suite)| Ok((by, suite, query?.0.component)));
    let (caller, suite, component) = match admitted {
        Ok(admitted) => admitted,
        Err(problem) => {
            // A client that waits for `100 Continue` has sent nothing yet.
            if !head.headers.contains_key(header::EXPECT) {
                discard(body).await;
            }
            return problem.into_response();
        }
    };
    let (sender, pieces) = mpsc::channel(PIECES);
    // A task of its own, so that what was published is also noted when the client has gone meanwhile.
    let publishing = tokio::spawn(publish_and_note(state, caller, suite, component, pieces));
    let (published, ()) = tokio::join!(publishing, feed(&mut body, sender));
    match published.unwrap_or_else(|stopped| Err(PublishError::from(stopped).into())) {
        Ok(published) => {
            let status = if published.created { StatusCode::CREATED } else { StatusCode::OK };
            (status, axum::Json(published)).into_response()
        }
        Err(problem) => {
            discard(body).await;
            problem.into_response()
        }
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

/// The whole API, on a listener where it must not be used.
pub(super) async fn refuse_without_tls(request: Request) -> Problem {
    if !request.headers().contains_key(header::EXPECT) {
        discard(request.into_body()).await;
    }
    Problem::needs_tls()
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

/// Passes the body on until its end, or until nobody wants more of it.
async fn feed(body: &mut Body, sender: mpsc::Sender<Piece>) {
    loop {
        let piece = match timeout(SILENCE, next_data(body)).await {
            Ok(Ok(Some(data))) => Piece::Data(data),
            Ok(Ok(None)) => Piece::End,
            Ok(Err(error)) => Piece::BrokenOff(error.to_string()),
            Err(_) => Piece::BrokenOff(format!("nothing came for {} seconds", SILENCE.as_secs())),
        };
        let last = !matches!(piece, Piece::Data(_));
        if sender.send(piece).await.is_err() || last {
            return;
        }
    }
}

async fn discard(mut body: Body) {
    let reading = async {
        let mut read = 0;
        while let Ok(Some(data)) = next_data(&mut body).await {
            read += data.len();
            if read > DISCARD_BYTES {
                return;
            }
        }
    };
    // Whether it came to its end does not matter.
    let _ = timeout(DISCARD_TIME, reading).await;
}

async fn next_data(body: &mut Body) -> Result<Option<Bytes>, axum::Error> {
    while let Some(frame) = body.frame().await {
        // Trailers carry nothing for us.
        if let Ok(data) = frame?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
