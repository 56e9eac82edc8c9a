//! Packages made for tests.

use debian_formats::deb::{Compression, Compressor, DebParts, EntryKind, SignatureRole, TarEntry, TarWriter, tar_size};
use debian_formats::openpgp::SigningKey;
use jiff::Timestamp;
use std::fs::File;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;

pub(crate) fn new_key() -> SigningKey {
    SigningKey::generate("test package key <ci@example.org>", time()).unwrap()
}

fn time() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

/// What a test wants in a package.
#[derive(Clone)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) architecture: &'static str,
    /// Control fields beside the mandatory ones, each ended by a line break.
    pub(crate) fields: &'static str,
    pub(crate) content: Vec<u8>,
    /// Where the content goes.
    pub(crate) path: &'static str,
}

pub(crate) fn hi(version: &str) -> Package {
    Package {
        name: "hi",
        version: version.to_owned(),
        architecture: "all",
        fields: "",
        content: format!("{version}\n").into_bytes(),
        path: "opt/hi/__VERSION__",
    }
}

impl Package {
    pub(crate) fn signed_by(&self, key: &SigningKey) -> Vec<u8> {
        self.write(Some(key))
    }

    pub(crate) fn unsigned(&self) -> Vec<u8> {
        self.write(None)
    }

    fn write(&self, key: Option<&SigningKey>) -> Vec<u8> {
        let Self { name, version, architecture, fields, .. } = self;
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: A <a@example.org>\n\
             {fields}Description: says hi\n Longer text.\n"
        );
        let control = tar("control", control.as_bytes());
        let mut data = tempfile::tempfile().unwrap();
        data.write_all(&tar(self.path, &self.content)).unwrap();
        archive(&control, &data, key)
    }
}

fn tar(path: &str, content: &[u8]) -> Vec<u8> {
    let entry =
        |path: &str, kind, mode, size| TarEntry { path: path.to_owned(), kind, mode, size, mtime: 1_700_000_000 };
    let root = entry("", EntryKind::Directory, 0o755, 0);
    let file = entry(path, EntryKind::File, 0o644, content.len() as u64);
    let size = tar_size([&root, &file]);
    let mut tar = TarWriter::new(Compressor::new(Vec::new(), Compression::Xz, size, NonZeroUsize::MIN).unwrap());
    tar.append(&root, ("root", "root"), &mut std::io::empty()).unwrap();
    tar.append(&file, ("root", "root"), &mut &*content).unwrap();
    tar.finish().and_then(Compressor::finish).unwrap()
}

fn archive(control: &[u8], data: &File, key: Option<&SigningKey>) -> Vec<u8> {
    let parts = DebParts { compression: Compression::Xz, control_tar: control, data_tar: data, time: time() };
    let origin = SignatureRole::origin();
    let signers: Vec<_> = key.map(|key| (&origin, key)).into_iter().collect();
    let mut deb = Vec::new();
    parts.write(&mut deb, Path::new("test.deb"), &signers, |_| Ok(())).unwrap();
    deb
}
