//! A transaction's own systemd service: no maintainer script that stops or restarts the updater ends it, and when it
//! is killed all the same, systemd starts the recovery.

use super::journal::is_journal_stream;
use super::process::PATH;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// How the unit's name begins; the starter's process id follows, because systemd may still hold the one before.
const UNIT: &str = "debfleet-updater-transaction";
/// Says that this process is the unit's.
const INSIDE: &str = "DEBFLEET_TRANSACTION_UNIT";
/// Handed on to the unit, which has nothing else of its caller's environment.
const HANDED_ON: [&str; 12] = [
    "DEBFLEET_LOG",
    "DEBFLEET_UPDATER_CONFIG",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "TERM",
    "TZ",
];

/// Whether this process is the one that systemd started for the transaction.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs `program` with these arguments as the transaction's service, and waits for its end; input and output are ours.
/// Whatever ends it, systemd runs `recover` afterwards.
pub(crate) fn run(program: &Path, arguments: &[OsString], recover: &[OsString]) -> io::Result<ExitStatus> {
    let mut command = Command::new("systemd-run");
    command.args(["--quiet", "--wait", "--collect", "--service-type=exec"]);
    // Into the journal it writes by itself.
    if !is_journal_stream() {
        command.arg("--pipe");
    }
    // What the arguments name may be relative.
    if std::env::current_dir().is_ok() {
        command.arg("--same-dir");
    }
    command
        .arg(format!("--unit={UNIT}-{}.service", std::process::id()))
        .arg("--description=An update of debfleet-updater under way");
    // The watchdog is fed as long as the step under way is within its time. What ends the main process ends neither
    // what a package started nor dpkg: the recovery does, in its own order.
    for property in [
        "NotifyAccess=main",
        "WatchdogSec=60s",
        "TimeoutAbortSec=10s",
        "TimeoutStopSec=45min",
        "KillMode=process",
        "OOMScoreAdjust=-500",
    ] {
        command.arg("-p").arg(property);
    }
    // How the update ended is not changed by what looks after it.
    command.arg("-p").arg(property_of_command("ExecStopPost=-", program, recover));
    command.arg(format!("--setenv={INSIDE}=1"));
    for name in HANDED_ON.iter().filter(|name| std::env::var_os(name).is_some()) {
        command.arg(format!("--setenv={name}"));
    }
    command.arg("--").arg(program).args(arguments);
    command.env("PATH", PATH).stdin(Stdio::null()).status()
}

/// A command line as systemd.service(5) reads it: each word quoted, `%` and `$` doubled.
fn property_of_command(key: &str, program: &Path, arguments: &[OsString]) -> OsString {
    let mut property = OsString::from(key);
    for (index, word) in
        std::iter::once(program.as_os_str()).chain(arguments.iter().map(OsString::as_os_str)).enumerate()
    {
        if index > 0 {
            property.push(" ");
        }
        property.push(quoted(word));
    }
    property
}

fn quoted(word: &OsStr) -> String {
    let mut quoted = String::from("\"");
    for character in word.to_string_lossy().chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '%' | '$' => quoted.extend([character, character]),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Kills all that a killed transaction left in its unit, also what hid from its mark. Only from within the unit.
pub(crate) fn end_rest_of_unit() {
    if !is_inside() {
        return;
    }
    let Ok(groups) = std::fs::read_to_string("/proc/self/cgroup") else { return };
    let Some(group) = groups.lines().find_map(|line| line.strip_prefix("0::")) else { return };
    if !group.rsplit('/').next().is_some_and(|unit| unit.starts_with(UNIT)) {
        return;
    }
    let own = i32::try_from(std::process::id()).ok();
    let path = Path::new("/sys/fs/cgroup").join(group.trim_start_matches('/')).join("cgroup.procs");
    let listed = std::fs::read_to_string(path).unwrap_or_default();
    for pid in listed.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| Some(*pid) != own) {
        tracing::warn!("killing the process {pid}, which an interrupted update left running");
        // It may have ended by itself since it was listed.
        let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reaches_systemd_as_it_is() {
        let words = ["--config", "/etc/a b/%n$X\"\\.toml"].map(OsString::from);
        let property = property_of_command("ExecStopPost=-", Path::new("/bin/x"), &words);
        assert_eq!(property.to_str().unwrap(), r#"ExecStopPost=-"/bin/x" "--config" "/etc/a b/%%n$$X\"\\.toml""#);
    }
}
