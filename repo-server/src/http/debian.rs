//! `/debian`: the repository as apt reads it.

use super::exchange::Client;
use super::host::requested_host;
use super::problem::Problem;
use super::reader::{Visitor, require_suite};
use super::state::ServerState;
use super::static_file::{Content, StaticFile, cache_control};
use axum::Extension;
use axum::extract::{Path, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use debian_formats::names::SuiteName;
use fleet_protocol::access::ReadAccess;

/// `GET /debian/repository.gpg`
pub(super) async fn keyring(State(state): State<ServerState>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/pgp-keys"), (header::CACHE_CONTROL, cache_control(false))];
    (headers, state.repository.keyring()).into_response()
}

/// `GET /debian/<suite>.sources`
pub(super) async fn source_list(
    State(state): State<ServerState>,
    Extension(client): Extension<Client>,
    Path(file): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let missing =
        || Problem::not_found(format!("there is no file /debian/{file}; try repository.gpg or stable.sources"));
    let suite: SuiteName = file.strip_suffix(".sources").and_then(|name| name.parse().ok()).ok_or_else(missing)?;
    let host = requested_host(&uri, &headers).ok_or_else(Problem::bad_host)?;
    let base = format!("{}://{host}/debian", client.scheme.as_str());
    let mut text = state.repository.source_list(&suite, &base).ok_or_else(missing)?;
    if state.access.suites.access_of(&suite).await? != ReadAccess::Public {
        text.insert_str(0, &private_suite_advice(&base));
    }
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, cache_control(false)),
        (header::VARY, "host"),
    ];
    Ok((headers, text).into_response())
}

fn private_suite_advice(base: &str) -> String {
    format!(
        "# This suite is only for devices. Put a token into /etc/apt/auth.conf.d/debfleet.conf (mode 0600),\n\
         #   machine {base} login device password TOKEN\n\
         # or name a certificate of the fleet CA in apt's options Acquire::https::SslCert and Acquire::https::SslKey.\n"
    )
}

/// `GET /debian/dists/<suite>/…`
pub(super) async fn suite_file(
    State(state): State<ServerState>,
    parameters: RawPathParams,
    request: Request,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("there is no such suite on this server");
    // Parsed as a tuple they would be copied.
    let mut parameters = parameters.iter();
    let (Some((_, suite)), Some((_, path))) = (parameters.next(), parameters.next()) else { return Err(missing()) };
    let suite: SuiteName = suite.parse().map_err(|_| missing())?;
    let mut snapshot = state.repository.suite(&suite).ok_or_else(missing)?;
    let access = require_suite(&state, Visitor::of(&request), &suite).await?;
    if snapshot.file(path).is_none() && path.contains("/by-hash/") {
        // Another process may have given the reader a Release that this one has not seen yet.
        state.repository.catch_up().await?;
        snapshot = state.repository.suite(&suite).ok_or_else(missing)?;
    }
    let file = snapshot.file(path).ok_or_else(|| Problem::not_found("the suite has no such file"))?;
    let served = StaticFile {
        length: file.content.size(),
        content: Content::Memory(file.content.clone()),
        sha256: &file.sha256,
        modified: file.modified,
        content_type: content_type(path),
        immutable: file.immutable,
    };
    let mut response = served.respond(request.method(), request.headers());
    keep_private(access, &mut response);
    Ok(response)
}

/// What is not for everybody may be kept by the reader, and by no proxy on the way.
pub(super) fn keep_private(access: ReadAccess, response: &mut Response) {
    if access != ReadAccess::Public {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('/').next() {
        Some(name) if name.ends_with(".gz") => "application/gzip",
        Some(name) if name.ends_with(".xz") => "application/x-xz",
        Some("Release.gpg") => "application/pgp-signature",
        Some("Packages" | "Release" | "InRelease") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
