//! Which system calls change the disk, and what they change.

use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// The file descriptor in this argument.
    Descriptor(usize),
    /// The path in this argument, relative to the working directory.
    Path(usize),
    /// The folder's descriptor in this argument, and the path in the next.
    At(usize),
    /// The same, if the flags in this argument make or empty the file.
    Open { at: Option<usize>, flags: usize },
    /// The whole machine.
    Everything,
}

/// One kind of system call that changes the disk. `grows` says that it may need more room.
struct Call {
    number: nix::libc::c_long,
    name: &'static str,
    target: Target,
    grows: bool,
}

const fn call(number: nix::libc::c_long, name: &'static str, target: Target, grows: bool) -> Call {
    Call { number, name, target, grows }
}

const FICLONE: u64 = 0x4004_9409;
const FICLONERANGE: u64 = 0x4020_940d;

const CALLS: [Call; 52] = [
    call(nix::libc::SYS_write, "write", Target::Descriptor(0), true),
    call(nix::libc::SYS_pwrite64, "pwrite64", Target::Descriptor(0), true),
    call(nix::libc::SYS_writev, "writev", Target::Descriptor(0), true),
    call(nix::libc::SYS_pwritev, "pwritev", Target::Descriptor(0), true),
    call(nix::libc::SYS_pwritev2, "pwritev2", Target::Descriptor(0), true),
    call(nix::libc::SYS_copy_file_range, "copy_file_range", Target::Descriptor(2), true),
    call(nix::libc::SYS_sendfile, "sendfile", Target::Descriptor(0), true),
    call(nix::libc::SYS_splice, "splice", Target::Descriptor(2), true),
    call(nix::libc::SYS_ioctl, "ioctl", Target::Descriptor(0), true),
    call(nix::libc::SYS_fallocate, "fallocate", Target::Descriptor(0), true),
    call(nix::libc::SYS_ftruncate, "ftruncate", Target::Descriptor(0), false),
    call(nix::libc::SYS_truncate, "truncate", Target::Path(0), false),
    call(nix::libc::SYS_open, "open", Target::Open { at: None, flags: 1 }, true),
    call(nix::libc::SYS_openat, "openat", Target::Open { at: Some(0), flags: 2 }, true),
    call(nix::libc::SYS_creat, "creat", Target::Path(0), true),
    call(nix::libc::SYS_rename, "rename", Target::Path(1), true),
    call(nix::libc::SYS_renameat, "renameat", Target::At(2), true),
    call(nix::libc::SYS_renameat2, "renameat2", Target::At(2), true),
    call(nix::libc::SYS_link, "link", Target::Path(1), true),
    call(nix::libc::SYS_linkat, "linkat", Target::At(2), true),
    call(nix::libc::SYS_symlink, "symlink", Target::Path(1), true),
    call(nix::libc::SYS_symlinkat, "symlinkat", Target::At(1), true),
    call(nix::libc::SYS_mkdir, "mkdir", Target::Path(0), true),
    call(nix::libc::SYS_mkdirat, "mkdirat", Target::At(0), true),
    call(nix::libc::SYS_mknod, "mknod", Target::Path(0), true),
    call(nix::libc::SYS_mknodat, "mknodat", Target::At(0), true),
    call(nix::libc::SYS_unlink, "unlink", Target::Path(0), false),
    call(nix::libc::SYS_unlinkat, "unlinkat", Target::At(0), false),
    call(nix::libc::SYS_rmdir, "rmdir", Target::Path(0), false),
    call(nix::libc::SYS_chmod, "chmod", Target::Path(0), false),
    call(nix::libc::SYS_fchmod, "fchmod", Target::Descriptor(0), false),
    call(nix::libc::SYS_fchmodat, "fchmodat", Target::At(0), false),
    call(nix::libc::SYS_chown, "chown", Target::Path(0), false),
    call(nix::libc::SYS_lchown, "lchown", Target::Path(0), false),
    call(nix::libc::SYS_fchown, "fchown", Target::Descriptor(0), false),
    call(nix::libc::SYS_fchownat, "fchownat", Target::At(0), false),
    call(nix::libc::SYS_utime, "utime", Target::Path(0), false),
    call(nix::libc::SYS_utimes, "utimes", Target::Path(0), false),
    call(nix::libc::SYS_futimesat, "futimesat", Target::At(0), false),
    call(nix::libc::SYS_utimensat, "utimensat", Target::At(0), false),
    call(nix::libc::SYS_setxattr, "setxattr", Target::Path(0), true),
    call(nix::libc::SYS_lsetxattr, "lsetxattr", Target::Path(0), true),
    call(nix::libc::SYS_fsetxattr, "fsetxattr", Target::Descriptor(0), true),
    call(nix::libc::SYS_removexattr, "removexattr", Target::Path(0), false),
    call(nix::libc::SYS_lremovexattr, "lremovexattr", Target::Path(0), false),
    call(nix::libc::SYS_fremovexattr, "fremovexattr", Target::Descriptor(0), false),
    call(nix::libc::SYS_fsync, "fsync", Target::Descriptor(0), false),
    call(nix::libc::SYS_fdatasync, "fdatasync", Target::Descriptor(0), false),
    call(nix::libc::SYS_syncfs, "syncfs", Target::Descriptor(0), false),
    call(nix::libc::SYS_sync_file_range, "sync_file_range", Target::Descriptor(0), false),
    call(nix::libc::SYS_sync, "sync", Target::Everything, false),
    call(nix::libc::SYS_fchmodat2, "fchmodat2", Target::At(0), false),
];

/// A system call that is about to change the device's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) call: &'static str,
    /// Relative to the device's root.
    pub(super) path: PathBuf,
    pub(super) grows: bool,
}

/// What this call of a stopped process changes on the disk below `root`; none if it changes nothing there.
pub(super) fn change_of(pid: i32, number: u64, arguments: [u64; 6], root: &Path) -> Option<Change> {
    let call = CALLS.iter().find(|call| u64::try_from(call.number) == Ok(number))?;
    if call.number == nix::libc::SYS_ioctl && !matches!(arguments[1], FICLONE | FICLONERANGE) {
        return None;
    }
    let process = Process(pid);
    let full = match call.target {
        Target::Descriptor(at) => process.descriptor(arguments[at])?,
        Target::Path(at) => process.path(None, arguments[at])?,
        Target::At(at) => process.path(Some(arguments[at]), arguments[at + 1])?,
        Target::Open { at, flags } => {
            let makes = u64::try_from(nix::libc::O_CREAT | nix::libc::O_TRUNC).ok()?;
            if arguments[flags] & makes == 0 {
                return None;
            }
            process.path(at.map(|at| arguments[at]), arguments[flags - 1])?
        }
        Target::Everything => root.to_owned(),
    };
    let path = full.strip_prefix(root).ok()?.to_owned();
    let elsewhere = ["proc", "dev", "sys"].iter().any(|folder| path.starts_with(folder));
    (!elsewhere).then_some(Change { call: call.name, path, grows: call.grows })
}

struct Process(i32);

impl Process {
    fn link(&self, name: &str) -> Option<PathBuf> {
        std::fs::read_link(format!("/proc/{}/{name}", self.0)).ok()
    }

    fn descriptor(&self, number: u64) -> Option<PathBuf> {
        let number = low_half(number);
        let found = self.link(&format!("fd/{number}"))?;
        // A file without a name any more is told with this ending.
        let text = found.to_str().and_then(|text| text.strip_suffix(" (deleted)")).map(PathBuf::from);
        Some(text.unwrap_or(found))
    }

    /// Where a path of the process lies for us, who may have another root.
    fn path(&self, folder: Option<u64>, address: u64) -> Option<PathBuf> {
        let text = self.text(address)?;
        if text.is_absolute() {
            return Some(self.link("root")?.join(text.strip_prefix("/").ok()?));
        }
        let base = match folder.map(low_half) {
            Some(number) if number >= 0 => self.link(&format!("fd/{number}"))?,
            _ => self.link("cwd")?,
        };
        Some(base.join(text))
    }

    fn text(&self, address: u64) -> Option<PathBuf> {
        let memory = std::fs::File::open(format!("/proc/{}/mem", self.0)).ok()?;
        let mut bytes = Vec::new();
        let mut chunk = [0; 256];
        while bytes.len() < 4096 {
            let at = address.checked_add(u64::try_from(bytes.len()).ok()?)?;
            let read = memory.read_at(&mut chunk, at).ok().filter(|read| *read > 0)?;
            let part = chunk.get(..read)?;
            match part.iter().position(|byte| *byte == 0) {
                Some(end) => {
                    bytes.extend_from_slice(part.get(..end)?);
                    return Some(PathBuf::from(std::ffi::OsString::from(String::from_utf8_lossy(&bytes).into_owned())));
                }
                None => bytes.extend_from_slice(part),
            }
        }
        None
    }
}

/// The kernel looks at the low half of a descriptor's register, signed.
fn low_half(register: u64) -> i32 {
    let [a, b, c, d, ..] = register.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// The name of the program that a thread runs, as `ps` shows it.
pub(super) fn program_of(pid: i32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
    let leader = field("Tgid:").and_then(|leader| leader.parse::<i32>().ok()).filter(|leader| *leader != pid);
    let of_leader = leader.and_then(|leader| {
        let mut name = String::new();
        std::fs::File::open(format!("/proc/{leader}/comm")).ok()?.read_to_string(&mut name).ok()?;
        Some(name.trim().to_owned())
    });
    let name = of_leader.or_else(|| field("Name:")).unwrap_or_default();
    // The kernel keeps 15 bytes of a name.
    if name.starts_with("debfleet-update") { "updater".to_owned() } else { name }
}
