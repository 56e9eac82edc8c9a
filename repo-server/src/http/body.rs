//! Bodies of any length, passed on piece by piece.

use super::problem::Problem;
use crate::repository::Piece;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// An upload from which nothing comes for so long has broken off.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
/// Pieces on their way to the disk.
pub(super) const PIECES: usize = 16;
/// How much of a refused upload is read and thrown away, and for how long: a client that is still sending when the
/// connection closes would not see the answer.
pub(super) const DISCARD_BYTES: usize = 64 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(5);
/// What an upload under way gets when the server is told to stop. Together with the time to tell its sender this is
/// shorter than what the listener gives.
const FAREWELL_TIME: Duration = Duration::from_secs(5);
const DISCARD_TIME_AT_END: Duration = Duration::from_secs(1);

/// The whole API, on a listener where it must not be used.
pub(super) async fn refuse_without_tls(request: Request) -> Problem {
    if !request.headers().contains_key(header::EXPECT) {
        discard(request.into_body(), DISCARD_TIME).await;
    }
    Problem::needs_tls()
}

/// Refuses what was not looked into.
pub(super) async fn refuse(problem: Problem, headers: &HeaderMap, body: Body) -> Response {
    // A client that waits for `100 Continue` has sent nothing yet.
    if !headers.contains_key(header::EXPECT) {
        discard(body, DISCARD_TIME).await;
    }
    problem.into_response()
}

/// The same for a client that reads no answer before it has sent all: it may send as much as an upload may have.
pub(super) async fn refuse_when_sent(
    problem: Problem,
    headers: &HeaderMap,
    mut body: Body,
    limit: u64,
) -> Result<Response, Problem> {
    let mut sent: u64 = 0;
    if !headers.contains_key(header::EXPECT) {
        while let Ok(Ok(Some(data))) = timeout(SILENCE, next_data(&mut body)).await {
            sent = sent.saturating_add(data.len() as u64);
            if sent > limit {
                break;
            }
        }
    }
    Err(problem)
}

/// What is told of a body that was refused while it came, or that the server's end cut off.
pub(super) async fn refuse_fed(problem: Problem, end: Fed, body: Body) -> Problem {
    let (problem, patience) = match end {
        Fed::Stopped => (Problem::stopping(), DISCARD_TIME_AT_END),
        Fed::Whole | Fed::BrokenOff | Fed::Unwanted => (problem, DISCARD_TIME),
    };
    discard(body, patience).await;
    problem
}

/// How an upload's body came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fed {
    /// All of it was passed on.
    Whole,
    /// The client has gone or fell silent.
    BrokenOff,
    /// It was refused before its end.
    Unwanted,
    /// The server is to stop.
    Stopped,
}

/// Passes the body on until its end, or until nobody wants more of it; and when that was.
pub(super) async fn feed(body: &mut Body, sender: mpsc::Sender<Piece>, stop: watch::Receiver<bool>) -> (Fed, Instant) {
    let fed = tokio::select! {
        fed = feed_all(body, &sender) => fed,
        () = out_of_time(stop) => {
            // Whether somebody still listens does not matter.
            let _ = sender.send(Piece::BrokenOff("the server is being stopped".to_owned())).await;
            Fed::Stopped
        }
    };
    (fed, Instant::now())
}

async fn feed_all(body: &mut Body, sender: &mpsc::Sender<Piece>) -> Fed {
    loop {
        let (piece, end) = match timeout(SILENCE, next_data(body)).await {
            Ok(Ok(Some(data))) => (Piece::Data(data), None),
            Ok(Ok(None)) => (Piece::End, Some(Fed::Whole)),
            Ok(Err(error)) => (Piece::BrokenOff(error.to_string()), Some(Fed::BrokenOff)),
            Err(_) => {
                let reason = format!("nothing came for {} seconds", SILENCE.as_secs());
                (Piece::BrokenOff(reason), Some(Fed::BrokenOff))
            }
        };
        if sender.send(piece).await.is_err() {
            return Fed::Unwanted;
        }
        if let Some(end) = end {
            return end;
        }
    }
}

/// Comes when the server was told to stop and the uploads under way have had their time.
async fn out_of_time(mut stop: watch::Receiver<bool>) {
    // Without a sender the process is about to end anyway.
    let _ = stop.wait_for(|stop| *stop).await;
    tokio::time::sleep(FAREWELL_TIME).await;
}

async fn discard(mut body: Body, patience: Duration) {
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
    let _ = timeout(patience, reading).await;
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
