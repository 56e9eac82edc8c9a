//! `/api/v1/suites/<suite>/packages`: publishing.

use super::problem::Problem;
use super::state::ServerState;
use crate::repository::{Piece, PublishError};
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use debian_formats::names::{ComponentName, SuiteName};
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
    let (head, mut body) = request.into_parts();
    // Who asks, and for what, is settled before the first byte of the body is read.
    let query = query.map_err(|rejection| Problem::bad_query(rejection.body_text()));
    let admitted = admit(&state, &suite, &head.headers).await.and_then(|suite| Ok((suite, query?.0.component)));
    let (suite, component) = match admitted {
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
    let (published, ()) = tokio::join!(state.repository.publish(&suite, &component, pieces), feed(&mut body, sender));
    match published {
        Ok(published) => {
            let status = if published.created { StatusCode::CREATED } else { StatusCode::OK };
            (status, axum::Json(published)).into_response()
        }
        Err(error) => {
            let problem = Problem::from(error);
            if let Some(reason) = problem.refusal() {
                tracing::info!(%suite, reason, "refused an upload");
            }
            discard(body).await;
            problem.into_response()
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

async fn admit(state: &ServerState, suite: &str, headers: &HeaderMap) -> Result<SuiteName, Problem> {
    let token = bearer_token(headers).ok_or_else(|| {
        Problem::unauthenticated(
            "no token was sent; send `Authorization: Bearer TOKEN` (debfleet publish: DEBFLEET_TOKEN)",
        )
    })?;
    let role = state.tokens.role_of(token).await?.ok_or_else(|| {
        Problem::unauthenticated("this server does not know the token; use the one that `debfleet-server init` printed")
    })?;
    if !role.may_publish() {
        return Err(Problem::forbidden(format!("a token of the role {role} may not publish")));
    }
    let name: SuiteName = suite.parse().map_err(|error| Problem::not_found(format!("{error}")))?;
    if state.repository.suite(&name).is_none() {
        return Err(PublishError::UnknownSuite(name).into());
    }
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let limit = state.repository.max_upload();
    if announced.is_some_and(|length| length > limit) {
        return Err(Problem::too_large(limit));
    }
    Ok(name)
}

/// RFC 6750 §2.1; the scheme's name is compared without case (RFC 9110 §11.1).
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_counts() {
        let token = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer_token(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer abc").as_deref(), Some("abc"));
        for bad in ["abc", "Basic abc", "Bearer", "Bearer ", ""] {
            assert_eq!(token(bad), None, "{bad:?}");
        }
        assert_eq!(bearer_token(&HeaderMap::new()), None);
    }
}
