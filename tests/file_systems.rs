//! Snapshots on the file systems that devices have: shared blocks, subvolumes, and a disk that is full.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::{Device, FileSystem, PackageKey, Server, Source, Tree, is_shared, run};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const GIGABYTE: u64 = 1 << 30;

/// A device on this file system with hi 0.1.0 and some data of its own.
struct Bench {
    key: PackageKey,
    server: Server,
    device: Device,
    disk: FileSystem,
}

impl Bench {
    fn on(disk: FileSystem) -> Self {
        let key = PackageKey::new();
        let server = Server::start(&key);
        let bench = Self { device: Device::on(&disk.path(), server.url(), &key), key, server, disk };
        bench.publish(&with_data("0.1.0"));
        bench.device.install();
        bench.write("var/lib/hi/data", 4 << 20);
        bench
    }

    fn publish(&self, source: &Source) {
        self.server.publish(&source.build(&self.key));
    }

    fn write(&self, path: &str, bytes: usize) {
        let full = self.device.root.path().join(path);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        let mut file = std::fs::File::create(full).unwrap();
        file.write_all(&vec![7; bytes]).unwrap();
        file.sync_all().unwrap();
    }

    fn tree(&self) -> Tree {
        Tree::of(&self.device.root.path())
    }

    /// Offers a version whose postinst does this and then fails, and demands that the whole tree is as before.
    #[track_caller]
    fn assert_rolled_back(&self, version: &str, postinst: &str) {
        let bad = with_data(version).with_lines("scripts/postinst", &format!("\n{postinst}\nexit 7\n"));
        self.publish(&bad);
        let before = self.tree();
        self.device.updater(&["install"]).fails(3, "rolled back");
        before.assert_same(&self.tree());
    }

    /// The snapshot's copy of the device's own data.
    fn copy_of_data(&self) -> PathBuf {
        let snapshot = self.device.root.path().join("var/lib/debfleet/snapshot");
        let copies = snapshot.read_dir().unwrap().map(|entry| entry.unwrap().path());
        let large = |path: &PathBuf| path.metadata().unwrap().len() == 4 << 20;
        copies.into_iter().find(large).expect("the data is copied away")
    }

    fn subvolumes(&self) -> String {
        run(Command::new("btrfs").args(["subvolume", "list"]).arg(self.disk.path())).success()
    }
}

fn with_data(version: &str) -> Source {
    let source = if version == "0.1.0" { Source::hi() } else { Source::hi().bumped(version) };
    source
        .with_text("debfleet.toml", "[\"/var/log/hi.log\"]", "[\"/var/log/hi.log\", \"/var/lib/hi\"]")
        .with_text(
            "debfleet.toml",
            "[scripts]",
            "[[files]]\nsource = \"large\"\ndestination = \"/opt/hi/large\"\n\n[scripts]",
        )
        .with_file("large", &version.repeat(1 << 20))
}

#[test]
fn the_root_of_a_btrfs_device_is_held_by_a_snapshot_of_its_subvolume() {
    let disk = FileSystem::new("btrfs", GIGABYTE, &[]);
    let subvolume = |path: &Path| run(Command::new("btrfs").args(["subvolume", "create"]).arg(path)).success();
    subvolume(&disk.path().join("root"));
    let bench = Bench::on(disk);
    // What lies in a subvolume of its own is in no snapshot of the root's.
    std::fs::remove_dir_all(bench.device.root.path().join("var/lib/hi")).unwrap();
    subvolume(&bench.device.root.path().join("var/lib/hi"));
    bench.write("var/lib/hi/data", 4 << 20);

    bench.assert_rolled_back(
        "0.2.0",
        "ls /var/lib/debfleet/snapshot/root/opt/hi >&2; rm -r /opt/hi/*; date >/var/lib/hi/data",
    );
    assert!(bench.device.failure().contains("__VERSION__\nhi\nlarge"), "{}", bench.device.failure());
    assert!(!bench.subvolumes().contains("snapshot"), "{}", bench.subvolumes());

    let before = bench.tree();
    bench.publish(&with_data("0.3.0"));
    bench.device.install();
    assert!(!bench.subvolumes().contains("snapshot"), "a committed update keeps what it needs: {}", bench.subvolumes());
    assert!(is_shared(&bench.copy_of_data()));
    bench.device.updater(&["rollback"]).success();
    before.assert_same(&bench.tree());
}

/// The power goes right after the subvolume's snapshot was taken.
#[test]
fn a_subvolume_that_a_power_cut_left_is_removed() {
    let disk = FileSystem::new("btrfs", GIGABYTE, &[]);
    run(Command::new("btrfs").args(["subvolume", "create"]).arg(disk.path().join("root"))).success();
    let bench = Bench::on(disk);
    let snapshot = bench.device.root.path().join("var/lib/debfleet/snapshot");
    std::fs::remove_dir_all(&snapshot).unwrap();
    std::fs::create_dir(&snapshot).unwrap();
    let mut take = Command::new("btrfs");
    run(take.args(["subvolume", "snapshot", "-r"]).arg(bench.device.root.path()).arg(snapshot.join("root"))).success();
    bench.publish(&with_data("0.2.0"));
    bench.device.install();
    assert!(!bench.subvolumes().contains("snapshot"), "{}", bench.subvolumes());
}

#[test]
fn an_xfs_device_shares_blocks_with_its_snapshot() {
    let bench = Bench::on(FileSystem::new("xfs", GIGABYTE, &[]));
    bench.assert_rolled_back("0.2.0", "rm -r /opt/hi/*; date >/var/lib/hi/data");
    bench.publish(&with_data("0.3.0"));
    bench.device.install();
    assert!(is_shared(&bench.copy_of_data()));
}

/// Nothing is left, not even what the new version's files took: its script removes them and the downloads, and fills
/// the disk.
#[test]
fn a_disk_filled_to_the_last_block_does_not_stop_the_way_back() {
    let bench = Bench::on(FileSystem::new("ext4", GIGABYTE / 2, &["-m", "0"]));
    // It tells how full the disk was in a block that it has already: no log can be written any more.
    bench.write("var/log/evidence", 4096);
    let fill = "rm -r /var/lib/debfleet/downloads /opt/hi/* /var/lib/hi/data
        sync
        dd if=/dev/zero of=/var/log/fill bs=1M 2>/dev/null || sync
        dd if=/dev/zero of=/var/log/fill2 bs=1 2>/dev/null || true
        stat -f -c 'free: %a' / | dd of=/var/log/evidence conv=notrunc 2>/dev/null";
    let before = bench.tree().without("var/log");
    bench.publish(&with_data("0.2.0").with_lines("scripts/postinst", &format!("\n{fill}\nexit 7\n")));
    bench.device.updater(&["install"]).fails(3, "rolled back");
    before.assert_same(&bench.tree().without("var/log"));
    let evidence = std::fs::read(bench.device.root.path().join("var/log/evidence")).unwrap();
    assert!(evidence.starts_with(b"free: 0\n"), "{}", String::from_utf8_lossy(&evidence[..20]));
}

#[test]
fn an_update_that_does_not_fit_is_refused_before_anything_changes() {
    let bench = Bench::on(FileSystem::new("ext4", GIGABYTE / 2, &["-m", "0", "-N", "16000"]));
    bench.publish(&with_data("0.2.0"));
    let free = run(Command::new("df").args(["--output=iavail"]).arg(bench.disk.path())).success();
    let free: usize = free.lines().last().unwrap().trim().parse().unwrap();
    // Each an inode and no block.
    for number in 0..free - 20 {
        bench.write(&format!("srv/{number}"), 0);
    }
    let before = bench.tree();
    bench.device.updater(&["install"]).fails(1, "df -i");
    before.assert_same(&bench.tree());
    assert_eq!(bench.device.state(), "abandoned");
}
