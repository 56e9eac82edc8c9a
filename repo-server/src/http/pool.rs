//! `/debian/pool`: packages, from a folder, through us from a bucket, or by a redirect to it.

use super::debian::keep_private;
use super::problem::Problem;
use super::reader::{Visitor, require_pool_file};
use super::state::ServerState;
use super::static_file::{cache_control, entity_tag, matches_tag};
use crate::repository::PoolFile;
use crate::storage::{Content, StorageError};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fleet_protocol::publishing::DEB_MEDIA_TYPE;
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use http_range_header::parse_range_header;
use std::ops::Range;
use tower::ServiceExt as _;
use tower_http::services::ServeFile;

/// Large files go out in pieces of this size.
const CHUNK: usize = 1 << 20;

/// `GET /debian/pool/…`
pub(super) async fn pool_file(
    State(state): State<ServerState>,
    Path(path): Path<String>,
    mut request: Request,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("the pool has no such file");
    let filename = format!("pool/{path}");
    let access = require_pool_file(&state, Visitor::of(&request), &filename).await?;
    let file = state.repository.pool_file(&filename).await?.ok_or_else(missing)?;
    let tag = entity_tag(&file.sha256);
    let is_get = request.method() == Method::GET;
    let headers = request.headers_mut();
    let known = matches_tag(headers, &tag);
    headers.remove(header::IF_NONE_MATCH);
    // A part of another content would not fit to what the client has.
    if headers.remove(header::IF_RANGE).is_some_and(|condition| condition != tag.as_str()) {
        headers.remove(header::RANGE);
    }
    // The URL is signed for this method only.
    if state.redirect
        && is_get
        && !known
        && let Some(url) = state.repository.pool_url(&filename).await?
    {
        // It does not hold for long.
        let headers = [(header::LOCATION, url.as_str()), (header::CACHE_CONTROL, "no-store")];
        return Ok((StatusCode::TEMPORARY_REDIRECT, headers).into_response());
    }
    let mut response = match part_of(headers, file.size) {
        _ if known => StatusCode::NOT_MODIFIED.into_response(),
        Part::Unsatisfiable => {
            let size = format!("bytes */{}", file.size);
            (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, size)]).into_response()
        }
        Part::Range(range) => send(&state, &filename, &file, Some(range), request).await?.ok_or_else(missing)?,
        Part::Whole => send(&state, &filename, &file, None, request).await?.ok_or_else(missing)?,
    };
    // The package never changes; a refusal to send a part of it is not the package.
    let is_package = !response.status().is_client_error();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control(is_package)));
    if is_package {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(DEB_MEDIA_TYPE));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    keep_private(access, &mut response);
    Ok(response)
}

/// What a request asks for of a file.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Range(Range<u64>),
    Unsatisfiable,
}

/// RFC 9110 §14.2. Several ranges at once are not given, as nginx may be told, too.
fn part_of(request: &HeaderMap, size: u64) -> Part {
    let Some(range) = request.get(header::RANGE) else { return Part::Whole };
    let ranges = range.to_str().ok().and_then(|range| parse_range_header(range).ok()?.validate(size).ok());
    match ranges.as_deref() {
        Some([range]) => Part::Range(*range.start()..range.end() + 1),
        _ => Part::Unsatisfiable,
    }
}

/// The file or a part of it. None if it is not stored, although the database names it.
async fn send(
    state: &ServerState,
    filename: &str,
    file: &PoolFile,
    range: Option<Range<u64>>,
    request: Request,
) -> Result<Option<Response>, Problem> {
    let response = match state.repository.pool_content(filename, range.clone()).await? {
        Some(Content::File(path)) => {
            let served = ServeFile::new(path).with_buf_chunk_size(CHUNK).oneshot(request).await;
            Some(served.unwrap_or_else(|never| match never {}).into_response())
        }
        Some(Content::Stream(stream)) => Some(pass_on(stream, file.size, range)),
        None => None,
    };
    let response = response.filter(|response| response.status() != StatusCode::NOT_FOUND);
    if response.is_none() {
        tracing::error!(filename, "a package that the database names is not in the pool");
    }
    Ok(response)
}

fn pass_on(stream: BoxStream<'static, Result<Bytes, StorageError>>, size: u64, range: Option<Range<u64>>) -> Response {
    let stream = stream.inspect_err(|error| tracing::warn!(%error, "a package was cut off while it was sent"));
    let (status, length) = match &range {
        Some(range) => (StatusCode::PARTIAL_CONTENT, range.end - range.start),
        None => (StatusCode::OK, size),
    };
    let headers = [(header::ACCEPT_RANGES, "bytes".to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    let mut response = (status, headers, Body::from_stream(stream)).into_response();
    let content_range = range.map(|range| format!("bytes {}-{}/{size}", range.start, range.end - 1));
    if let Some(Ok(content_range)) = content_range.map(HeaderValue::try_from) {
        response.headers_mut().insert(header::CONTENT_RANGE, content_range);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_within_the_file_is_given() {
        let part = |range: &str| part_of(&[(header::RANGE, range.parse().unwrap())].into_iter().collect(), 10);
        assert_eq!(part_of(&HeaderMap::new(), 10), Part::Whole);
        assert_eq!(part("bytes=0-0"), Part::Range(0..1));
        assert_eq!(part("bytes=4-"), Part::Range(4..10));
        assert_eq!(part("bytes=-3"), Part::Range(7..10));
        assert_eq!(part("bytes=4-99"), Part::Range(4..10));
        for bad in ["bytes=10-", "bytes=5-4", "bytes=0-1,4-5", "bytes=x", "lines=0-1", "bytes=-99999999999999999999"] {
            assert_eq!(part(bad), Part::Unsatisfiable, "{bad}");
        }
    }
}
