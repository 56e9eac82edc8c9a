//! A Debian root with apt, made once by mmdebstrap and unpacked for each test.

use crate::program::{Ended, run, target_dir};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A root of its own for one test.
pub struct DebianRoot {
    folder: PathBuf,
    _temporary: Option<TempDir>,
}

impl Default for DebianRoot {
    fn default() -> Self {
        Self::new()
    }
}

impl DebianRoot {
    /// Unpacks a fresh root.
    #[must_use]
    pub fn new() -> Self {
        Self::from_image(&image("bookworm", &[]))
    }

    /// Unpacks a fresh root that holds systemd and D-Bus, which do not run there, and Python.
    #[must_use]
    pub fn with_systemd() -> Self {
        Self::from_image(&image("bookworm-systemd-dbus", &["systemd", "dbus", "python3"]))
    }

    /// Unpacks a fresh root that can be booted.
    #[must_use]
    pub fn bootable() -> Self {
        Self::from_image(&image("bookworm-bootable", &["systemd-sysv", "dbus"]))
    }

    /// The same, where NetworkManager has the network.
    #[must_use]
    pub fn with_network_manager() -> Self {
        Self::from_image(&image("bookworm-network-manager", &["systemd-sysv", "dbus", "network-manager"]))
    }

    /// Another root with the same content.
    #[must_use]
    pub fn copied(&self) -> Self {
        let folder = quick_folder();
        run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(self.path()).arg(folder.path())).success();
        Self { folder: folder.path().to_owned(), _temporary: Some(folder) }
    }

    /// Unpacks a fresh root that a virtual machine boots from.
    #[must_use]
    pub fn with_kernel() -> Self {
        let kernel = ["linux-image-cloud-amd64", "systemd-sysv", "dbus", "iproute2", "netbase", "ca-certificates"];
        Self::from_image(&image("bookworm-machine", &kernel))
    }

    /// Unpacks a fresh root as the folder `root` of this one, which stays when the root is dropped.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), _temporary: None }.unpacked(&image("bookworm", &[]))
    }

    fn from_image(image: &Path) -> Self {
        let folder = quick_folder();
        Self { folder: folder.path().to_owned(), _temporary: Some(folder) }.unpacked(image)
    }

    fn unpacked(self, image: &Path) -> Self {
        let root = self;
        std::fs::create_dir_all(root.path()).expect("the root's folder");
        run(Command::new("tar")
            .arg("-C")
            .arg(root.path())
            .arg("--xattrs")
            .arg("--xattrs-include=*")
            .arg("-xpf")
            .arg(image))
        .success();
        // It knows no package source but the one a test gives it.
        std::fs::remove_file(root.path().join("etc/apt/sources.list")).expect("mmdebstrap writes a sources.list");
        root
    }

    /// Its top folder.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Runs a shell command inside, with a `/proc` that is seen only there.
    #[track_caller]
    #[must_use]
    pub fn shell(&self, command: &str) -> Ended {
        let enter = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" /bin/sh -c \"$1\"";
        run(Command::new("unshare")
            .args(["--mount", "sh", "-c", enter])
            .arg(self.path())
            .arg(command)
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
    }

    /// Writes a file inside.
    pub fn write(&self, path: &str, content: &[u8]) {
        let full = self.path().join(path);
        std::fs::create_dir_all(full.parent().expect("a path in the root")).expect("its folder");
        put(&full, content);
    }
}

/// The .debs that such a root is made of, and those that debootstrap asks for besides; fetched once by the machine's apt.
#[must_use]
pub fn packages_of_a_root() -> PathBuf {
    let (folder, image) = (target_dir().join("debian-root/debs"), image("bookworm", &[]));
    let _lock = lock(folder.parent().expect("it lies in target"));
    if !folder.exists() {
        let status = run(Command::new("tar").arg("-xOf").arg(image).arg("./var/lib/dpkg/status")).success();
        let names = status.lines().filter_map(|line| line.strip_prefix("Package: ")).chain(["usr-is-merged"]);
        let unfinished = folder.with_extension("unfinished");
        std::fs::create_dir_all(&unfinished).expect("a folder for packages");
        let mut command = Command::new("apt-get");
        command.args(["--quiet", "-o", "APT::Sandbox::User=root", "download"]).args(names).current_dir(&unfinished);
        run(&mut command).success();
        put_in_place(&unfinished, &folder);
    }
    folder
}

/// A temporary folder in memory, where flushes cost nothing; on the disk if memory cannot hold roots, or not with all
/// their attributes (before Linux 6.6).
fn quick_folder() -> TempDir {
    const ENOUGH: u64 = 4 << 30;
    let in_memory = tempfile::tempdir_in("/dev/shm").ok().filter(|folder| {
        let room = rustix::fs::statvfs(folder.path()).is_ok_and(|room| room.f_bavail * room.f_frsize > ENOUGH);
        room && xattr::set(folder.path(), "user.probe", b"").is_ok()
    });
    in_memory.unwrap_or_else(|| tempfile::tempdir().expect("a temporary folder"))
}

pub(crate) fn lock(folder: &Path) -> File {
    let lock = File::create(folder.join("lock")).expect("the image's lock");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("locking the image");
    lock
}

/// Writes a file that no power cut will ever test.
#[expect(clippy::disallowed_methods, reason = "a test's own file needs not be durable")]
pub fn put(path: &Path, content: &[u8]) {
    std::fs::write(path, content).unwrap_or_else(|error| panic!("could not write {}: {error}", path.display()));
}

/// The root as a tar, made by whichever test comes first.
fn image(name: &str, packages: &[&str]) -> PathBuf {
    let folder = target_dir().join("debian-root");
    std::fs::create_dir_all(&folder).expect("a folder for the root's image");
    let _lock = lock(&folder);
    let (image, unfinished) = (folder.join(format!("{name}.tar")), folder.join("unfinished.tar"));
    if !image.exists() {
        let mut command = Command::new("mmdebstrap");
        command.args(["--quiet", "--variant=apt", "--mode=root"]);
        if !packages.is_empty() {
            command.arg(format!("--include={}", packages.join(",")));
        }
        run(command.arg("bookworm").arg(&unfinished)).success();
        put_in_place(&unfinished, &image);
    }
    image
}

#[expect(clippy::disallowed_methods, reason = "an image that is lost is made again")]
pub(crate) fn put_in_place(unfinished: &Path, image: &Path) {
    std::fs::rename(unfinished, image).expect("the image takes its place");
}
