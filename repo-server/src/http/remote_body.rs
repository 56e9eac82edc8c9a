//! A body that is fetched from a bucket while it is sent: a piece at a time, when the reader has taken the last one. So a
//! slow reader costs a small piece of memory, and no connection to the bucket.

use super::pace::{Pace, large_piece};
use crate::storage::{Remote, StorageError};
use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use std::io;
use std::ops::Range;
use tokio::sync::SemaphorePermit;

/// Each piece waits for an answer of the bucket, so they are larger than those of a file.
const LARGE: u64 = 1 << 20;
const SMALL: u64 = 64 << 10;

struct RemoteBody {
    remote: Remote,
    left: Range<u64>,
    pace: Pace,
}

/// A part of a file as a body, if the file is there; its first piece has been fetched.
pub(super) async fn body(remote: Remote, part: Range<u64>, pace: Pace) -> Result<Option<Body>, StorageError> {
    let mut body = RemoteBody { remote, left: part, pace };
    let Some(first) = body.fetch().await? else { return Ok(None) };
    let rest = stream::try_unfold(body, async |mut body| {
        if body.left.is_empty() {
            return Ok(None);
        }
        match body.fetch().await {
            Ok(Some(piece)) => Ok(Some((piece, body))),
            Ok(None) => Err(cut_off(&"it is no longer in the bucket")),
            Err(error) => Err(cut_off(&error)),
        }
    });
    Ok(Some(Body::from_stream(stream::iter([Ok::<_, io::Error>(first)]).chain(rest))))
}

fn cut_off(error: &dyn std::fmt::Display) -> io::Error {
    tracing::warn!(%error, "a package was cut off while it was sent");
    io::Error::other(error.to_string())
}

impl RemoteBody {
    async fn fetch(&mut self) -> Result<Option<Bytes>, StorageError> {
        let permit = if self.pace.deserves_large() { large_piece() } else { None };
        let length = if permit.is_some() { LARGE } else { SMALL };
        let part = self.left.start..self.left.end.min(self.left.start + length);
        self.left.start = part.end;
        let Some(content) = self.remote.fetch(part).await? else { return Ok(None) };
        self.pace.hand_out();
        Ok(Some(Bytes::from_owner(Piece { content, _permit: permit })))
    }
}

/// A piece on its way.
struct Piece {
    content: Vec<u8>,
    /// Held by large ones.
    _permit: Option<SemaphorePermit<'static>>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}
