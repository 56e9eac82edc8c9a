//! A device as a virtual machine: Debian with systemd and a kernel of its own.
//!
//! It is spoken to over a second serial port, so that nothing depends on its network. From inside, 10.0.2.2 is this
//! machine's loopback.

use super::{Disk, Machine};
use crate::debian_root::DebianRoot;
use crate::program::run;
use crate::tree::{Known, Tree};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The disk of a machine, and the kernel that boots from it.
pub(super) struct VirtualDisk {
    folder: TempDir,
}

/// A machine that is running.
struct VirtualMachine {
    image: PathBuf,
    qemu: Child,
    line: BufReader<UnixStream>,
}

/// Answers commands that come over the second serial port: runs each in a shell and ends its output with a line that
/// tells the exit code.
const LISTENER: &str = r#"#!/bin/sh
exec </dev/ttyS1 >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw -echo
echo "@ready"
while read -r command; do
    sh -c "$command" </dev/null 2>&1
    echo "@ended $?"
done
"#;

const UNITS: [(&str, &str); 2] = [
    (
        "listener.service",
        "[Unit]\nDescription=runs what the test says\nAfter=basic.target\n[Service]\nExecStart=/usr/local/sbin/listener\n\
         KillMode=process\n[Install]\nWantedBy=multi-user.target\n",
    ),
    (
        "network.service",
        "[Unit]\nDescription=the network\nDefaultDependencies=no\nBefore=network.target network-online.target\n\
         Wants=network.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
         ExecStart=/bin/sh -c 'ip link set lo up; ip link set eth0 up; ip address replace 10.0.2.15/24 dev eth0; \
         ip route replace default via 10.0.2.2'\n[Install]\nWantedBy=sysinit.target\n",
    ),
];

/// What a start must not wait for, or would change files by itself.
const MASKED: [&str; 12] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-tmpfiles-clean.timer",
    "systemd-timesyncd.service",
    "systemd-update-utmp.service",
    "systemd-random-seed.service",
    "getty@tty1.service",
    "serial-getty@ttyS0.service",
];

/// By which address the machine reaches this one's loopback.
pub(super) const HOST: &str = "10.0.2.2";

const BYTES: u64 = 2 << 30;
/// By software alone a boot takes half a minute.
const BOOT: Duration = Duration::from_secs(240);
const ANSWER: Duration = Duration::from_secs(300);

impl VirtualDisk {
    /// Makes one from Debian's packages; `furnish` puts more into its root.
    pub(super) fn new(furnish: impl FnOnce(&DebianRoot)) -> Self {
        let root = DebianRoot::with_kernel();
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder");
        for (unit, text) in UNITS {
            root.write(&format!("etc/systemd/system/{unit}"), text.as_bytes());
        }
        root.write("usr/local/sbin/listener", LISTENER.as_bytes());
        root.write("etc/hostname", b"device\n");
        root.write("etc/fstab", b"");
        let enable = "chmod 755 /usr/local/sbin/listener && systemctl --quiet enable listener.service network.service && \
                      systemd-machine-id-setup && systemctl --quiet mask";
        root.shell(&format!("{enable} {}", MASKED.join(" "))).success();
        // Less to unpack in each boot.
        root.write("etc/initramfs-tools/conf.d/small", b"MODULES=list\n");
        root.write("etc/initramfs-tools/modules", b"virtio_pci\nvirtio_blk\nvirtio_net\n");
        root.shell("update-initramfs -u").success();
        furnish(&root);
        let boot = root.path().join("boot");
        for (name, prefix) in [("kernel", "vmlinuz-"), ("initrd", "initrd.img-")] {
            let files = boot.read_dir().expect("the root has a kernel").flatten().map(|entry| entry.path());
            let found = files.into_iter().find(|path| path.to_string_lossy().contains(prefix)).expect("a kernel");
            run(Command::new("cp").arg(found).arg(folder.path().join(name))).success();
        }
        let disk = Self { folder };
        File::create(disk.image()).and_then(|file| file.set_len(BYTES)).expect("a file for the disk");
        run(Command::new("mkfs.ext4").args(["-q", "-d"]).arg(root.path()).arg(disk.image())).success();
        disk
    }

    /// The file that is its content.
    fn image(&self) -> PathBuf {
        self.folder.path().join("disk")
    }
}

impl Disk for VirtualDisk {
    fn boot(&mut self) -> Box<dyn Machine> {
        let (socket, console) = (self.folder.path().join("line"), self.folder.path().join("console"));
        let _ = std::fs::remove_file(&socket);
        let at = |path: &Path| path.display().to_string();
        let mut qemu = Command::new("qemu-system-x86_64");
        // By software alone: it runs in every machine, also in one that is virtual itself.
        qemu.args(["-accel", "tcg", "-cpu", "qemu64", "-m", "512", "-smp", "1"]);
        qemu.args(["-nodefaults", "-display", "none", "-no-reboot"]);
        qemu.args([
            "-kernel",
            &at(&self.folder.path().join("kernel")),
            "-initrd",
            &at(&self.folder.path().join("initrd")),
        ]);
        qemu.args(["-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=-1 quiet"]);
        // What the machine flushed is in the file; what it did not is in its own memory and is lost with it.
        qemu.args(["-drive", &format!("file={},if=virtio,format=raw,cache=writeback", at(&self.image()))]);
        qemu.args(["-netdev", "user,id=wire", "-device", "virtio-net-pci,netdev=wire,romfile="]);
        qemu.args(["-serial", &format!("file:{}", at(&console))]);
        qemu.args([
            "-chardev",
            &format!("socket,id=line,path={},server=on,wait=off", at(&socket)),
            "-serial",
            "chardev:line",
        ]);
        let log = File::create(self.folder.path().join("qemu.log")).expect("a log");
        let qemu = qemu.stdin(Stdio::null()).stderr(log).spawn().expect("qemu-system-x86_64 starts");
        let deadline = Instant::now() + BOOT;
        let stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "qemu does not listen: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        stream.set_read_timeout(Some(BOOT)).expect("a time limit");
        let mut machine = VirtualMachine { image: self.image(), qemu, line: BufReader::new(stream) };
        machine.wait_for("@ready", &console);
        machine.line.get_ref().set_read_timeout(Some(ANSWER)).expect("a time limit");
        Box::new(machine)
    }
}

impl VirtualMachine {
    fn wait_for(&mut self, word: &str, console: &Path) {
        let mut line = String::new();
        while line.trim() != word {
            line.clear();
            let read = self.line.read_line(&mut line);
            let console = || std::fs::read_to_string(console).unwrap_or_default();
            assert!(read.as_ref().is_ok_and(|read| *read > 0), "the machine does not start ({read:?}):\n{}", console());
        }
    }
}

impl Machine for VirtualMachine {
    fn shell(&mut self, command: &str) -> (i32, String) {
        assert!(!command.contains('\n'), "a command is one line");
        writeln!(self.line.get_mut(), "{command}").expect("the machine listens");
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            let read = self.line.read_line(&mut line).unwrap_or_else(|error| panic!("no answer to {command}: {error}"));
            assert!(read > 0, "the machine ended while it ran {command}; it printed:\n{printed}");
            if let Some(code) = line.strip_prefix("@ended ") {
                return (code.trim().parse().expect("an exit code"), printed);
            }
            printed.push_str(&line);
        }
    }

    fn cut(mut self: Box<Self>) {
        self.qemu.kill().expect("it can be killed");
        self.qemu.wait().expect("it ends");
    }

    fn picture(&mut self, known: &mut Known) -> Tree {
        self.does("sync; fsfreeze --freeze /");
        let tree = {
            let mount = Mount::read_only(&self.image);
            Tree::of_known(mount.0.path(), known)
        };
        self.does("fsfreeze --unfreeze /");
        tree
    }
}

impl Drop for VirtualMachine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// A file system image that is mounted until this is dropped.
struct Mount(TempDir);

impl Mount {
    fn read_only(image: &Path) -> Self {
        let mount = Self(tempfile::tempdir().expect("a temporary folder"));
        let mut command = std::process::Command::new("mount");
        run(command.args(["-o", "loop,ro,noload"]).arg(image).arg(mount.0.path())).success();
        mount
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}
