//! Every route of the server, on one page.

use super::problem::Problem;
use super::state::ServerState;
use super::{debian, packages};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post};

/// How much of the server a listener shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// Everything.
    Whole,
    /// What is public and signed. A token must not travel in the clear, so plain HTTP beyond loopback shows no more.
    Repository,
}

pub(crate) fn router(state: ServerState, surface: Surface) -> Router {
    let repository = Router::new()
        .route("/debian/repository.gpg", get(debian::keyring))
        .route("/debian/{file}", get(debian::source_list))
        .route("/debian/dists/{suite}/{*path}", get(debian::suite_file))
        .route("/debian/pool/{*path}", get(debian::pool_file));
    let api = match surface {
        Surface::Whole => Router::new()
            .route("/api/v1/suites/{suite}/packages", post(packages::publish))
            // The upload is bounded where it is written.
            .layer(DefaultBodyLimit::disable()),
        Surface::Repository => Router::new().route("/api/{*path}", any(packages::refuse_without_tls)),
    };
    repository
        .merge(api)
        .fallback(async || Problem::not_found("there is nothing at this address; the repository is under /debian"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .with_state(state)
}
