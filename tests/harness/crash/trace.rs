//! Running a program and all it starts under ptrace, and stopping before each step that changes the device's disk.
//!
//! A step is named by who makes it and by how many they made before, `dpkg:17`, so that it can be found again in
//! another run. Writes to the updater's journal have a count of their own, `journal:5`.

use super::step::{Change, change_of, program_of};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

/// The place of a step in a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// The program that makes it, or `journal`.
    pub who: String,
    /// Counted from 1.
    pub number: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.who, self.number)
    }
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once(':').and_then(|(who, number)| Some((who.to_owned(), number.parse().ok()?)));
        let (who, number) = parts.ok_or_else(|| format!("{text:?} is no step: write such as dpkg:17"))?;
        Ok(Self { who, number })
    }
}

/// A step that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Its place.
    pub at: At,
    /// The system call's name.
    pub call: &'static str,
    /// What it is about, relative to the device's root.
    pub path: PathBuf,
    /// Whether it may need more room on the disk.
    pub grows: bool,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} /{})", self.at, self.call, self.path.display())
    }
}

/// What happens to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// It is made.
    Go,
    /// It is not made, and its program is told this error.
    Fail(Errno),
    /// Its program is killed before it.
    Kill,
    /// Everything is killed at once.
    KillAll,
}

/// The updater's journal, relative to the device's root.
const JOURNAL: &str = "var/lib/debfleet/journal";

/// Waits for a word before it becomes the program, so that not one call is missed.
const WAIT_AND_BECOME: &str = "read -r go && exec \"$0\" \"$@\" </dev/null";

/// Runs a program to its end, or to the end that `order` gives it. Gives its exit code; none if it was killed.
pub(super) fn trace(program: &Command, root: &Path, order: impl FnMut(&Step) -> Order) -> Option<i32> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(WAIT_AND_BECOME).arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    #[expect(clippy::zombie_processes, reason = "it is waited for with all that it starts")]
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("/bin/sh starts");
    let mut stdin = child.stdin.take().expect("its stdin is ours");
    let first = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC;
    ptrace::seize(first, options).expect("a child can be traced");
    ptrace::interrupt(first).expect("it can be stopped");
    waitpid(first, Some(WaitPidFlag::__WALL)).expect("it stops");
    ptrace::syscall(first, None).expect("it goes on");
    stdin.write_all(b"go\n").expect("it listens");
    drop(stdin);
    let mut run = Run {
        root,
        order,
        first,
        programs: BTreeMap::new(),
        counts: BTreeMap::new(),
        failing: BTreeMap::new(),
        seen: BTreeSet::from([first.as_raw()]),
        is_begun: false,
    };
    run.follow()
}

struct Run<'a, F> {
    root: &'a Path,
    order: F,
    first: Pid,
    programs: BTreeMap<i32, String>,
    counts: BTreeMap<String, usize>,
    /// Calls that were suppressed, and what is to be told of them.
    failing: BTreeMap<i32, Errno>,
    seen: BTreeSet<i32>,
    /// Whether the shell became the program.
    is_begun: bool,
}

impl<F: FnMut(&Step) -> Order> Run<'_, F> {
    fn follow(&mut self) -> Option<i32> {
        loop {
            // Each run has a thread of its own; other threads' children are not ours.
            let status = match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                Err(_) => return None,
            };
            match status {
                WaitStatus::Exited(pid, code) if pid == self.first => return Some(code),
                WaitStatus::Signaled(pid, ..) if pid == self.first => return None,
                WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => {
                    self.seen.remove(&pid.as_raw());
                }
                WaitStatus::PtraceSyscall(pid) => match self.syscall(pid) {
                    Order::KillAll => {
                        self.kill_all();
                        return None;
                    }
                    // When it is the updater, what it started goes on, and is let go with the end of this thread.
                    Order::Kill => _ = kill(pid, Signal::SIGKILL),
                    Order::Go | Order::Fail(_) => go_on(pid, None),
                },
                WaitStatus::PtraceEvent(pid, _, event) => {
                    self.seen.insert(pid.as_raw());
                    if event == nix::libc::PTRACE_EVENT_EXEC {
                        self.programs.remove(&pid.as_raw());
                        self.is_begun = true;
                    }
                    go_on(pid, None);
                }
                WaitStatus::Stopped(pid, signal) => {
                    self.seen.insert(pid.as_raw());
                    go_on(pid, Some(signal));
                }
                WaitStatus::Continued(_) | WaitStatus::StillAlive => {}
            }
        }
    }

    fn syscall(&mut self, pid: Pid) -> Order {
        let Ok(mut registers) = ptrace::getregs(pid) else { return Order::Go };
        if let Some(error) = self.failing.remove(&pid.as_raw()) {
            registers.rax = i64::from(-(error as i32)).cast_unsigned();
            let _ = ptrace::setregs(pid, registers);
            return Order::Go;
        }
        // What the kernel leaves there when a call begins.
        let begins = registers.rax.cast_signed() == i64::from(-nix::libc::ENOSYS);
        if !begins || !self.is_begun {
            return Order::Go;
        }
        let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
        let Some(change) = change_of(pid.as_raw(), registers.orig_rax, arguments, self.root) else { return Order::Go };
        let step = self.step(pid, change);
        let order = (self.order)(&step);
        if let Order::Fail(error) = order {
            registers.orig_rax = u64::MAX;
            if ptrace::setregs(pid, registers).is_ok() {
                self.failing.insert(pid.as_raw(), error);
            }
        }
        order
    }

    fn step(&mut self, pid: Pid, change: Change) -> Step {
        let who = if change.path == Path::new(JOURNAL) { "journal".to_owned() } else { self.program(pid) };
        let count = self.counts.entry(who.clone()).or_default();
        *count += 1;
        let at = At { who, number: *count };
        Step { at, call: change.call, path: change.path, grows: change.grows }
    }

    fn program(&mut self, pid: Pid) -> String {
        self.programs.entry(pid.as_raw()).or_insert_with(|| program_of(pid.as_raw())).clone()
    }

    fn kill_all(&self) {
        for pid in &self.seen {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        // Until none is left; one that was just started is seen here first.
        while let Ok(status) = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
            let _ = status.pid().map(|pid| kill(pid, Signal::SIGKILL));
        }
    }
}

fn go_on(pid: Pid, signal: Option<Signal>) {
    // It may have been killed meanwhile.
    let _ = ptrace::syscall(pid, signal);
}
