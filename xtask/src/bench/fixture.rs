//! What the benchmarks work on: our binaries, keys, packages and a server.

use super::measure::{Sample, timed, usage_so_far};
use crate::program::output;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Our binaries, as released.
pub(super) struct Tools {
    /// cargo's folder of built things.
    pub(super) target: PathBuf,
}

impl Tools {
    pub(super) fn command(&self, name: &str) -> Command {
        Command::new(self.path(name))
    }

    /// Where a binary is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.target.join(if name == "debfleet-updater" { "device" } else { "release" }).join(name)
    }

    /// `debfleet build`, not yet started; signed if there is a key.
    pub(super) fn build(&self, source: &Path, out: &Path, keys: Option<&Path>) -> Command {
        let mut command = self.command("debfleet");
        command.arg("build").arg(source).arg("--out").arg(out).env("SOURCE_DATE_EPOCH", EPOCH);
        if let Some(keys) = keys {
            command.arg("--key").arg(keys.join("package.key"));
        }
        command
    }

    /// A package key in a folder.
    pub(super) fn new_key(&self, folder: &Path) -> Result<()> {
        printed(self.command("debfleet").args(["key", "new", "package", "--out"]).arg(folder)).map(drop)
    }
}

/// One date for every tool's output.
pub(super) const EPOCH: &str = "1700000000";

/// A server on loopback that ends when it is dropped.
pub(super) struct Server {
    child: Child,
    data: PathBuf,
    arguments: Vec<String>,
    pub(super) token: String,
    pub(super) url: String,
    /// Of further listeners.
    pub(super) more_urls: Vec<String>,
}

impl Server {
    pub(super) fn start(tools: &Tools, data: &Path, keys: &Path) -> Result<Self> {
        Self::start_with(tools, data, keys, &[])
    }

    /// With further arguments.
    pub(super) fn start_with(tools: &Tools, data: &Path, keys: &Path, arguments: &[&str]) -> Result<Self> {
        let keyring = keys.join("package.gpg");
        let mut init = tools.command("debfleet-server");
        let text = printed(init.arg("init").arg("--data").arg(data).arg("--package-key").arg(keyring))?;
        let token = text.lines().find_map(|line| line.trim().strip_prefix("admin token: "));
        let token = token.context("the server printed no admin token")?.to_owned();
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let (url, more_urls) = (String::new(), Vec::new());
        let child = spawn(tools, data, &arguments)?;
        let mut server = Self { child, data: data.to_owned(), arguments, token, url, more_urls };
        server.wait_until_it_listens()?;
        Ok(server)
    }

    /// Stops it as an operator does.
    pub(super) fn stop(&mut self) -> Result<()> {
        printed(Command::new("kill").arg(self.child.id().to_string()))?;
        self.child.wait().context("could not wait for the server's end").map(drop)
    }

    /// Ends it as a power cut does.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill().and_then(|()| self.child.wait()).context("could not kill the server").map(drop)
    }

    /// Starts it again after `stop`; what it took until it listened.
    pub(super) fn start_again(&mut self, tools: &Tools) -> Result<Sample> {
        let started = Instant::now();
        self.child = spawn(tools, &self.data, &self.arguments)?;
        self.wait_until_it_listens()?;
        let wall = started.elapsed().as_secs_f64();
        let (cpu, memory) = usage_so_far(self.child.id())?;
        Ok(Sample { wall, cpu, memory })
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let stdout = self.child.stdout.take().context("the server has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut next = || {
            let url = lines.find_map(|line| line.ok()?.trim().strip_prefix("listening on ").map(str::to_owned));
            url.context("the server ended before it listened")
        };
        self.url = next()?;
        let is_listener = |argument: &&String| ["--https", "--mqtts"].contains(&argument.as_str());
        let more = self.arguments.iter().filter(is_listener).count();
        self.more_urls = (0..more).map(|_| next()).collect::<Result<_>>()?;
        // Whatever else it prints is read away, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(())
    }

    /// Its process id.
    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    /// `debfleet publish`, not yet started.
    pub(super) fn publish(&self, tools: &Tools, packages: &[PathBuf]) -> Command {
        let mut command = self.client(tools, &["publish", "--suite", "stable"]);
        command.args(packages);
        command
    }

    /// `debfleet` with these arguments and an admin's token, not yet started.
    pub(super) fn client(&self, tools: &Tools, arguments: &[&str]) -> Command {
        let mut command = tools.command("debfleet");
        command.args(arguments).args(["--server", &self.url]).env("DEBFLEET_TOKEN", &self.token);
        command
    }

    /// Runs a client, and adds what the server did meanwhile.
    pub(super) fn timed(&self, client: &Command) -> Result<Sample> {
        let (before, _) = usage_so_far(self.child.id())?;
        let client = timed(client, 0)?;
        let (after, peak) = usage_so_far(self.child.id())?;
        Ok(Sample { cpu: client.cpu + after - before, memory: client.memory.max(peak), ..client })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(tools: &Tools, data: &Path, arguments: &[String]) -> Result<Child> {
    let mut command = with_all_descriptors(&tools.path("debfleet-server"));
    command.arg("--data").arg(data).args(["--http", "127.0.0.1:0"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().context("could not start debfleet-server")
}

/// A program that may open as many files as the system lets it, as its service does.
pub(super) fn with_all_descriptors(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n $(ulimit -Hn) && exec \"$0\" \"$@\""]).arg(program);
    command
}

/// A free port; it is free at this moment.
pub(super) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("could not find a free port")?;
    listener.local_addr().context("a socket has no address")
}

/// Runs a program that must succeed, and gives what it printed.
pub(super) fn printed(command: &mut Command) -> Result<String> {
    let ended = output(command.stdin(Stdio::null()))?;
    if !ended.status.success() {
        bail!("{command:?} failed ({}):\n{}", ended.status, String::from_utf8_lossy(&ended.stderr));
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

/// A shell script in a folder; it ends at its first failure.
pub(super) fn script(folder: &Path, text: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-euc", text]).current_dir(folder).env("LC_ALL", "C.UTF-8");
    command
}

/// Copies files and folders with all their properties.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    printed(Command::new("cp").arg("-a").arg(from).arg(to)).map(drop)
}

/// Writes a file, with its folder.
#[expect(clippy::disallowed_methods, reason = "what is lost is measured anew")]
pub(super) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let folder = path.parent().with_context(|| format!("{} lies in no folder", path.display()))?;
    std::fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    std::fs::write(path, content).with_context(|| format!("could not write {}", path.display()))
}

/// A folder for one benchmark, gone when it ends.
pub(super) fn scratch() -> Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("debfleet-bench-").tempdir().context("could not make a folder")
}

/// Cargo's folder of built things.
pub(super) fn target_folder() -> Result<PathBuf> {
    let us = std::env::current_exe().context("could not find the folder of built binaries")?;
    let folder = us.parent().and_then(Path::parent).context("this binary lies in no folder of cargo's")?;
    Ok(folder.to_owned())
}

/// Number and bytes of the regular files below a folder.
pub(super) fn size_of(folder: &Path) -> Result<(usize, u64)> {
    let sizes = printed(Command::new("find").arg(folder).args(["-type", "f", "-printf", "%s\\n"]))?;
    let sizes = sizes.lines().map(|line| line.parse::<u64>().context("find printed no size"));
    sizes.collect::<Result<Vec<_>>>().map(|sizes| (sizes.len(), sizes.iter().sum()))
}

/// Bytes as megabytes (10⁶).
#[expect(clippy::cast_precision_loss, reason = "it is shown with one digit after the point")]
pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
