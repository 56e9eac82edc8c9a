//! `/api/v1/suites/<suite>/packages`: publishing.

use super::caller::Caller;
use super::problem::Problem;
use super::state::ServerState;
use super::suites::known_suite;
use crate::access::Action;
use crate::metrics::Metrics;
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
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::Instrument as _;

/// An upload from which nothing comes for so long has broken off.
const SILENCE: Duration = Duration::from_secs(60);
/// Pieces on their way to the disk.
const PIECES: usize = 16;
/// How much of a refused upload is read and thrown away, and for how long: a client that is still sending when the
/// connection closes would not see the answer.
const DISCARD_BYTES: usize = 64 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(5);
/// What an upload under way gets when the server is told to stop. Together with the time to tell its sender this is
/// shorter than what the listener gives.
const FAREWELL_TIME: Duration = Duration::from_secs(5);
const DISCARD_TIME_AT_END: Duration = Duration::from_secs(1);

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
    let mut tally = Tally::new(&state.metrics);
    let (mut head, mut body) = request.into_parts();
    // Who asks, and for what, is settled before the first byte of the body is read.
    let query = query.map_err(|rejection| Problem::bad_query(rejection.body_text()));
    let admitted = admit(&state, &suite, &mut head).await.and_then(|(by, suite)| Ok((by, suite, query?.0.component)));
    let (caller, suite, component) = match admitted {
        Ok(admitted) => admitted,
        Err(problem) => {
            tally.outcome = problem.title();
            // A client that waits for `100 Continue` has sent nothing yet.
            if !head.headers.contains_key(header::EXPECT) {
                discard(body, DISCARD_TIME).await;
            }
            return problem.into_response();
        }
    };
    let (sender, pieces) = mpsc::channel(PIECES);
    // A task of its own, so that what was published is also noted when the client has gone meanwhile.
    let stop = state.stop.clone();
    let publishing = tokio::spawn(publish_and_note(state, caller, suite, component, pieces).in_current_span());
    let (published, (end, ended)) = tokio::join!(publishing, feed(&mut body, sender, stop));
    match published.unwrap_or_else(|stopped| Err(PublishError::from(stopped).into())) {
        Ok(published) if published.created => {
            tally.published(ended);
            (StatusCode::CREATED, axum::Json(published)).into_response()
        }
        Ok(published) => {
            tally.outcome = "repeated";
            (StatusCode::OK, axum::Json(published)).into_response()
        }
        Err(problem) => {
            let (problem, patience) = match end {
                Fed::Stopped => (Problem::stopping(), DISCARD_TIME_AT_END),
                Fed::Whole | Fed::BrokenOff | Fed::Unwanted => (problem, DISCARD_TIME),
            };
            tally.outcome = problem.title();
            discard(body, patience).await;
            problem.into_response()
        }
    }
}

/// Counts an upload when it ends, also when that is because the client has gone.
struct Tally {
    metrics: Arc<Metrics>,
    outcome: &'static str,
}

impl Tally {
    fn new(metrics: &Arc<Metrics>) -> Self {
        Self { metrics: metrics.clone(), outcome: "Upload broken off" }
    }

    /// `ended` is when its last byte came.
    fn published(&mut self, ended: Instant) {
        self.outcome = "published";
        self.metrics.published(ended.elapsed());
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

/// The whole API, on a listener where it must not be used.
pub(super) async fn refuse_without_tls(request: Request) -> Problem {
    if !request.headers().contains_key(header::EXPECT) {
        discard(request.into_body(), DISCARD_TIME).await;
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

/// How an upload's body came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fed {
    /// All of it was passed on.
    Whole,
    /// The client has gone or fell silent.
    BrokenOff,
    /// It was refused before its end.
    Unwanted,
    /// The server is to stop.
    Stopped,
}

/// Passes the body on until its end, or until nobody wants more of it; and when that was.
async fn feed(body: &mut Body, sender: mpsc::Sender<Piece>, stop: watch::Receiver<bool>) -> (Fed, Instant) {
    let fed = tokio::select! {
        fed = feed_all(body, &sender) => fed,
        () = out_of_time(stop) => {
            // Whether somebody still listens does not matter.
            let _ = sender.send(Piece::BrokenOff("the server is being stopped".to_owned())).await;
            Fed::Stopped
        }
    };
    (fed, Instant::now())
}

async fn feed_all(body: &mut Body, sender: &mpsc::Sender<Piece>) -> Fed {
    loop {
        let (piece, end) = match timeout(SILENCE, next_data(body)).await {
            Ok(Ok(Some(data))) => (Piece::Data(data), None),
            Ok(Ok(None)) => (Piece::End, Some(Fed::Whole)),
            Ok(Err(error)) => (Piece::BrokenOff(error.to_string()), Some(Fed::BrokenOff)),
            Err(_) => {
                let reason = format!("nothing came for {} seconds", SILENCE.as_secs());
                (Piece::BrokenOff(reason), Some(Fed::BrokenOff))
            }
        };
        if sender.send(piece).await.is_err() {
            return Fed::Unwanted;
        }
        if let Some(end) = end {
            return end;
        }
    }
}

/// Comes when the server was told to stop and the uploads under way have had their time.
async fn out_of_time(mut stop: watch::Receiver<bool>) {
    // Without a sender the process is about to end anyway.
    let _ = stop.wait_for(|stop| *stop).await;
    tokio::time::sleep(FAREWELL_TIME).await;
}

async fn discard(mut body: Body, patience: Duration) {
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
    let _ = timeout(patience, reading).await;
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
