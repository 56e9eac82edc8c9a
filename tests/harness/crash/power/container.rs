//! A device as a container whose disk is an ext4 image. What it has not written to the disk is lost when the power goes:
//! the image is cloned at one instant, below its file system, and the machine goes on from the clone.

use super::{Disk, Machine};
use crate::container::Container;
use crate::debian_root::DebianRoot;
use crate::file_system::FileSystem;
use crate::program::run;
use crate::tree::{Known, Tree};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// By which address the machine reaches this one's loopback.
pub(super) const HOST: &str = "127.0.0.1";

const BYTES: u64 = 1 << 30;
/// Sparse, and clones share their blocks.
const HOST_BYTES: u64 = 8 << 30;
const BOOT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

/// What would change files by itself.
const MASKED: [&str; 7] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "systemd-tmpfiles-clean.timer",
    "systemd-update-utmp.service",
];

/// The image, in a file system that clones files at an instant.
pub(super) struct ImageFile {
    host: FileSystem,
    boots: usize,
}

impl ImageFile {
    /// Makes one from Debian's packages; `furnish` puts more into its root.
    pub(super) fn new(furnish: impl FnOnce(&DebianRoot)) -> Self {
        let root = DebianRoot::bootable();
        root.write("etc/hostname", b"device\n");
        root.shell(&format!("systemd-machine-id-setup && systemctl --quiet mask {}", MASKED.join(" "))).success();
        furnish(&root);
        let host = FileSystem::in_memory("xfs", HOST_BYTES, &[]);
        let image = Self { host, boots: 0 };
        let file = std::fs::File::create(image.path()).expect("a file for the disk");
        file.set_len(BYTES).expect("the disk has its size");
        run(Command::new("mkfs.ext4").args(["-q", "-d"]).arg(root.path()).arg(image.path())).success();
        image
    }

    fn path(&self) -> PathBuf {
        self.host.path().join("disk")
    }
}

impl Disk for ImageFile {
    fn boot(&mut self) -> Box<dyn Machine> {
        self.boots += 1;
        let mounted = self.host.path().join(format!("mounted-{}", self.boots));
        std::fs::create_dir(&mounted).expect("a mount point");
        // The journal of ext4 is replayed here, as at a boot.
        run(Command::new("mount").args(["-o", "loop"]).arg(self.path()).arg(&mounted)).success();
        let container = Container::start(&mounted, &self.host.path().join("console"));
        let mut machine = InContainer { image: self.path(), mounted, container, is_off: false };
        machine.wait_until_up();
        Box::new(machine)
    }
}

struct InContainer {
    image: PathBuf,
    mounted: PathBuf,
    container: Container,
    is_off: bool,
}

impl InContainer {
    fn wait_until_up(&mut self) {
        let deadline = Instant::now() + BOOT;
        while !self.container.is_up() {
            assert!(Instant::now() < deadline, "the machine does not start");
            std::thread::sleep(LOOK);
        }
    }

    fn switch_off(&mut self) {
        self.container.kill();
        // Its other image is not looked at any more, whatever is still written to it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.mounted).status();
        self.is_off = true;
    }
}

impl Machine for InContainer {
    fn shell(&mut self, command: &str) -> (i32, String) {
        let ended = self.container.shell(command).expect("the machine is on");
        (ended.code, ended.all())
    }

    fn cut(mut self: Box<Self>) {
        let clone = self.image.with_extension("cut");
        clone_file(&self.image, &clone);
        self.switch_off();
        take_place(&clone, &self.image);
    }

    fn picture(&mut self, known: &mut Known) -> Tree {
        Tree::of_known(&self.mounted, known)
    }
}

impl Drop for InContainer {
    fn drop(&mut self) {
        if !self.is_off {
            self.switch_off();
        }
    }
}

/// All of it, as it is at one instant.
fn clone_file(from: &Path, to: &Path) {
    run(Command::new("cp").args(["--reflink=always", "--sparse=auto"]).arg(from).arg(to)).success();
}

#[expect(clippy::disallowed_methods, reason = "a disk of a test needs no other one's durability")]
fn take_place(clone: &Path, image: &Path) {
    std::fs::rename(clone, image).expect("the clone takes the image's place");
}
