//! A change that has begun comes to its end and is noted, also when its client has gone meanwhile.

use super::problem::Problem;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::Instrument as _;

/// Runs requests that change something in a task of their own: the connection drops a request's future when the client
/// goes away, and with it whatever was still to be done.
pub(super) async fn run(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let work = tokio::spawn(next.run(request).in_current_span());
    work.await.unwrap_or_else(|stopped| Problem::internal(&stopped).into_response())
}
