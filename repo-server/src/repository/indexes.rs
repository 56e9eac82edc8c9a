//! From a suite's packages to its index files. Pure: no disk, no clock.

use super::pool::COMPONENT;
use bytes::Bytes;
use debian_formats::checksums::sha256_hex;
use debian_formats::release::IndexFile;
use debian_formats::{Architecture, PackageName, Version};
use flate2::Compression;
use flate2::write::GzEncoder;
use liblzma::write::XzEncoder;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};

/// Architectures that every suite has an index for, so that a device finds one before the first package is there.
pub(super) const DEFAULT_ARCHITECTURES: [&str; 3] = ["amd64", "arm64", "armhf"];

const XZ_LEVEL: u32 = 6;

/// A package as an index shows it.
#[derive(Debug, Clone)]
pub(super) struct IndexedPackage {
    pub(super) name: PackageName,
    pub(super) version: Version,
    pub(super) architecture: Architecture,
    /// Its whole stanza, ended by a line break.
    pub(super) stanza: String,
}

/// A suite's index files.
#[derive(Debug, Clone, Default)]
pub(super) struct Indexes {
    /// Sorted, without `all`.
    pub(super) architectures: Vec<Architecture>,
    /// What the Release vouches for.
    pub(super) files: Vec<IndexFile>,
    /// Contents by their SHA-256.
    pub(super) blobs: BTreeMap<String, Bytes>,
}

/// Builds Packages, plain and compressed, for each architecture. The same packages give the same bytes, in whichever
/// order they come. A package of architecture `all` stands in every index.
pub(super) fn build(mut packages: Vec<IndexedPackage>, defaults: &[Architecture]) -> io::Result<Indexes> {
    packages.sort_by(|a, b| {
        (&a.name, &a.version, &a.architecture, &a.stanza).cmp(&(&b.name, &b.version, &b.architecture, &b.stanza))
    });
    let own = packages.iter().map(|package| &package.architecture).filter(|architecture| !architecture.is_all());
    let architectures: BTreeSet<Architecture> = own.chain(defaults).cloned().collect();

    let mut indexes = Indexes::default();
    // Indexes of architectures without packages of their own are equal: each text is compressed once.
    let mut compressed: BTreeMap<String, Vec<(&str, IndexFile)>> = BTreeMap::new();
    for architecture in architectures {
        let stanzas = packages.iter().filter(|p| p.architecture == architecture || p.architecture.is_all());
        let text = stanzas.map(|package| package.stanza.as_str()).collect::<Vec<_>>().join("\n");
        let variants = match compressed.get(&text) {
            Some(variants) => variants,
            None => {
                let mut variants = Vec::new();
                for (suffix, content) in [("", text.clone().into_bytes()), (".gz", gzip(&text)?), (".xz", xz(&text)?)] {
                    let (size, sha256) = (content.len() as u64, sha256_hex(&content));
                    indexes.blobs.insert(sha256.clone(), content.into());
                    variants.push((suffix, IndexFile { path: String::new(), size, sha256 }));
                }
                compressed.entry(text).or_insert(variants)
            }
        };
        for (suffix, file) in variants {
            let path = format!("{COMPONENT}/binary-{architecture}/Packages{suffix}");
            indexes.files.push(IndexFile { path, ..file.clone() });
        }
        indexes.architectures.push(architecture);
    }
    Ok(indexes)
}

fn gzip(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

fn xz(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = XzEncoder::new(Vec::new(), XZ_LEVEL);
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn package(name: &str, version: &str, architecture: &str) -> IndexedPackage {
        IndexedPackage {
            name: name.parse().unwrap(),
            version: version.parse().unwrap(),
            architecture: architecture.parse().unwrap(),
            stanza: format!("Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"),
        }
    }

    fn defaults() -> Vec<Architecture> {
        ["amd64", "arm64"].iter().map(|a| a.parse().unwrap()).collect()
    }

    fn content(indexes: &Indexes, path: &str) -> Bytes {
        let file = indexes.files.iter().find(|file| file.path == path).unwrap();
        let blob = indexes.blobs[&file.sha256].clone();
        assert_eq!((file.size, &file.sha256), (blob.len() as u64, &sha256_hex(&blob)));
        blob
    }

    fn names(indexes: &Indexes, path: &str) -> Vec<String> {
        let text = String::from_utf8(content(indexes, path).to_vec()).unwrap();
        let stanzas = debian_formats::control::Stanza::parse_all(&text).unwrap();
        stanzas.iter().map(|s| format!("{} {}", s.get("Package").unwrap(), s.get("Version").unwrap())).collect()
    }

    #[test]
    fn an_empty_suite_has_empty_indexes_for_the_usual_architectures() {
        let indexes = build(vec![], &defaults()).unwrap();
        assert_eq!(indexes.architectures, defaults());
        assert_eq!(indexes.files.len(), 6);
        assert_eq!(indexes.blobs.len(), 3, "equal indexes are stored once");
        assert!(content(&indexes, "main/binary-arm64/Packages").is_empty());
    }

    #[test]
    fn all_stands_in_every_index_and_order_does_not_matter() {
        let packages = [package("hi", "0.10", "all"), package("hi", "0.9", "all"), package("ho", "1", "riscv64")];
        let indexes = build(packages.to_vec(), &defaults()).unwrap();
        assert_eq!(names(&indexes, "main/binary-amd64/Packages"), ["hi 0.9", "hi 0.10"]);
        assert_eq!(names(&indexes, "main/binary-riscv64/Packages"), ["hi 0.9", "hi 0.10", "ho 1"]);
        let mut reversed = packages.to_vec();
        reversed.reverse();
        assert_eq!(build(reversed, &defaults()).unwrap().files, indexes.files);
    }

    #[test]
    fn compressed_indexes_hold_the_plain_one() {
        let indexes = build(vec![package("hi", "1", "amd64")], &defaults()).unwrap();
        let plain = content(&indexes, "main/binary-amd64/Packages");
        let (mut gz, mut xz) = (Vec::new(), Vec::new());
        let packed = |suffix: &str| content(&indexes, &format!("main/binary-amd64/Packages{suffix}"));
        flate2::read::GzDecoder::new(&packed(".gz")[..]).read_to_end(&mut gz).unwrap();
        liblzma::read::XzDecoder::new(&packed(".xz")[..]).read_to_end(&mut xz).unwrap();
        assert_eq!((gz, xz), (plain.to_vec(), plain.to_vec()));
    }
}
