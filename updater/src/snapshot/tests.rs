//! A small tree is changed in every way a package can change it, and must come back exactly.

use super::capture::{Captured, capture};
use super::manifest::{Manifest, load};
use super::restore::{put_back, remove_what_was_absent, restore};
use super::scope::{PackageFootprint, Scope};
use crate::transaction::Transaction;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use walkdir::WalkDir;

struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(bench.root()).unwrap();
        bench.write("etc/hi.conf", "owner's", 0o640);
        bench.write("usr/bin/hi", "old", 0o4755);
        bench.write("usr/bin/kept", "same", 0o755);
        bench.write("var/lib/hi/data", "precious", 0o600);
        bench.write("var/lib/hi/deep/er/data", "precious", 0o600);
        std::fs::hard_link(bench.at("usr/bin/kept"), bench.at("usr/bin/second-name")).unwrap();
        symlink("usr/bin", bench.at("bin")).unwrap();
        symlink("hi", bench.at("usr/bin/hello")).unwrap();
        xattr::set(bench.at("usr/bin/hi"), "user.note", b"\x00\xff").unwrap();
        for (path, seconds) in [("usr/bin/hi", 1_000_000), ("usr/bin", 2_000_000), ("etc", 3_000_000)] {
            set_mtime(&bench.at(path), seconds);
        }
        bench
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn snapshot(&self) -> PathBuf {
        self.folder.path().join("snapshot")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    fn write(&self, path: &str, content: &str, mode: u32) {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        durable_files::replace(&self.at(path), content.as_bytes(), mode).unwrap();
    }

    fn capture(&self) -> Manifest {
        let old =
            ["/bin/hi", "/usr/bin/hello", "/usr/bin/kept", "/usr/bin/second-name", "/etc/hi.conf"].map(str::to_owned);
        let new = ["usr/share/hi/new", "usr/bin/hi", "etc/hi.conf"].map(str::to_owned);
        let state = ["/var/lib/hi".to_owned(), "/var/lib/absent".to_owned()];
        let footprints =
            [PackageFootprint { paths: &old, state: &state }, PackageFootprint { paths: &new, state: &[] }];
        let transaction = Transaction { began: Timestamp::UNIX_EPOCH, packages: Vec::new() };
        let captured = Captured {
            root: &self.root(),
            folder: &self.snapshot(),
            transaction: &transaction,
            active_units: Vec::new(),
            install_bytes: 0,
        };
        capture(&Scope::of(footprints, ""), captured).unwrap()
    }

    /// What a package's files and scripts may do.
    fn change_everything(&self) {
        self.write("usr/bin/hi", "new", 0o755);
        self.write("usr/bin/kept", "changed, and no link any more", 0o700);
        self.write("usr/share/hi/new", "new", 0o644);
        self.write("etc/hi.conf.dpkg-dist", "package's", 0o644);
        self.write("var/lib/hi/migrated", "new format", 0o600);
        self.write("var/lib/absent/made", "by a script", 0o600);
        std::fs::set_permissions(self.at("etc/hi.conf"), std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::remove_dir_all(self.at("var/lib/hi/deep")).unwrap();
        std::fs::remove_file(self.at("var/lib/hi/data")).unwrap();
        std::fs::create_dir(self.at("var/lib/hi/data")).unwrap();
        std::fs::remove_file(self.at("usr/bin/hello")).unwrap();
        symlink("elsewhere", self.at("usr/bin/hello")).unwrap();
    }

    fn picture(&self) -> BTreeMap<PathBuf, String> {
        let root = self.root();
        let nodes = WalkDir::new(&root).into_iter().map(|entry| {
            let entry = entry.unwrap();
            let found = entry.path().symlink_metadata().unwrap();
            let content = if found.is_file() { std::fs::read(entry.path()).unwrap() } else { Vec::new() };
            let note = xattr::get(entry.path(), "user.note").ok().flatten();
            let target = std::fs::read_link(entry.path()).ok();
            let node = format!(
                "{:o} {} {} {}.{} {content:?} {note:?} {target:?}",
                found.mode(),
                found.uid(),
                if found.is_dir() { 0 } else { found.nlink() },
                found.mtime(),
                found.mtime_nsec()
            );
            (entry.path().strip_prefix(&root).unwrap().to_owned(), node)
        });
        nodes.collect()
    }
}

fn set_mtime(path: &Path, seconds: u64) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    std::fs::File::open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_changed_tree_comes_back_exactly() {
    let bench = Bench::new();
    let before = bench.picture();
    bench.capture();
    bench.change_everything();
    assert_ne!(bench.picture(), before);
    let manifest = load(&bench.snapshot()).unwrap().unwrap();
    restore(&bench.root(), &bench.snapshot(), &manifest).unwrap();
    assert_eq!(bench.picture(), before);
}

#[test]
fn an_untouched_tree_stays_untouched() {
    let bench = Bench::new();
    let manifest = bench.capture();
    let inode = bench.at("usr/bin/hi").metadata().unwrap().ino();
    restore(&bench.root(), &bench.snapshot(), &manifest).unwrap();
    assert_eq!(bench.at("usr/bin/hi").metadata().unwrap().ino(), inode);
}

#[test]
fn a_restore_cut_off_at_any_step_is_completed_by_the_next() {
    let steps = Bench::new().capture().present().len();
    for step in 0..=steps {
        let bench = Bench::new();
        let before = bench.picture();
        let manifest = bench.capture();
        bench.change_everything();
        let present = manifest.present();
        remove_what_was_absent(&bench.root(), &manifest, &present).unwrap();
        for (path, present) in present.iter().take(step) {
            put_back(&bench.root(), &bench.snapshot(), path, present).unwrap();
        }
        // A file that was being written when the power went.
        bench.write("usr/bin/hi.debfleet-restore", "ha", 0o600);
        restore(&bench.root(), &bench.snapshot(), &manifest).unwrap();
        assert_eq!(bench.picture(), before, "cut off after step {step}");
    }
}

#[test]
fn an_unfinished_snapshot_is_none() {
    let bench = Bench::new();
    bench.capture();
    std::fs::remove_file(bench.snapshot().join("manifest.json")).unwrap();
    assert_eq!(load(&bench.snapshot()).unwrap(), None);
}
