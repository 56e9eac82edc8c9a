//! A small tree is changed in every way a package can change it, and must come back exactly.

use super::SnapshotError;
use super::capture::{Captured, capture};
use super::manifest::{Manifest, Node, load};
use super::restore::{put_back, remove_what_was_absent, restore};
use super::scope::{PackageFootprint, Scope};
use crate::transaction::Transaction;
use jiff::Timestamp;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
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
        bench.write("opt/hi/hi", "program", 0o755);
        bench.write("etc/fstab", "not hi's", 0o644);
        bench.write("var/lib/debfleet/journal", "then", 0o600);
        bench.write("data/linked/file", "behind a link", 0o600);
        // As seen from inside the root, which is not the host's.
        symlink("/data/linked", bench.at("var/lib/linked")).unwrap();
        bench.write(&format!("var/lib/hi/{}", "n".repeat(255)), "a long name", 0o600);
        let strange = bench.at("var/lib/hi").join(OsStr::from_bytes(b"\xff\n\xfe"));
        durable_files::replace(&strange, b"a strange name", 0o600).unwrap();
        drop(UnixListener::bind(bench.at("var/lib/hi/socket")).unwrap());
        let mode = Mode::from_raw_mode(0o622);
        mknodat(CWD, bench.at("var/lib/hi/pipe"), FileType::Fifo, mode, 0).unwrap();
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

    /// The updater's own folder, which a careless package declares as its state.
    fn ours(&self) -> PathBuf {
        self.at("var/lib/debfleet")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    fn write(&self, path: &str, content: &str, mode: u32) {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        durable_files::replace(&self.at(path), content.as_bytes(), mode).unwrap();
    }

    fn capture(&self) -> Manifest {
        self.try_capture(0).unwrap()
    }

    fn try_capture(&self, install_bytes: u64) -> Result<Manifest, SnapshotError> {
        let old = ["/bin/hi", "/usr/bin/hello", "/usr/bin/kept", "/usr/bin/second-name", "/etc/hi.conf", "/opt/hi/hi"]
            .map(str::to_owned);
        let new = ["usr/share/hi/new", "usr/bin/hi", "etc/hi.conf", "opt/hi/fstab"].map(str::to_owned);
        let state = ["/var/lib/hi", "/var/lib/absent", "/var/lib/linked", "/var/lib/debfleet"].map(str::to_owned);
        let footprints =
            [PackageFootprint { paths: &old, state: &state }, PackageFootprint { paths: &new, state: &[] }];
        let transaction =
            Transaction { began: Timestamp::UNIX_EPOCH, packages: Vec::new(), removed: Vec::new(), from_server: false };
        let captured = Captured {
            root: &self.root(),
            folder: &self.snapshot(),
            ours: &self.ours(),
            transaction: &transaction,
            units: Vec::new(),
            active_units: Vec::new(),
            install_bytes,
            install_files: 0,
        };
        capture(&Scope::of(footprints, ""), captured)
    }

    fn restore(&self) {
        let manifest = load(&self.snapshot()).unwrap().unwrap();
        restore(&self.root(), &self.snapshot(), &manifest).unwrap();
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
        std::fs::remove_file(self.at("var/lib/hi/pipe")).unwrap();
        std::fs::remove_file(self.at("var/lib/hi/socket")).unwrap();
        self.write(&format!("var/lib/hi/{}", "n".repeat(255)), "changed", 0o644);
        std::fs::remove_file(self.at("var/lib/hi").join(OsStr::from_bytes(b"\xff\n\xfe"))).unwrap();
        self.write("data/linked/file", "migrated", 0o644);
        self.write("data/linked/new", "new", 0o644);
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
fn a_new_folder_of_programs_goes_with_what_scripts_made_in_it_and_one_of_data_stays() {
    let bench = Bench::new();
    let before = bench.picture();
    bench.capture();
    bench.change_everything();
    bench.write("usr/share/hi/__pycache__/made.pyc", "by a script", 0o644);
    bench.restore();
    assert_eq!(bench.picture(), before);
    bench.write("opt/hi/fstab/theirs", "somebody's", 0o644);
    bench.restore();
    assert!(bench.at("opt/hi/fstab/theirs").exists());
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
        bench.write("usr/bin/.debfleet-restore", "ha", 0o600);
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

/// Between snapshot and restore a script moves a folder away and puts a link to another one in its place.
#[test]
fn a_folder_replaced_by_a_link_comes_back_and_nothing_behind_the_link_is_touched() {
    for target in ["/etc", "../etc"] {
        let bench = Bench::new();
        let before = bench.picture();
        let host = tempfile::tempdir().unwrap();
        bench.capture();
        std::fs::remove_dir_all(bench.at("opt/hi")).unwrap();
        std::fs::remove_dir_all(bench.at("var/lib/hi")).unwrap();
        symlink(target, bench.at("opt/hi")).unwrap();
        // A link that would lead out of the root, into the host's own files.
        durable_files::replace(&host.path().join("precious"), b"the host's", 0o600).unwrap();
        symlink(host.path(), bench.at("var/lib/hi")).unwrap();
        bench.restore();
        assert_eq!(bench.picture(), before, "{target}");
        assert!(host.path().join("precious").exists());
    }
}

#[test]
fn a_folder_of_unknown_files_in_the_place_of_a_file_is_moved_aside() {
    let bench = Bench::new();
    let mut before = bench.picture();
    bench.capture();
    for name in ["usr/bin/kept", "usr/bin/hello"] {
        std::fs::remove_file(bench.at(name)).unwrap();
        bench.write(&format!("{name}/moved-here"), "by a script", 0o600);
    }
    bench.restore();
    let mut after = bench.picture();
    for number in 1..=2 {
        let aside = PathBuf::from(format!("usr/bin/.debfleet-aside-{number}"));
        assert!(after.remove(&aside).is_some() && after.remove(&aside.join("moved-here")).is_some(), "{aside:?}");
    }
    // Its own time tells of what was moved aside.
    for picture in [&mut before, &mut after] {
        picture.remove(Path::new("usr/bin"));
    }
    assert_eq!(after, before);
}

/// After a power cut the data may be new while the inode, with its times, is the old one.
#[test]
fn a_file_whose_data_changed_without_its_times_is_put_back() {
    let bench = Bench::new();
    let before = bench.picture();
    let mut manifest = bench.capture();
    let mut file = std::fs::OpenOptions::new().write(true).open(bench.at("var/lib/hi/deep/er/data")).unwrap();
    std::io::Write::write_all(&mut file, b"PRECIOUS").unwrap();
    let now = super::capture::identity(&file.metadata().unwrap());
    for (path, node) in &mut manifest.entries {
        if let (true, Node::Present(present)) = (path.0.ends_with("er/data"), node) {
            present.identity = now;
        }
    }
    restore(&bench.root(), &bench.snapshot(), &manifest).unwrap();
    assert_eq!(bench.picture(), before);
}

#[test]
fn the_updaters_own_folder_is_left_alone_whatever_a_package_declares() {
    let bench = Bench::new();
    bench.capture();
    bench.write("var/lib/debfleet/journal", "now", 0o600);
    bench.write("var/lib/debfleet/snapshot/1", "now", 0o600);
    bench.restore();
    assert_eq!(std::fs::read(bench.at("var/lib/debfleet/journal")).unwrap(), b"now");
    assert!(bench.at("var/lib/debfleet/snapshot/1").exists());
}

#[test]
fn a_snapshot_that_does_not_fit_leaves_the_older_one() {
    let bench = Bench::new();
    let older = bench.capture();
    let error = bench.try_capture(u64::MAX / 2).unwrap_err();
    assert!(matches!(error, SnapshotError::NoRoom { .. }), "{error}");
    assert_eq!(load(&bench.snapshot()).unwrap(), Some(older));
}

/// dpkg writes a conffile through a link, and its locks are locks also where /var lies elsewhere.
#[test]
fn links_in_etc_and_a_linked_database_are_seen_through() {
    let bench = Bench::new();
    bench.write("data/hi.conf", "behind the link", 0o640);
    std::fs::remove_file(bench.at("etc/hi.conf")).unwrap();
    symlink("../data/hi.conf", bench.at("etc/hi.conf")).unwrap();
    bench.write("data/dpkg/status", "then", 0o644);
    bench.write("data/dpkg/lock-frontend", "", 0o640);
    symlink("/data/dpkg", bench.at("var/lib/dpkg")).unwrap();
    let before = bench.picture();
    bench.capture();
    let lock = bench.at("data/dpkg/lock-frontend").metadata().unwrap();
    bench.write("data/hi.conf", "the package's", 0o644);
    bench.write("data/hi.conf.dpkg-old", "what was", 0o644);
    bench.write("data/dpkg/status", "now", 0o644);
    bench.write("data/dpkg/updates/0001", "now", 0o644);
    std::fs::File::options().append(true).open(bench.at("data/dpkg/lock-frontend")).unwrap().set_len(1).unwrap();
    bench.restore();
    let lock_now = bench.at("data/dpkg/lock-frontend").metadata().unwrap();
    assert_eq!((lock_now.ino(), lock_now.len()), (lock.ino(), 1), "the lock is left alone");
    let without_lock = |mut picture: BTreeMap<PathBuf, String>| {
        picture.remove(Path::new("data/dpkg/lock-frontend"));
        picture
    };
    assert_eq!(without_lock(bench.picture()), without_lock(before));
}
