//! One payload, described for each of the tools.

use super::super::fixture::{copy, printed, size_of, write};
use crate::program::cargo;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that are on every Debian with perl and python3.
const TREES: [&str; 2] = ["/usr/share/perl", "/usr/lib/python3"];

/// Files below `usr`, with what each tool needs beside them.
pub(super) struct Input {
    folder: PathBuf,
    /// In words.
    pub(super) what: String,
    pub(super) files: usize,
    pub(super) bytes: u64,
}

impl Input {
    pub(super) fn tree(folder: PathBuf) -> Result<Self> {
        let what =
            TREES.map(|tree| format!("`{tree}`")).join(" and ") + " of this machine, without their symbolic links";
        Self::new(folder, what, &TREES.map(|tree| (PathBuf::from(tree), tree)))
    }

    /// Whoever runs this has a cargo.
    pub(super) fn binary(folder: PathBuf) -> Result<Self> {
        let program = PathBuf::from(cargo().get_program());
        let program = program.canonicalize().context("could not find the cargo that runs this")?;
        Self::new(folder, "the toolchain's `cargo`, one binary".into(), &[(program, "/usr/bin/payload")])
    }

    fn new(folder: PathBuf, what: String, sources: &[(PathBuf, &str)]) -> Result<Self> {
        for (source, place) in sources {
            let target = folder.join("tree").join(place.trim_start_matches('/'));
            let parent = target.parent().context("a folder of the payload")?;
            std::fs::create_dir_all(parent).with_context(|| format!("could not make {}", parent.display()))?;
            copy(source, &target)?;
        }
        // cargo-deb packs what a link to a folder leads to, and nfpm what a link to a file does.
        printed(Command::new("find").arg(folder.join("tree")).args(["-type", "l", "-delete"]))?;
        let (files, bytes) = size_of(&folder.join("tree"))?;
        write(
            &folder.join("tree/DEBIAN/control"),
            "Package: payload\nVersion: 1.0.0-1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n\
             Description: files of a Debian machine\n Some files of the machine that measures.\n",
        )?;
        Ok(Self { folder, what, files, bytes })
    }

    /// For debfleet and dpkg-deb.
    pub(super) fn debian(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// For nfpm.
    pub(super) fn nfpm(&self, compression: &str) -> Result<PathBuf> {
        let path = self.folder.join(format!("nfpm-{compression}.yaml"));
        let source = self.folder.join("tree/usr");
        write(
            &path,
            format!(
                "name: payload\narch: all\nversion: 1.0.0\nrelease: \"1\"\nmaintainer: Nobody <nobody@example.org>\n\
                 description: files of a Debian machine\ncontents:\n  - src: {}\n    dst: /usr\n    type: tree\n\
                 deb:\n  compression: {compression}\n",
                source.display()
            ),
        )?;
        Ok(path)
    }

    /// For cargo-deb: a crate whose only purpose is to be packed.
    pub(super) fn cargo_deb(&self) -> Result<PathBuf> {
        let path = self.folder.join("Cargo.toml");
        write(&self.folder.join("lib.rs"), "")?;
        write(
            &path,
            "[package]\nname = \"payload\"\nversion = \"1.0.0\"\nedition = \"2021\"\nlicense = \"MIT\"\n\
             authors = [\"Nobody <nobody@example.org>\"]\ndescription = \"files of a Debian machine\"\n\
             [lib]\npath = \"lib.rs\"\n[workspace]\n\
             [package.metadata.deb]\ndepends = \"\"\nassets = [[\"tree/usr/**/*\", \"usr/\", \"644\"]]\n",
        )?;
        Ok(path)
    }
}

/// The one package in a folder.
pub(super) fn package(folder: &Path) -> Result<PathBuf> {
    let entries = folder.read_dir().with_context(|| format!("could not read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    paths.pop().with_context(|| format!("no package in {}", folder.display()))
}
