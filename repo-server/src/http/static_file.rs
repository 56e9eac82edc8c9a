//! Answers with files from memory: validators, 304, caching (RFC 9110 §8.8, §13).

use crate::repository::{Rope, ServedFile};
use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use debian_formats::date::parse_release_date;
use hyper::body::{Frame, SizeHint};
use jiff::Timestamp;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The entity tag of a content: its SHA-256.
pub(super) fn entity_tag(sha256: &str) -> String {
    format!("\"{sha256}\"")
}

/// The content, or 304 when the client has it already.
pub(super) fn respond(file: &ServedFile, content_type: &'static str, request: &HeaderMap) -> Response {
    let tag = entity_tag(&file.sha256);
    let mut response = if is_known(request, &tag, file.modified) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::new(Pieces::of(&file.content)).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in [(header::ETAG, tag), (header::LAST_MODIFIED, http_date(file.modified))] {
        if let Ok(value) = value.try_into() {
            headers.insert(name, value);
        }
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control(file.immutable)));
    response
}

/// No write to a socket is larger: a peer that reads slowly must not make it be copied again and again.
const PIECE: usize = 1 << 20;

/// A file in memory on its way out.
struct Pieces {
    pieces: std::vec::IntoIter<Bytes>,
    left: u64,
}

impl Pieces {
    fn of(content: &Rope) -> Self {
        Self { pieces: content.range(0..content.size(), PIECE).into_iter(), left: content.size() }
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.pieces.next().map(|piece| {
            self.left -= piece.len() as u64;
            Ok(Frame::data(piece))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A proxy may keep what never changes, and must ask again for everything else.
pub(super) fn cache_control(immutable: bool) -> &'static str {
    if immutable { "public, max-age=31536000, immutable" } else { "no-cache" }
}

/// Whether the client's conditions say that it has this content. A tag decides over a date (RFC 9110 §13.1.3).
fn is_known(request: &HeaderMap, tag: &str, modified: Timestamp) -> bool {
    if request.contains_key(header::IF_NONE_MATCH) {
        return matches_tag(request, tag);
    }
    let since = request.get(header::IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
    since.and_then(|since| parse_release_date(since).ok()).is_some_and(|since| modified <= since)
}

/// Whether `If-None-Match` names this tag.
pub(super) fn matches_tag(request: &HeaderMap, tag: &str) -> bool {
    let values = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == tag)
}

fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODIFIED: i64 = 1_800_000_000;

    fn known(headers: &[(header::HeaderName, &str)]) -> bool {
        let mut request = HeaderMap::new();
        for (name, value) in headers {
            request.append(name, value.parse().unwrap());
        }
        is_known(&request, "\"ab\"", Timestamp::from_second(MODIFIED).unwrap())
    }

    #[test]
    fn a_tag_decides_over_a_date() {
        let date = http_date(Timestamp::from_second(MODIFIED).unwrap());
        let earlier = http_date(Timestamp::from_second(MODIFIED - 1).unwrap());
        assert!(!known(&[]));
        assert!(known(&[(header::IF_MODIFIED_SINCE, &date)]));
        assert!(!known(&[(header::IF_MODIFIED_SINCE, &earlier)]));
        assert!(!known(&[(header::IF_MODIFIED_SINCE, "yesterday")]));
        assert!(known(&[(header::IF_NONE_MATCH, "\"x\", W/\"ab\"")]));
        assert!(!known(&[(header::IF_NONE_MATCH, "\"x\""), (header::IF_MODIFIED_SINCE, &date)]));
    }
}
