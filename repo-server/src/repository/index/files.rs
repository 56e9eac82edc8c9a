//! From the parts of a suite's indexes to its index files.

use super::block::{Block, Form};
use super::rope::{Rope, RunningHash};
use super::{Kind, PartKey, Parts};
use bytes::Bytes;
use debian_formats::Architecture;
use debian_formats::names::ComponentName;
use debian_formats::release::IndexFile;
use debian_formats::xz_blocks::{stream_end, stream_header};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// The index files of one state of a suite.
#[derive(Debug, Clone, Default)]
pub(in crate::repository) struct IndexFiles {
    /// What the Release vouches for, by path.
    pub(in crate::repository) listed: Vec<IndexFile>,
    /// Contents by their SHA-256.
    pub(in crate::repository) contents: BTreeMap<String, Rope>,
    /// Sorted, without `all`.
    pub(in crate::repository) architectures: Vec<Architecture>,
    /// Sorted.
    pub(in crate::repository) components: Vec<ComponentName>,
    /// By path, for the next state.
    hashes: BTreeMap<String, RunningHash>,
}

/// Contents are large, and asked for by people only: one form suffices.
const CONTENTS_FORMS: [Form; 1] = [Form::Gzip];

/// The files of these parts. Every component has indexes for all architectures: those of its parts, of the other
/// components', and `defaults`. What was hashed for the files `before` is not hashed again.
pub(in crate::repository) fn build(
    parts: &Parts,
    defaults: (&[ComponentName], &[Architecture]),
    before: &IndexFiles,
) -> io::Result<IndexFiles> {
    let own = parts.keys().map(|key| &key.architecture).filter(|architecture| !architecture.is_all());
    let architectures: BTreeSet<&Architecture> = own.chain(defaults.1).collect();
    let components: BTreeSet<&ComponentName> = parts.keys().map(|key| &key.component).chain(defaults.0).collect();
    let mut wanted = Vec::new();
    for component in &components {
        for architecture in &architectures {
            for (kind, forms) in [(Kind::Packages, &Form::ALL[..]), (Kind::Contents, &CONTENTS_FORMS)] {
                let blocks = blocks(parts, kind, component, architecture);
                let name = match kind {
                    Kind::Packages => format!("{component}/binary-{architecture}/Packages"),
                    Kind::Contents => format!("{component}/Contents-{architecture}"),
                };
                wanted.extend(forms.iter().map(|form| (format!("{name}{}", form.suffix()), *form, blocks.clone())));
            }
        }
    }
    let mut files = IndexFiles {
        architectures: architectures.into_iter().cloned().collect(),
        components: components.into_iter().cloned().collect(),
        ..IndexFiles::default()
    };
    let previous = |path: &str| before.hashes.get(path);
    for (path, pieces, (sha256, hash)) in hashed(wanted, previous)? {
        let rope = Rope::new(pieces);
        files.listed.push(IndexFile { path: path.clone(), size: rope.size(), sha256: sha256.clone() });
        files.contents.insert(sha256, rope);
        files.hashes.insert(path, hash);
    }
    files.listed.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Those of `all` come first.
fn blocks(parts: &Parts, kind: Kind, component: &ComponentName, architecture: &Architecture) -> Vec<Arc<Block>> {
    let key = |architecture: Architecture| PartKey { kind, component: component.clone(), architecture };
    let keys = [key(Architecture::all()), key(architecture.clone())];
    keys.iter().filter_map(|key| parts.get(key)).flat_map(|part| part.blocks.iter().cloned()).collect()
}

type Wanted = (String, Form, Vec<Arc<Block>>);
type HashedFile = (String, Vec<Bytes>, (String, RunningHash));

/// On two threads: a large suite has a hundred megabytes of files.
fn hashed<'a>(
    wanted: Vec<Wanted>,
    previous: impl Fn(&str) -> Option<&'a RunningHash> + Sync,
) -> io::Result<Vec<HashedFile>> {
    let hash = |(path, form, blocks): Wanted| {
        let pieces = pieces(form, &blocks)?;
        let hashed = RunningHash::of(previous(&path), &pieces);
        Ok::<_, io::Error>((path, pieces, hashed))
    };
    let (mut halves, mut sizes) = ([Vec::new(), Vec::new()], [0, 0]);
    for file in wanted {
        let smaller = usize::from(sizes[1] < sizes[0]);
        sizes[smaller] += file.2.iter().map(|block| block.bytes(file.1).len()).sum::<usize>();
        halves[smaller].push(file);
    }
    let [first, second] = halves;
    std::thread::scope(|scope| {
        let second = scope.spawn(|| second.into_iter().map(hash).collect::<io::Result<Vec<_>>>());
        let mut files = first.into_iter().map(hash).collect::<io::Result<Vec<_>>>()?;
        files.extend(second.join().map_err(|_| io::Error::other("the thread that hashes stopped"))??);
        Ok(files)
    })
}

fn pieces(form: Form, blocks: &[Arc<Block>]) -> io::Result<Vec<Bytes>> {
    let bodies = blocks.iter().map(|block| block.bytes(form).clone());
    Ok(match form {
        Form::Plain => bodies.collect(),
        // A file of no bytes is no compressed file.
        Form::Gzip if blocks.is_empty() => {
            vec![flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default()).finish()?.into()]
        }
        Form::Zstd if blocks.is_empty() => vec![zstd::bulk::compress(&[], 1)?.into()],
        Form::Gzip | Form::Zstd => bodies.collect(),
        Form::Xz => {
            let records: Vec<_> = blocks.iter().map(|block| block.xz_record()).collect();
            let end = Bytes::from(stream_end(&records));
            std::iter::once(header()).chain(bodies).chain([end]).collect()
        }
    })
}

/// Always the same bytes at the same place, so that hashing finds them again.
fn header() -> Bytes {
    static HEADER: std::sync::LazyLock<Bytes> = std::sync::LazyLock::new(|| stream_header().into());
    HEADER.clone()
}

#[cfg(test)]
mod tests {
    use super::super::{Compacted, packages_entry};
    use super::*;
    use debian_formats::checksums::sha256_hex;
    use debian_formats::control::Stanza;
    use std::collections::BTreeSet;
    use std::io::Read as _;

    fn key(architecture: &str) -> PartKey {
        let architecture = architecture.parse().unwrap();
        PartKey { kind: Kind::Packages, component: ComponentName::main(), architecture }
    }

    fn entry(name: &str, version: &str) -> super::super::IndexEntry {
        let stanza = format!("Package: {name}\nVersion: {version}\n");
        packages_entry(sha256_hex(stanza.as_bytes()).as_str().into(), &stanza, None)
    }

    fn defaults() -> ([ComponentName; 1], Vec<Architecture>) {
        ([ComponentName::main()], ["amd64", "arm64"].iter().map(|name| name.parse().unwrap()).collect())
    }

    fn files(parts: &Parts, before: &IndexFiles) -> IndexFiles {
        let (components, architectures) = defaults();
        build(parts, (&components, &architectures), before).unwrap()
    }

    fn content(files: &IndexFiles, path: &str) -> Vec<u8> {
        let file = files.listed.iter().find(|file| file.path == path).unwrap();
        let rope = &files.contents[&file.sha256];
        let content = rope.range(0..rope.size(), usize::MAX).concat();
        assert_eq!((file.size, &file.sha256), (content.len() as u64, &sha256_hex(&content)), "{path}");
        content
    }

    fn unpacked(files: &IndexFiles, path: &str) -> String {
        let packed = content(files, path);
        let mut text = String::new();
        match path.rsplit('.').next() {
            Some("gz") => flate2::read::MultiGzDecoder::new(&packed[..]).read_to_string(&mut text).map(drop),
            Some("xz") => liblzma::read::XzDecoder::new(&packed[..]).read_to_string(&mut text).map(drop),
            Some("zst") => {
                zstd::stream::read::Decoder::new(&packed[..]).and_then(|mut it| it.read_to_string(&mut text)).map(drop)
            }
            _ => (&packed[..]).read_to_string(&mut text).map(drop),
        }
        .unwrap();
        text
    }

    fn names(files: &IndexFiles, path: &str) -> BTreeSet<String> {
        let stanzas = Stanza::parse_all(&unpacked(files, path)).unwrap();
        let name = |it: &Stanza| format!("{} {}", it.get("Package").unwrap(), it.get("Version").unwrap());
        stanzas.iter().map(name).collect()
    }

    #[test]
    fn an_empty_suite_has_empty_indexes_for_the_usual_architectures() {
        let files = files(&Parts::new(), &IndexFiles::default());
        assert_eq!(files.architectures, defaults().1);
        for path in ["Packages", "Packages.gz", "Packages.xz", "Packages.zst"] {
            assert_eq!(unpacked(&files, &format!("main/binary-arm64/{path}")), "");
        }
        assert_eq!(unpacked(&files, "main/Contents-amd64.gz"), "");
    }

    #[test]
    fn every_form_holds_what_was_added_and_not_what_went_after_every_change() {
        let (mut parts, mut before) = (Parts::new(), IndexFiles::default());
        let mut expected = BTreeSet::new();
        for round in 0..6 {
            let architecture = ["all", "amd64", "riscv64"][round % 3];
            let new: Vec<_> =
                (0..round * 2000 + 1).map(|number| entry(&format!("p{number}"), &format!("{round}"))).collect();
            let gone: BTreeSet<_> = new.iter().take(round).map(|entry| entry.package.clone()).collect();
            if architecture != "riscv64" {
                expected.extend((0..new.len()).map(|number| format!("p{number} {round}")));
            }
            let part = parts.entry(key(architecture)).or_default();
            *part = part.changed(Kind::Packages, &BTreeSet::new(), new).unwrap();
            *part = part.changed(Kind::Packages, &gone, vec![]).unwrap();
            if architecture != "riscv64" {
                expected.retain(|name| (0..round).all(|number| *name != format!("p{number} {round}")));
            }
            if round == 4 {
                let compacted = Compacted::of(Kind::Packages, part.compaction().unwrap()).unwrap();
                *part = part.with(&compacted).unwrap();
                assert!(part.compaction().is_none() && part.with(&compacted).is_none());
            }
            before = files(&parts, &before);
            for form in Form::ALL {
                let path = format!("main/binary-amd64/Packages{}", form.suffix());
                assert_eq!(names(&before, &path), expected, "{round} {path}");
            }
        }
        assert_eq!(
            names(&before, "main/binary-arm64/Packages.xz").iter().filter(|it| it.ends_with(" 3")).count(),
            5998
        );
    }
}
