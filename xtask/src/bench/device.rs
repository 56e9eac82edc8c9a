//! An update of a package of 50 MB, and its rollback, in a Debian root.

use super::fixture::{Server, Tools, copy, megabytes, printed, scratch, target_folder, write};
use super::measure::{Sample, alternate, timed};
use super::report::{Report, median};
use crate::program::workspace;
use anyhow::{Context, Result, ensure};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const ROUNDS: usize = 4;
const FILES: u32 = 400;
const FILE_BYTES: usize = 128 * 1024;
/// Every fifth file differs from version to version.
const CHANGED: u32 = 5;

pub(super) fn measure(tools: &Tools) -> Result<Report> {
    println!("device: an update beside apt-get");
    let folder = scratch()?;
    let folder = folder.path();
    let keys = folder.join("keys");
    tools.new_key(&keys)?;
    println!("  building the package in three versions …");
    let packages = (1..=3).map(|version| package(tools, folder, &keys, version)).collect::<Result<Vec<_>>>()?;
    let bytes = packages.get(1).context("the second version")?.metadata().context("could not read a package")?.len();
    let server = Server::start(tools, &folder.join("server"), &keys)?;
    printed(&mut server.publish(tools, &packages))?;

    println!("  making the roots …");
    let ours = Device { tools, config: folder.join("etc/updater.toml"), root: folder.join("ours") };
    let peer = Device { root: folder.join("peer"), ..ours.clone() };
    ours.unpack(&server, &keys)?;
    copy(&ours.root, &peer.root)?;
    timed(&ours.updater(&["install", "payload=1.0.0-1"]), 0)?;
    timed(&peer.apt(&["update"]), 0)?;
    timed(&peer.apt(&["install", "payload=1.0.0-1"]), 0)?;

    let names = ["debfleet-updater install", "apt-get update and install", "apt-get install alone"];
    let (mut install_alone, mut rollbacks, mut bad_releases) = (Sample::default(), Vec::new(), Vec::new());
    let contenders = alternate(ROUNDS, &names, |contender, round| match contender {
        0 => {
            let device = ours.copied(folder)?;
            let sample = timed(&device.updater(&["install", "payload=2.0.0-1"]), 0)?;
            device.holds("2")?;
            let rollback = timed(&device.updater(&["rollback"]), 0)?;
            device.holds("1")?;
            device.remove()?;

            let device = ours.copied(folder)?;
            let bad = timed(&device.updater(&["install", "payload=3.0.0-1"]), 3)?;
            device.holds("1")?;
            device.remove()?;
            if round > 0 {
                rollbacks.push(rollback.wall);
                bad_releases.push(bad.wall);
            }
            Ok(sample)
        }
        1 => {
            let device = peer.copied(folder)?;
            let update = timed(&device.apt(&["update"]), 0)?;
            install_alone = timed(&device.apt(&["install", "payload=2.0.0-1"]), 0)?;
            device.holds("2")?;
            device.remove()?;
            Ok(update.then(install_alone))
        }
        _ => Ok(install_alone),
    })?;

    let idle = idle_memory(&ours.copied(folder)?)?;
    let binary = tools.path("debfleet-updater").metadata().context("could not look at the updater")?.len();

    Ok(Report {
        title: "`device`: an update of a package".into(),
        setting: format!(
            "A package with {FILES} files of {:.0} kB ({:.1} MB installed, {:.1} MB as .deb), of which every \
             {CHANGED}th changes, goes from 1.0.0 to 2.0.0 in a Debian root of its own, from the same `debfleet-server` \
             over HTTP on loopback. `debfleet-updater install` fetches and verifies the index and the package with both \
             signatures, takes a snapshot, installs with dpkg, checks health and commits. `apt-get` fetches, verifies \
             the repository's signature and installs. Each run has a fresh copy of the root. {ROUNDS} rounds.",
            megabytes(FILE_BYTES as u64) * 1000.0,
            megabytes(FILE_BYTES as u64) * f64::from(FILES),
            megabytes(bytes)
        ),
        contenders,
        pairs: vec![(0, 1), (0, 2)],
        notes: vec![
            "Both unpack the package once, which is most of the work: `debfleet-updater` to check it, and dpkg then \
             installs what was checked. One flush before the commit takes the place of one for each file."
                .to_owned(),
            format!(
                "The program is {:.1} MB, stripped. `debfleet-updater run`, with the environment of its service, holds \
                 {:.1} MB between two polls after an update that was rolled back.",
                megabytes(binary),
                idle
            ),
            format!(
                "A bad release, from the command to the end of its rollback (index, download, snapshot, install, a \
                 health check that fails at once, everything put back): {:.2} s.",
                median(&bad_releases)
            ),
            format!("`debfleet-updater rollback` after a committed update: {:.2} s.", median(&rollbacks)),
            "The rollbacks have no peer here: apt keeps nothing to go back to.".to_owned(),
            "\"apt-get install alone\" is the second half of the row above it: the indexes are already there."
                .to_owned(),
        ],
    })
}

/// Megabytes that the service holds once its first poll, which finds a bad release, has ended.
fn idle_memory(device: &Device<'_>) -> Result<f64> {
    let unit = workspace().join("packaging/debfleet-updater/debfleet-updater.service");
    let unit = std::fs::read_to_string(&unit).with_context(|| format!("could not read {}", unit.display()))?;
    let variables = unit.lines().filter_map(|line| line.strip_prefix("Environment=")).flat_map(str::split_whitespace);
    let mut command = device.updater(&["run"]);
    command.envs(variables.filter_map(|variable| variable.split_once('=')));
    let mut running = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context("could not start it")?;
    let log = BufReader::new(running.stderr.take().context("it has no log")?);
    let ended = log.lines().map_while(Result::ok).any(|line| line.contains("rolled-back"));
    // Threads that have nothing to do end after ten seconds.
    std::thread::sleep(Duration::from_secs(15));
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.id()));
    running.kill().and_then(|()| running.wait()).context("could not end it")?;
    ensure!(ended, "`debfleet-updater run` ended before it had tried the bad release");
    let status = status.context("could not look at the running updater")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
    let kibibytes: f64 = resident.and_then(|number| number.parse().ok()).context("/proc tells no VmRSS")?;
    Ok(kibibytes * 1024.0 / 1e6)
}

/// Half of each file cannot be compressed, half of it can, well; as in many programs.
fn package(tools: &Tools, folder: &Path, keys: &Path, version: u32) -> Result<PathBuf> {
    let source = folder.join(format!("source-{version}"));
    for number in 0..FILES {
        let seed = if number % CHANGED == 0 { number + version * FILES } else { number };
        write(&source.join(format!("data/{:02}/{number:03}", number % 20)), content(seed))?;
    }
    write(&source.join("version"), version.to_string())?;
    let health = if version == 3 { "false" } else { "test -s \\\"$DPKG_ROOT/opt/payload/version\\\"" };
    write(
        &source.join("debfleet.toml"),
        format!(
            "[package]\nname = \"payload\"\nversion = \"{version}.0.0\"\nmaintainer = \"Nobody <nobody@example.org>\"\n\
             description = \"\"\"\nfiles to be updated\nThey stand for a device's program.\"\"\"\nlicense = \"MIT\"\n\
             [[files]]\nsource = \"data\"\ndestination = \"/opt/payload/data\"\n\
             [[files]]\nsource = \"version\"\ndestination = \"/opt/payload/version\"\n\
             [update]\ncommit-timeout = 60\n\
             [[update.health]]\ncommand = \"{health}\"\ntimeout = 5\ninterval = 1\nattempts = 1\n"
        ),
    )?;
    let text = printed(&mut tools.build(&source, &folder.join("debs"), Some(keys)))?;
    std::fs::remove_dir_all(&source).context("could not remove a source")?;
    Ok(PathBuf::from(text.lines().last().context("debfleet build printed no path")?))
}

/// The same bytes for the same seed (xorshift).
fn content(seed: u32) -> Vec<u8> {
    let mut state = u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(FILE_BYTES);
    while bytes.len() < FILE_BYTES {
        for _ in 0..16 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.extend_from_slice(b"one line of a text that comes again and again, as code and tables do,\n");
        bytes.extend_from_slice(b"though never as often as it does in this file of no meaning.\n");
    }
    bytes.truncate(FILE_BYTES);
    bytes
}

#[derive(Clone)]
struct Device<'a> {
    tools: &'a Tools,
    config: PathBuf,
    root: PathBuf,
}

impl Device<'_> {
    /// A fresh Debian whose only package source is our server, and the updater's configuration for it.
    fn unpack(&self, server: &Server, keys: &Path) -> Result<()> {
        let image = image()?;
        std::fs::create_dir(&self.root).context("could not make a root")?;
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&self.root).args(["--xattrs", "--xattrs-include=*", "-xpf"]).arg(&image);
        printed(&mut tar)?;
        let sources = self.root.join("etc/apt/sources.list");
        std::fs::remove_file(&sources).context("could not remove the root's sources.list")?;

        let url = format!("{}/debian", server.url);
        let etc = self.config.parent().context("the configuration lies in no folder")?;
        std::fs::create_dir_all(etc).context("could not make a folder")?;
        let fetch = |name: &str, to: &Path| {
            printed(Command::new("curl").args(["-sSf", "-o"]).arg(to).arg(format!("{url}/{name}"))).map(drop)
        };
        fetch("repository.gpg", &etc.join("repository.gpg"))?;
        fetch("stable.sources", &self.root.join("etc/apt/sources.list.d/stable.sources"))?;
        write(
            &self.config,
            format!(
                "repository = \"{url}\"\nsuite = \"stable\"\npackages = [\"payload\"]\n\
                 repository-keyring = \"{}/repository.gpg\"\npackage-keyring = \"{}/package.gpg\"\n",
                etc.display(),
                keys.display()
            ),
        )
    }

    fn copied(&self, folder: &Path) -> Result<Self> {
        let root = folder.join("copy");
        copy(&self.root, &root)?;
        Ok(Self { root, ..self.clone() })
    }

    fn remove(self) -> Result<()> {
        std::fs::remove_dir_all(&self.root).context("could not remove a copy of a root")
    }

    fn updater(&self, arguments: &[&str]) -> Command {
        let mut command = self.tools.command("debfleet-updater");
        command.arg("--config").arg(&self.config).arg("--root").arg(&self.root).args(arguments);
        command
    }

    fn apt(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.root).args(["apt-get", "-y", "-qq"]).args(arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// A benchmark of something that did not happen would look very good.
    fn holds(&self, version: &str) -> Result<()> {
        let path = self.root.join("opt/payload/version");
        let found = std::fs::read_to_string(&path).context("the package is not installed")?;
        ensure!(found == version, "the device should hold version {version}, and holds {found:?}");
        Ok(())
    }
}

/// The Debian root that the tests also use; made if it is not there.
fn image() -> Result<PathBuf> {
    let folder = target_folder()?.join("debug/debian-root");
    let (image, unfinished) = (folder.join("bookworm.tar"), folder.join("unfinished-bench.tar"));
    if !image.exists() {
        std::fs::create_dir_all(&folder).context("could not make a folder for the root's image")?;
        let mut make = Command::new("mmdebstrap");
        printed(make.args(["--quiet", "--variant=apt", "--mode=root", "bookworm"]).arg(&unfinished))?;
        printed(Command::new("mv").arg(&unfinished).arg(&image))?;
    }
    Ok(image)
}
