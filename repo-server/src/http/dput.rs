//! `/upload`: what dput sends, file by file, the `.changes` last.

use super::body;
use super::caller::Caller;
use super::packages::Tally;
use super::problem::Problem;
use super::state::ServerState;
use super::suites::known_suite;
use crate::access::Action;
use crate::repository::{Piece, UploadSetError, Uploader};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use debian_formats::names::SuiteName;
use debian_formats::signed_changes::is_plain;
use fleet_protocol::audit::Outcome;
use fleet_protocol::publishing::Published;
use hyper::ext::ReasonPhrase;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A `.changes` of a thousand packages is far shorter.
const LONGEST_CHANGES: usize = 1 << 20;
const CHANGES_TIME: Duration = Duration::from_secs(60);
/// dput shows no more of an answer than the words behind the status.
const LONGEST_REASON: usize = 400;

/// `PUT /upload/<suite>/<file>`
pub(super) async fn put_to_suite(
    State(state): State<ServerState>,
    Path((suite, file)): Path<(String, String)>,
    request: Request,
) -> Response {
    put(state, Some(suite), file, request).await
}

/// `PUT /upload/<file>`: the suite is the Distribution of the `.changes`.
pub(super) async fn put_anywhere(
    State(state): State<ServerState>,
    Path(file): Path<String>,
    request: Request,
) -> Response {
    put(state, None, file, request).await
}

async fn put(state: ServerState, suite: Option<String>, file: String, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let admitted = match Caller::by_password(&head, &state).await {
        Ok(caller) => admit(&state, caller, suite.as_deref(), &file, &head.headers),
        Err(problem) => Err(problem),
    };
    let answer = match admitted {
        // dput tries without a password first, and reads no answer before it has sent the whole file.
        Err(problem) => body::refuse_when_sent(problem, &head.headers, body, state.repository.max_upload()).await,
        Ok((caller, uploader)) if file.ends_with(".changes") => publish(&state, &caller, &uploader, &file, body).await,
        Ok((_, uploader)) => keep(&state, &uploader, &file, body).await,
    };
    answer.unwrap_or_else(with_reason)
}

/// The problem, also in the words behind the status.
fn with_reason(problem: Problem) -> Response {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let reason: String = problem.detail().chars().map(plain).take(LONGEST_REASON).collect();
    let mut response = problem.into_response();
    if let Ok(reason) = ReasonPhrase::try_from(reason.into_bytes()) {
        response.extensions_mut().insert(reason);
    }
    response
}

fn admit(
    state: &ServerState,
    caller: Caller,
    suite: Option<&str>,
    file: &str,
    headers: &axum::http::HeaderMap,
) -> Result<(Caller, Uploader), Problem> {
    let suite = suite.map(|suite| known_suite(state, suite)).transpose()?;
    match &suite {
        Some(suite) => caller.require(Action::Publish(suite))?,
        None => caller.require_for_any(&state.repository.suite_names())?,
    }
    if !is_plain(file) {
        return Err(Problem::bad_request("a file of an upload has a plain name, such as hi_1.0-1_all.deb"));
    }
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let limit = state.repository.max_upload();
    if announced.is_some_and(|length| length > limit) {
        return Err(Problem::too_large(limit));
    }
    let uploader = Uploader { token: caller.token_id().to_owned(), suite };
    Ok((caller, uploader))
}

/// Keeps a file until its `.changes` comes.
async fn keep(state: &ServerState, uploader: &Uploader, file: &str, mut body: Body) -> Result<Response, Problem> {
    let (sender, pieces) = mpsc::channel::<Piece>(body::PIECES);
    let keeping = state.repository.keep_for_changes(uploader, file, pieces);
    let (kept, (end, _)) = tokio::join!(keeping, body::feed(&mut body, sender, state.stop.clone()));
    match kept {
        Ok(()) => Ok((StatusCode::CREATED, "kept until its .changes comes\n").into_response()),
        Err(error) => Err(body::refuse_fed(error.into(), end, body).await),
    }
}

/// Publishes what a `.changes` lists.
async fn publish(
    state: &ServerState,
    caller: &Caller,
    uploader: &Uploader,
    file: &str,
    body: Body,
) -> Result<Response, Problem> {
    let mut tally = Tally::new(&state.metrics);
    let ended = async {
        let message = read(body).await?;
        let began = std::time::Instant::now();
        let (suite, published) = publish_and_note(state, caller, uploader, file, &message).await?;
        if published.iter().any(|package| package.created) {
            tally.published(began);
            Ok((StatusCode::CREATED, axum::Json(published)).into_response())
        } else {
            tracing::debug!(%suite, file, "repeated");
            tally.repeated();
            Ok((StatusCode::OK, axum::Json(published)).into_response())
        }
    };
    let ended: Result<Response, Problem> = ended.await;
    ended.inspect_err(|problem| tally.refused(problem))
}

async fn read(body: Body) -> Result<String, Problem> {
    let too_long = || Problem::bad_request(format!("a .changes is UTF-8 and at most {LONGEST_CHANGES} bytes long"));
    let read = timeout(CHANGES_TIME, axum::body::to_bytes(body, LONGEST_CHANGES)).await;
    let bytes = read.map_err(|_| Problem::bad_request("the .changes did not come to its end"))?;
    String::from_utf8(bytes.map_err(|_| too_long())?.into()).map_err(|_| too_long())
}

async fn publish_and_note(
    state: &ServerState,
    caller: &Caller,
    uploader: &Uploader,
    file: &str,
    message: &str,
) -> Result<(SuiteName, Vec<Published>), Problem> {
    let note = |subject: String, detail, outcome| {
        let entry = caller.entry("package.publish", &subject, detail, outcome);
        async move { state.audit.record(entry).await }
    };
    let refused = async |suite: Option<&SuiteName>, problem: Problem| {
        if let Some(reason) = problem.refusal() {
            tracing::info!(file, reason, "refused an upload");
            let subject = suite.map(ToString::to_string).unwrap_or_default();
            note(subject, format!("{file}: {reason}"), Outcome::Refused).await;
        }
        problem
    };
    let changes = match state.repository.read_changes(message) {
        Ok(changes) => changes,
        Err(error) => {
            // Which of the waiting files it was for cannot be known.
            state.repository.forget_uploads(uploader);
            return Err(refused(uploader.suite.as_ref(), error.into()).await);
        }
    };
    let suite = changes.distribution();
    let is_allowed = match &uploader.suite {
        Some(addressed) if addressed != suite => Err(Problem::other_suite(addressed, suite)),
        Some(_) => Ok(()),
        None => known_suite(state, suite.as_str()).and_then(|suite| caller.require(Action::Publish(&suite))),
    };
    if let Err(problem) = is_allowed {
        state.repository.forget_uploads(uploader);
        return Err(refused(Some(suite), problem).await);
    }
    match state.repository.publish_changes(uploader, suite, &changes).await {
        Ok(published) => {
            let signers: Vec<String> = changes.signers().iter().map(ToString::to_string).collect();
            let packages = published.iter().map(|it| {
                let was_there = if it.created { "" } else { "; it was there already" };
                format!("{} {} ({}), SHA-256 {}{was_there}", it.package, it.version, it.architecture, it.sha256)
            });
            let packages: Vec<String> = packages.collect();
            let detail = format!("{file} signed by {}: {}", signers.join(" and "), packages.join("; "));
            note(suite.to_string(), detail, Outcome::Done).await;
            Ok((suite.clone(), published))
        }
        Err(error) => Err(refused(Some(suite), error.into()).await),
    }
}

impl From<UploadSetError> for Problem {
    fn from(error: UploadSetError) -> Self {
        let text = error.to_string();
        match error {
            UploadSetError::Publish(cause) => cause.into(),
            UploadSetError::Package { name, cause } => Problem::from(cause).about(&name),
            UploadSetError::TooMany { .. } | UploadSetError::TooLarge { .. } => Self::too_much(text),
            UploadSetError::Changes(_)
            | UploadSetError::NoPackage
            | UploadSetError::Components
            | UploadSetError::Absent(_)
            | UploadSetError::Twice(_)
            | UploadSetError::Other(_) => Self::changes_refused(text),
        }
    }
}
