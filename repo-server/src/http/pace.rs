//! Large pieces for who takes them quickly, small ones for everybody else, so that a thousand slow readers cost little
//! memory.

use axum::http::Version;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many large pieces there are in the process at a time.
pub(super) const LARGE_PIECES: usize = 32;
static LARGE: Semaphore = Semaphore::const_new(LARGE_PIECES);
/// A reader that takes longer for a piece is slow.
const SLOW: Duration = Duration::from_millis(250);
/// How many small pieces a slow reader has to take before it may have a large one again.
const PENANCE: u32 = 16;

/// How quickly a reader takes what it is sent.
pub(super) struct Pace {
    handed_out: Instant,
    small_pieces: u32,
    is_over_http2: bool,
}

impl Pace {
    /// A reader over HTTP/2 may leave any of its streams where it is for as long as its connection lives, and would keep a
    /// large piece from all others for so long. One over HTTP/1 that stalls is dropped.
    pub(super) fn over(version: Version) -> Self {
        Self { handed_out: Instant::now(), small_pieces: 0, is_over_http2: version == Version::HTTP_2 }
    }

    /// To be called when the reader is sent a piece.
    pub(super) fn hand_out(&mut self) {
        self.handed_out = Instant::now();
    }

    /// To be called when the reader wants the next piece: whether that may be a large one.
    pub(super) fn deserves_large(&mut self) -> bool {
        if self.handed_out.elapsed() > SLOW {
            self.small_pieces = PENANCE;
        }
        let large = self.small_pieces == 0 && !self.is_over_http2;
        self.small_pieces = self.small_pieces.saturating_sub(1);
        large
    }
}

/// To be held as long as a large piece is, if there may be another one.
pub(super) fn large_piece() -> Option<SemaphorePermit<'static>> {
    LARGE.try_acquire().ok()
}
