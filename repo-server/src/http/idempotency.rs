//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a request that comes again with its key is answered as the
//! first time, and not carried out again.

use super::body;
use super::caller::Caller;
use super::problem::Problem;
use super::state::ServerState;
use crate::repeats::{Begun, BodyPrint, KeptAnswer, Keyed, LONGEST_ANSWER};
use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use debian_formats::checksums::{Sha256Hasher, sha256_hex};
use fleet_protocol::access::TOKENS_PATH;
use fleet_protocol::people::SESSIONS_PATH;
use fleet_protocol::publishing::IDEMPOTENCY_KEY;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

const KEY: HeaderName = HeaderName::from_static(IDEMPOTENCY_KEY);
/// The longest key, in bytes.
const LONGEST_KEY: usize = 64;

/// Carries a request out, unless it was with its key before. Without a key all goes as it does; PUT and DELETE may be
/// repeated anyway.
pub(super) async fn once(State(state): State<ServerState>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    let (mut head, body) = request.into_parts();
    let (caller, keyed) = match known(&state, &mut head).await {
        Ok(known) => known,
        Err(problem) => return body::refuse(problem, &head.headers, body).await,
    };
    let begun = match state.repeats.begin(&keyed).await {
        Ok(begun) => begun,
        Err(error) => return body::refuse(Problem::of_database(&error), &head.headers, body).await,
    };
    match begun {
        Begun::New => {
            // Whoever asks is known now.
            head.extensions.insert(caller);
            let taken = Arc::new(Mutex::new(Taken::new(body)));
            let request = Request::from_parts(head, Body::new(Watched(taken.clone())));
            let response = next.run(request).await;
            keep(&state, &keyed, &taken, response).await
        }
        Begun::Running => body::refuse(Problem::still_running(), &head.headers, body).await,
        Begun::Other => body::refuse(Problem::other_request(), &head.headers, body).await,
        Begun::Done(kept) => {
            let mut taken = Taken::new(body);
            taken.read_on(kept.body.length).await;
            if taken.print() == Some(kept.body) {
                let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
                return (status, [(header::CONTENT_TYPE, JSON)], kept.answer).into_response();
            }
            body::refuse(Problem::other_request(), &head.headers, taken.body).await
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

async fn known(state: &ServerState, head: &mut axum::http::request::Parts) -> Result<(Caller, Keyed), Problem> {
    let caller = Caller::from_request_parts(head, state).await?;
    let key = key_of(&head.headers)?;
    if is_answered_with_secret(head.uri.path()) {
        return Err(Problem::bad_request(
            "a token's secret is not kept, so that this request cannot be repeated; leave Idempotency-Key away",
        ));
    }
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    let request = sha256_hex(format!("{} {target}", head.method).as_bytes());
    Ok((caller.clone(), Keyed { token: caller.token_id().to_owned(), key, request }))
}

fn is_answered_with_secret(path: &str) -> bool {
    [TOKENS_PATH, SESSIONS_PATH].contains(&path) || path.ends_with("/mqtt-tokens")
}

/// The header's one value, a string of RFC 8941.
fn key_of(headers: &HeaderMap) -> Result<String, Problem> {
    let mut all = headers.get_all(KEY).iter().map(|value| value.to_str().unwrap_or_default());
    let (value, other) = (all.next().unwrap_or_default(), all.next());
    let key = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
    if other.is_none() && (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(is_plain) {
        return Ok(key.to_owned());
    }
    Err(Problem::bad_request(format!(
        "Idempotency-Key is to be one text in quotes, of 1 to {LONGEST_KEY} letters, digits and other signs but blanks, \
         such as \"8e03978e-40d5-43e8-bc93-6894a57f9324\""
    )))
}

/// Keeps what was done; what was refused changed nothing and may come again.
async fn keep(state: &ServerState, keyed: &Keyed, taken: &Mutex<Taken>, response: Response) -> Response {
    let (head, answer) = response.into_parts();
    let is_short = HttpBody::size_hint(&answer).exact().is_some_and(|length| length <= LONGEST_ANSWER);
    let mut taken = std::mem::replace(&mut *lock(taken), Taken::new(Body::empty()));
    if head.status.is_success() && is_short {
        taken.read_on(taken.length.saturating_add(body::DISCARD_BYTES as u64)).await;
    }
    let answer = match (head.status.is_success() && is_short, taken.print()) {
        (true, Some(print)) => {
            // It is in memory.
            let bytes = answer.collect().await.map(|all| all.to_bytes()).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let kept = KeptAnswer { body: print, status: head.status.as_u16(), answer: text };
            if let Err(error) = state.repeats.keep(keyed, &kept).await {
                tracing::error!(%error, "an answer could not be kept; its key is refused for a day");
            }
            Body::from(bytes)
        }
        _ => {
            if let Err(error) = state.repeats.forget(keyed).await {
                tracing::error!(%error, "a key could not be given free; it is refused for a day");
            }
            answer
        }
    };
    Response::from_parts(head, answer)
}

/// A body, and what has been read of it.
struct Taken {
    body: Body,
    hasher: Sha256Hasher,
    length: u64,
    is_whole: bool,
}

impl Taken {
    fn new(body: Body) -> Self {
        Self { body, hasher: Sha256Hasher::default(), length: 0, is_whole: false }
    }

    /// Reads the rest, until there is more than `most` of it.
    async fn read_on(&mut self, most: u64) {
        while self.length <= most && !self.is_whole {
            let frame = tokio::time::timeout(body::SILENCE, std::future::poll_fn(|cx| self.poll(cx))).await;
            if !matches!(frame, Ok(Some(Ok(_)))) {
                return;
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.hasher.update(data);
                    self.length += data.len() as u64;
                }
            }
            None => self.is_whole = true,
            Some(Err(_)) => {}
        }
        Poll::Ready(frame)
    }

    /// None when not all of it was read.
    fn print(&self) -> Option<BodyPrint> {
        let is_whole = self.is_whole || self.body.is_end_stream();
        is_whole.then(|| BodyPrint { sha256: self.hasher.clone().finish(), length: self.length })
    }
}

/// What a handler reads.
struct Watched(Arc<Mutex<Taken>>);

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        lock(&self.0).poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_short_plain_text() {
        let key = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(KEY, value.parse().unwrap());
            }
            key_of(&headers).ok()
        };
        assert_eq!(key(&["\"8e03978e-40d5\""]).as_deref(), Some("8e03978e-40d5"));
        let long = format!("\"{}\"", "a".repeat(65));
        for bad in [&[""][..], &["\"\""], &["a"], &["\"a b\""], &["\"a"], &["\"a\\\""], &["\"a\"", "\"b\""], &[&long]] {
            assert_eq!(key(bad), None, "{bad:?}");
        }
    }
}
