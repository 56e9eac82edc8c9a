//! A Debian root whose systemd runs: booted as a container of systemd-nspawn, in seconds.

use crate::program::{Ended, run};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// One that is switched on.
pub struct Container(Child);

impl Container {
    /// Switches it on; what its console prints goes to a file. It has no say in this machine's network.
    #[must_use]
    pub fn start(root: &Path, console: &Path) -> Self {
        Self::start_with(root, console, &[])
    }

    /// The same for a network that the test has for itself, which the container may change.
    #[must_use]
    pub fn start_with_network(root: &Path, console: &Path) -> Self {
        Self::start_with(root, console, &["--capability=CAP_NET_ADMIN"])
    }

    fn start_with(root: &Path, console: &Path, options: &[&str]) -> Self {
        let log = File::create(console).expect("the console's log");
        let mut nspawn = Command::new("systemd-nspawn");
        nspawn.args(["--quiet", "--register=no", "--keep-unit", "--boot", "--console=pipe"]);
        // Nothing of this machine gets into it, but its network.
        nspawn.args(["--resolv-conf=off", "--timezone=off", "--link-journal=no"]);
        nspawn.args(options).arg("-D").arg(root).stdin(Stdio::null());
        nspawn.stdout(log.try_clone().expect("the log")).stderr(log).process_group(0);
        Self(nspawn.spawn().expect("systemd-nspawn starts; `cargo xtask test` installs it"))
    }

    /// Whether it ended because it was told to boot again, which systemd-nspawn leaves to its caller.
    pub fn wants_reboot(&mut self) -> bool {
        const REBOOT: i32 = 133;
        self.0.try_wait().ok().flatten().is_some_and(|status| status.code() == Some(REBOOT))
    }

    /// Ends everything in it at once.
    pub fn kill(&mut self) {
        if let Some(init) = self.init() {
            // The first process takes all others with it.
            let _ = run(Command::new("kill").args(["-9", &init.to_string()]));
        }
        let _ = self.0.kill();
        self.0.wait().expect("it was switched on");
    }

    /// The process that is its init; none while it is not up.
    fn init(&self) -> Option<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.0.id());
        std::fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
    }

    /// A shell command in it, not yet started; none while it is not up.
    #[must_use]
    pub fn command(&self, command: &str) -> Option<Command> {
        let mut enter = Command::new("nsenter");
        enter.args(["--target", &self.init()?.to_string(), "--mount", "--uts", "--ipc", "--pid", "--root"]);
        enter.args(["/bin/sh", "-c"]).arg(format!("cd / && {{ {command}; }}")).stdin(Stdio::null()).env_clear();
        enter.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        Some(enter)
    }

    /// Runs a shell command in it; none while it is not up.
    #[must_use]
    pub fn shell(&self, command: &str) -> Option<Ended> {
        Some(run(&mut self.command(command)?))
    }

    /// Whether its services run.
    #[must_use]
    pub fn is_up(&self) -> bool {
        let state = self.shell("systemctl is-system-running").map(|ended| ended.stdout).unwrap_or_default();
        matches!(state.trim(), "running" | "degraded")
    }
}
