//! data.tar, and what is learnt while its files are read.

use super::hashing::{Hashed, Hashing};
use super::{BUFFER, InputFile, Packing, WriteError, mtime, threads};
use crate::entries::{Content, Entry, EntryKind};
use crate::plan::Plan;
use debian_formats::deb::{self, Compressor, TarEntry, TarWriteError, TarWriter, tar_contents, tar_size};
use std::fs::File;
use std::io::{self, BufWriter};

/// A written data.tar.
pub(super) struct Data {
    /// Compressed.
    pub(super) file: File,
    /// The text of the control file of that name.
    pub(super) md5sums: String,
    /// What was read, if that is recorded.
    pub(super) inputs: Vec<InputFile>,
}

/// Writes it into `file`; `output` says what failed when that did.
pub(super) fn write(
    plan: &Plan,
    file: File,
    packing: Packing,
    output: &dyn Fn(io::Error) -> WriteError,
) -> Result<Data, WriteError> {
    let root = crate::entries::folder();
    let entries = || std::iter::once(("", &root)).chain(plan.entries().iter());
    let headers: Vec<TarEntry> = entries().map(|(path, entry)| header(path, entry, mtime(plan))).collect();
    let size = tar_size(&headers);
    let threads = threads::choose(packing, size);
    let file = BufWriter::with_capacity(BUFFER, file);
    let compressor = Compressor::new(file, packing.compression, size, threads).map_err(output)?;
    let hashing = Hashing::start(compressor, tar_contents(&headers), packing.record_inputs).map_err(output)?;
    let mut tar = TarWriter::new(hashing);
    for (header, (path, entry)) in headers.iter().zip(entries()) {
        let owner = (entry.owner.user.as_str(), entry.owner.group.as_str());
        match &entry.kind {
            EntryKind::Directory | EntryKind::Symlink(_) => tar.append(header, owner, &mut io::empty()),
            EntryKind::File(Content::Bytes(bytes)) => tar.append(header, owner, &mut bytes.as_slice()),
            EntryKind::File(Content::File { path: source, .. }) => {
                let failed = |cause| WriteError::SourceFile { path: source.clone(), cause };
                match tar.append(header, owner, &mut File::open(source).map_err(failed)?) {
                    Err(TarWriteError::Content(cause)) => return Err(failed(cause)),
                    Err(error @ TarWriteError::Changed(_)) => return Err(failed(io::Error::other(error))),
                    outcome => outcome,
                }
            }
        }
        .map_err(|error| of_entry(path, error, output))?;
    }
    let (compressor, hashed) = tar.finish().and_then(Hashing::finish).map_err(output)?;
    let file = compressor.finish().map_err(output)?.into_inner().map_err(|error| output(error.into_error()))?;
    let (md5sums, inputs) = checksums(plan, hashed);
    Ok(Data { file, md5sums, inputs })
}

/// The text of md5sums, and what the package was made from; `hashed` are all the files, in the plan's order.
fn checksums(plan: &Plan, hashed: Vec<Hashed>) -> (String, Vec<InputFile>) {
    let files = plan.entries().iter().filter_map(|(path, entry)| match &entry.kind {
        EntryKind::File(content) => Some((path, content)),
        EntryKind::Directory | EntryKind::Symlink(_) => None,
    });
    let (mut md5sums, mut inputs) = (String::new(), Vec::new());
    for ((path, content), Hashed { md5, sha256 }) in files.zip(hashed) {
        if let (Content::File { path, size }, Some(sha256)) = (content, sha256) {
            inputs.push(InputFile { path: path.clone(), size: *size, sha256 });
        }
        if !plan.is_conffile(path) {
            md5sums.push_str(&format!("{md5}  {path}\n"));
        }
    }
    inputs.sort_unstable();
    inputs.dedup();
    (md5sums, inputs)
}

fn header(path: &str, entry: &Entry, mtime: u64) -> TarEntry {
    let (kind, size) = match &entry.kind {
        EntryKind::Directory => (deb::EntryKind::Directory, 0),
        EntryKind::Symlink(target) => (deb::EntryKind::Symlink(target.clone()), 0),
        EntryKind::File(content) => (deb::EntryKind::File, content.size()),
    };
    TarEntry { path: path.to_owned(), kind, mode: entry.mode, size, mtime }
}

fn of_entry(path: &str, error: TarWriteError, output: &dyn Fn(io::Error) -> WriteError) -> WriteError {
    match error {
        TarWriteError::Output(cause) => output(cause),
        TarWriteError::Header(cause) | TarWriteError::Content(cause) => {
            WriteError::Entry { path: path.to_owned(), cause }
        }
        TarWriteError::Changed(_) => WriteError::Entry { path: path.to_owned(), cause: io::Error::other(error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entries::{Entries, Owner};
    use crate::gathered::Gathered;
    use debian_formats::control::Stanza;
    use debian_formats::deb::Compression;
    use jiff::Timestamp;
    use std::collections::BTreeMap;
    use std::num::NonZeroUsize;
    use std::path::Path;

    /// The plan of a package that holds these files, each of a size that somebody found.
    fn plan(files: &[(&Path, u64)]) -> Plan {
        let mut entries = Entries::default();
        for (number, (path, size)) in files.iter().enumerate() {
            let content = Content::File { path: path.to_path_buf(), size: *size };
            let entry = Entry { kind: EntryKind::File(content), mode: 0o644, owner: Owner::root() };
            entries.add(&format!("opt/{number}"), entry).unwrap();
        }
        let mut stanza = Stanza::new();
        for (name, value) in [
            ("Package", "hi"),
            ("Version", "1"),
            ("Architecture", "all"),
            ("Maintainer", "A <a@example.org>"),
            ("Description", "a"),
        ] {
            stanza.set(name, value);
        }
        let gathered = Gathered {
            stanza,
            entries,
            control_files: BTreeMap::new(),
            conffiles: vec![],
            documents: None,
            newest: 0,
            folders: vec![],
            installed: vec![],
            read: vec![],
        };
        Plan::new(gathered, Timestamp::UNIX_EPOCH).unwrap()
    }

    fn written(files: &[(&Path, u64)]) -> Result<super::super::Written, String> {
        let out = tempfile::tempdir().unwrap();
        let packing = Packing { compression: Compression::Zstd, threads: NonZeroUsize::new(2), record_inputs: true };
        let written = super::super::write(&plan(files), out.path(), &[], packing);
        let expected = usize::from(written.is_ok());
        assert_eq!(out.path().read_dir().unwrap().count(), expected, "a whole package, or nothing");
        written.map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_that_changes_or_goes_while_it_is_packed_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        durable_files::replace(&path, &[7; 100_000], 0o644).unwrap();
        for (size, how) in [(99_999, "longer"), (100_001, "shorter")] {
            let error = written(&[(&path, size)]).unwrap_err();
            assert!(error.contains(&format!("{}: it became {how} while it was packed", path.display())), "{error}");
        }
        let gone = folder.path().join("gone");
        let error = written(&[(&path, 100_000), (&gone, 5)]).unwrap_err();
        assert!(error.contains(&format!("could not pack {}: No such file", gone.display())), "{error}");
    }

    #[test]
    fn every_input_is_told_once_with_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        durable_files::replace(&path, b"abc", 0o644).unwrap();
        let inputs = written(&[(&path, 3), (&path, 3)]).unwrap().inputs;
        // FIPS 180-2, appendix B.1.
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        assert_eq!(inputs, [InputFile { path, size: 3, sha256 }]);
    }
}
