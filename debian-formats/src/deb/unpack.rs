//! Unpacking a member, by the compression that its name says.

use flate2::bufread::GzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::MtStreamBuilder;
use std::io::{self, BufReader, Read};

/// Bytes that are read from the disk at once.
const BUFFER: usize = 1 << 18;

/// More threads than this share no work: a package has few blocks.
const THREADS: usize = 4;

/// A reader of what the member called `name` holds. With so many bytes of memory the blocks of an xz stream are unpacked
/// side by side; with none, one behind the other. Only the first stream in it is read: that there is no other is for
/// [`super::framing`] to see.
pub(super) fn unpacked<'a>(name: &str, content: impl Read + 'a, memory: u64) -> io::Result<Box<dyn Read + 'a>> {
    let content = BufReader::with_capacity(BUFFER, content);
    Ok(match name.rsplit('.').next() {
        Some("gz") => Box::new(GzDecoder::new(content)),
        Some("xz") if memory > 0 => {
            let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(THREADS));
            let stream = MtStreamBuilder::new()
                .threads(u32::try_from(threads).unwrap_or(1))
                .memlimit_threading(memory)
                .memlimit_stop(u64::MAX)
                .decoder()?;
            Box::new(XzDecoder::new_stream(content, stream))
        }
        Some("xz") => Box::new(XzDecoder::new(content)),
        Some("zst") => Box::new(zstd::stream::read::Decoder::with_buffer(content)?.single_frame()),
        _ => Box::new(content),
    })
}
