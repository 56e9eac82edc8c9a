//! Answers with a file, from memory or from the disk: validators, 304, parts, caching (RFC 9110 §8.8, §13, §14).

use super::file_body::{FileBody, Segment};
use super::pace::Pace;
use super::problem::Problem;
use super::ranges::{Selection, select};
use crate::repository::Rope;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use debian_formats::date::parse_release_date;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

/// No write to a socket is larger: a peer that reads slowly must not make it be copied again and again.
const PIECE: usize = 256 << 10;

/// Room for what a response usually says, so that the table does not grow.
const USUAL_HEADERS: usize = 8;

/// Where a file's content is.
pub(super) enum Content {
    Memory(Rope),
    File(Arc<File>, Pace),
}

impl Content {
    /// A part of it, ready to be sent.
    fn part(&self, part: &Range<u64>) -> Vec<Segment> {
        match self {
            Self::Memory(rope) => rope.range(part.clone(), PIECE).into_iter().map(Segment::Bytes).collect(),
            Self::File(..) => vec![Segment::Part(part.clone())],
        }
    }

    fn into_body(self, mut segments: VecDeque<Segment>) -> Body {
        if let [Segment::Bytes(bytes)] = segments.make_contiguous() {
            // Most indexes are small.
            return Body::from(std::mem::take(bytes));
        }
        let (file, pace) = match self {
            // What is in memory needs none more for a reader.
            Self::Memory(_) => (None, Pace::over(Version::HTTP_11)),
            Self::File(file, pace) => (Some(file), pace),
        };
        Body::new(FileBody::new(file, segments, pace))
    }
}

/// What is served under a path.
pub(super) struct StaticFile<'a> {
    pub(super) content: Content,
    pub(super) length: u64,
    pub(super) sha256: &'a str,
    pub(super) modified: Timestamp,
    pub(super) content_type: &'static str,
    /// Whether this path always has this content.
    pub(super) immutable: bool,
}

impl StaticFile<'_> {
    /// The content, or the parts of it that were asked for, or 304 when the client has it already.
    pub(super) fn respond(self, method: &Method, request: &HeaderMap) -> Response {
        let tag = entity_tag(self.sha256);
        let (content_type, immutable) = (self.content_type, self.immutable);
        if is_known(request, &tag, self.modified) {
            return not_modified(tag, immutable);
        }
        let date = http_date(self.modified);
        let mut response = match request.get(header::RANGE).and_then(|range| range.to_str().ok()) {
            // A part is of no use to who has another content (§13.1.5), and only GET asks for parts (§14.2).
            Some(range) if method == Method::GET && fits(request, &tag, &date) => match select(range, self.length) {
                Selection::Whole => self.whole(),
                Selection::Parts(parts) => self.parts(&parts),
                Selection::Unsatisfiable => return unsatisfiable(self.length),
            },
            _ => self.whole(),
        };
        let headers = response.headers_mut();
        headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        for (name, text) in [(header::ETAG, tag), (header::LAST_MODIFIED, date)] {
            set(headers, name, text);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control(immutable)));
        response
    }

    fn whole(self) -> Response {
        let segments = self.content.part(&(0..self.length));
        let mut response = Response::new(self.content.into_body(segments.into()));
        *response.headers_mut() = HeaderMap::with_capacity(USUAL_HEADERS);
        response
    }

    fn parts(self, parts: &[Range<u64>]) -> Response {
        let mut headers = HeaderMap::new();
        let segments = if let [part] = parts {
            set(&mut headers, header::CONTENT_RANGE, content_range(part, self.length));
            self.content.part(part)
        } else {
            let boundary = boundary();
            set(&mut headers, header::CONTENT_TYPE, format!("multipart/byteranges; boundary={boundary}"));
            self.multipart(parts, &boundary)
        };
        (StatusCode::PARTIAL_CONTENT, headers, self.content.into_body(segments.into())).into_response()
    }

    /// The parts with what says where each belongs (§14.6).
    fn multipart(&self, parts: &[Range<u64>], boundary: &str) -> Vec<Segment> {
        let content_type = self.content_type;
        let mut segments = Vec::new();
        for part in parts {
            let range = content_range(part, self.length);
            let head = format!("\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {range}\r\n\r\n");
            segments.push(Segment::Bytes(head.into()));
            segments.extend(self.content.part(part));
        }
        segments.push(Segment::Bytes(format!("\r\n--{boundary}--\r\n").into()));
        segments
    }
}

/// A client that has the content is told no more of it than its tag and how long to keep it (RFC 9110 §15.4.5).
fn not_modified(tag: String, immutable: bool) -> Response {
    let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
    set(&mut headers, header::ETAG, tag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control(immutable)));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.headers_mut() = headers;
    response
}

/// Text that no part contains; who makes a package cannot know it beforehand.
fn boundary() -> String {
    let random = || getrandom::u64().unwrap_or_default();
    format!("{:016x}{:016x}", random(), random())
}

pub(super) fn content_range(part: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1))
}

pub(super) fn unsatisfiable(length: u64) -> Response {
    let mut response = Problem::range_not_satisfiable(length).into_response();
    let headers = response.headers_mut();
    set(headers, header::CONTENT_RANGE, format!("bytes */{length}"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control(false)));
    response
}

pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, text: String) {
    // All of these texts can stand in a header.
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

/// Whether a part would fit to what the client has: it says nothing, or names exactly this content.
pub(super) fn fits(request: &HeaderMap, tag: &str, date: &str) -> bool {
    request.get(header::IF_RANGE).is_none_or(|condition| condition == tag || condition == date)
}

/// The entity tag of a content: its SHA-256.
pub(super) fn entity_tag(sha256: &str) -> String {
    ["\"", sha256, "\""].concat()
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

pub(super) fn http_date(time: Timestamp) -> String {
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
    fn a_part_is_sent_only_of_what_the_client_has() {
        let fits = |condition: Option<&str>| {
            let mut request = HeaderMap::new();
            if let Some(condition) = condition {
                request.insert(header::IF_RANGE, condition.parse().unwrap());
            }
            fits(&request, "\"ab\"", "Fri, 15 Jan 2027 08:00:00 GMT")
        };
        assert!(fits(None) && fits(Some("\"ab\"")) && fits(Some("Fri, 15 Jan 2027 08:00:00 GMT")));
        assert!(!fits(Some("\"x\"")) && !fits(Some("W/\"ab\"")) && !fits(Some("Fri, 15 Jan 2027 08:00:01 GMT")));
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
