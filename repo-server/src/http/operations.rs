//! What the server tells those who run it: `/healthz`, `/readyz`, `/metrics`.

use super::problem::Problem;
use super::state::ServerState;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::timeout;

/// A database that takes longer is as good as none.
const DATABASE_TIME: Duration = Duration::from_secs(5);
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const UNCACHED: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

/// `GET /healthz`: the process answers.
pub(super) async fn health() -> impl IntoResponse {
    ([UNCACHED], "ok\n")
}

/// `GET /readyz`: it can do its work. An external broker that is away hinders no other part of it, and is only named.
pub(super) async fn readiness(State(state): State<ServerState>) -> Result<impl IntoResponse, Problem> {
    let reason = match timeout(DATABASE_TIME, state.repository.serves_every_suite()).await {
        Ok(Ok(true)) => {
            let away = state.external_broker.as_ref().filter(|broker| !broker.is_connected());
            let said = away.map_or_else(String::new, |away| format!("no connection to the broker {}\n", away.broker()));
            return Ok(([UNCACHED], format!("ready\n{said}")));
        }
        Ok(Ok(false)) => "not every suite is loaded",
        Ok(Err(error)) => {
            tracing::error!(%error, "the database failed");
            "the database fails"
        }
        Err(_) => "the database does not answer in time",
    };
    Err(Problem::not_ready(reason))
}

/// `GET /metrics`
pub(super) async fn metrics(State(state): State<ServerState>) -> Result<impl IntoResponse, Problem> {
    let text = state.metrics.render(Timestamp::now(), state.repository.validity());
    let text = text.map_err(|error| Problem::internal(&error))?;
    Ok(([UNCACHED, (header::CONTENT_TYPE, OPENMETRICS)], text))
}
