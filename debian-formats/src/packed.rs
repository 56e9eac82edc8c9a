//! Unpacking index files, by the compression that their names say.

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use std::io::{self, BufRead, Read};

/// How the name of a packed index file may end, the best first.
pub const ENDINGS: [&str; 3] = [".xz", ".zst", ".gz"];

/// A reader of what the file called `name` holds; of all members, streams and frames in it.
pub fn unpacked<'a>(name: &str, content: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match name.rsplit('.').next() {
        Some("gz") => Box::new(MultiGzDecoder::new(content)),
        Some("xz") => Box::new(XzDecoder::new_multi_decoder(content)),
        Some("zst") => Box::new(zstd::stream::read::Decoder::with_buffer(content)?),
        _ => Box::new(content),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn all_that_is_packed_comes_out() {
        let gz = |text: &[u8]| {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(text).unwrap();
            packed.finish().unwrap()
        };
        let xz = |text: &[u8]| {
            let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 1);
            packed.write_all(text).unwrap();
            packed.finish().unwrap()
        };
        let zst = |text: &[u8]| zstd::stream::encode_all(text, 1).unwrap();
        type Packer<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
        let packers: [(&str, Packer<'_>); 4] =
            [("Packages.gz", &gz), ("Packages.xz", &xz), ("Packages.zst", &zst), ("Packages", &<[u8]>::to_vec)];
        for (name, pack) in packers {
            let both = [pack(b"Package: a\n\n"), pack(b"Package: b\n")].concat();
            let mut text = String::new();
            unpacked(name, both.as_slice()).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "Package: a\n\nPackage: b\n", "{name}");
            if name != "Packages" {
                let cut = &both[..both.len() - 3];
                assert!(unpacked(name, cut).unwrap().read_to_end(&mut Vec::new()).is_err(), "{name}");
            }
        }
    }
}
