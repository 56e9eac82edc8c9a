//! Unpacking a member, by the compression that its name says.

use flate2::bufread::GzDecoder;
use liblzma::bufread::XzDecoder;
use std::io::{self, BufReader, Read};

/// Bytes that are read from the disk at once.
const BUFFER: usize = 1 << 18;

/// A reader of what the member called `name` holds. Only the first stream in it is read: that there is no other is for
/// [`super::framing`] to see.
pub(super) fn unpacked<'a>(name: &str, content: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let content = BufReader::with_capacity(BUFFER, content);
    Ok(match name.rsplit('.').next() {
        Some("gz") => Box::new(GzDecoder::new(content)),
        Some("xz") => Box::new(XzDecoder::new(content)),
        Some("zst") => Box::new(zstd::stream::read::Decoder::with_buffer(content)?.single_frame()),
        _ => Box::new(content),
    })
}
