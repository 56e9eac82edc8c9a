//! `/debian/pool`: packages, from a folder, through us from a bucket, or by a redirect to it.

use super::debian::keep_private;
use super::pace::Pace;
use super::problem::Problem;
use super::ranges::{Selection, select};
use super::reader::{Visitor, require_pool_file};
use super::remote_body;
use super::state::ServerState;
use super::static_file::{Content, StaticFile, cache_control, entity_tag, fits, matches_tag, set, unsatisfiable};
use crate::storage::Content as Stored;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fleet_protocol::publishing::DEB_MEDIA_TYPE;
use jiff::Timestamp;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// `GET /debian/pool/…`
pub(super) async fn pool_file(
    State(state): State<ServerState>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("the pool has no such file");
    let filename = format!("pool/{path}");
    let access = require_pool_file(&state, Visitor::of(&request), &filename).await?;
    let file = state.repository.pool_file(&filename).await?.ok_or_else(missing)?;
    let tag = entity_tag(&file.sha256);
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let pace = Pace::over(request.version());
    let known = matches_tag(&headers, &tag);
    // The URL is signed for this method only.
    if state.redirect
        && method == Method::GET
        && !known
        && let Some(url) = state.repository.pool_url(&filename).await?
    {
        // It does not hold for long.
        let headers = [(header::LOCATION, url.as_str()), (header::CACHE_CONTROL, "no-store")];
        return Ok((StatusCode::TEMPORARY_REDIRECT, headers).into_response());
    }
    // Several parts, and those of which the client knows only the date, are made of a file alone.
    let range = match headers.get(header::RANGE).and_then(|range| range.to_str().ok()) {
        Some(range) if method == Method::GET && fits(&headers, &tag, "") => match select(range, file.size) {
            Selection::Unsatisfiable if !known => return Ok(unsatisfiable(file.size)),
            Selection::Parts(parts) if parts.len() == 1 => parts.into_iter().next(),
            _ => None,
        },
        _ => None,
    };
    let lost = || tracing::error!(filename, "a package that the database names is not in the pool");
    let mut response = match state.repository.pool_content(&filename)? {
        _ if known => of_package(StatusCode::NOT_MODIFIED.into_response(), tag),
        Stored::File(path) => {
            let opening = tokio::task::spawn_blocking(move || open(&path)).await;
            let opened = opening.map_err(|error| Problem::internal(&error))?;
            let (opened, length, modified) = opened.map_err(|error| {
                if error.kind() != io::ErrorKind::NotFound {
                    return Problem::internal(&error);
                }
                lost();
                missing()
            })?;
            let served = StaticFile {
                content: Content::File(Arc::new(opened), pace),
                length,
                sha256: &file.sha256,
                modified,
                content_type: DEB_MEDIA_TYPE,
                immutable: true,
            };
            served.respond(&method, &headers)
        }
        Stored::Remote(remote) => {
            let part = range.clone().unwrap_or(0..file.size);
            let body = match method {
                // Nothing of it is sent.
                Method::HEAD => Some(Body::empty()),
                _ => remote_body::body(remote, part, pace).await?,
            };
            let Some(body) = body else {
                lost();
                return Err(missing());
            };
            of_package(pass_on(body, file.size, range), tag)
        }
    };
    keep_private(access, &mut response);
    Ok(response)
}

/// What every answer with a package, or with a part of it, says.
fn of_package(mut response: Response, tag: String) -> Response {
    let headers = response.headers_mut();
    set(headers, header::ETAG, tag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control(true)));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(DEB_MEDIA_TYPE));
    response
}

/// A file with its length and time. Blocks.
fn open(path: &std::path::Path) -> io::Result<(File, u64, Timestamp)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let modified = Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?;
    // HTTP's dates have whole seconds.
    let modified = Timestamp::from_second(modified.as_second()).map_err(io::Error::other)?;
    Ok((file, metadata.len(), modified))
}

fn pass_on(body: Body, size: u64, range: Option<Range<u64>>) -> Response {
    let (status, length) = match &range {
        Some(range) => (StatusCode::PARTIAL_CONTENT, range.end - range.start),
        None => (StatusCode::OK, size),
    };
    let headers = [(header::ACCEPT_RANGES, "bytes".to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    let mut response = (status, headers, body).into_response();
    let content_range = range.map(|range| format!("bytes {}-{}/{size}", range.start, range.end - 1));
    if let Some(Ok(content_range)) = content_range.map(HeaderValue::try_from) {
        response.headers_mut().insert(header::CONTENT_RANGE, content_range);
    }
    response
}
