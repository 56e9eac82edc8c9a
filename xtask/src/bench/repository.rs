//! One package more in a suite that holds many.

use super::fixture::{EPOCH, Server, Tools, printed, scratch, script, write};
use super::measure::{alternate, timed};
use super::report::Report;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const ROUNDS: usize = 7;
/// How many the suite holds before.
const HELD: usize = 100;
/// The server lets a suite's Release change once in a second; after a longer pause nothing waits.
const PAUSE: Duration = Duration::from_millis(2200);

/// What `apt-ftparchive` is the heart of: the usual script around it. Its database spares it from reading again what
/// it has read.
const APT_FTPARCHIVE: &str = "\
apt-ftparchive --db cache.db packages pool > dists/stable/main/binary-all/Packages
gzip -9nkf dists/stable/main/binary-all/Packages
xz -kf dists/stable/main/binary-all/Packages
apt-ftparchive -o APT::FTPArchive::Release::Suite=stable release dists/stable > Release
gpg --batch --yes --quiet --clearsign -o dists/stable/InRelease Release
gpg --batch --yes --quiet --armor --detach-sign -o dists/stable/Release.gpg Release
mv Release dists/stable/Release";

pub(super) fn measure(tools: &Tools) -> Result<Report> {
    println!("repository: a package more in a suite of {HELD}");
    let folder = scratch()?;
    let keys = folder.path().join("keys");
    tools.new_key(&keys)?;
    let build = |number: usize| small_package(tools, folder.path(), &keys, number);
    let held = (0..HELD).map(build).collect::<Result<Vec<PathBuf>>>()?;
    let added = (HELD..=HELD + ROUNDS).map(build).collect::<Result<Vec<PathBuf>>>()?;

    let server = Server::start(tools, &folder.path().join("server"), &keys)?;
    println!("  publishing the {HELD}, one in a second …");
    printed(&mut server.publish(tools, &held))?;
    let peers = Peers::new(folder.path(), &held)?;

    let names = ["debfleet publish", "apt-ftparchive and gpg", "reprepro includedeb"];
    let contenders = alternate(ROUNDS, &names, |contender, round| {
        let package = added.get(round).context("a package for each round")?;
        match contender {
            0 => {
                std::thread::sleep(PAUSE);
                server.timed(&server.publish(tools, std::slice::from_ref(package)))
            }
            1 => timed(&peers.apt_ftparchive(package)?, 0),
            _ => timed(&peers.reprepro(std::slice::from_ref(package)), 0),
        }
    })?;
    let url = format!("{}/debian/dists/stable/main/binary-amd64/Packages", server.url);
    for packages in [
        printed(Command::new("curl").args(["-sSf", &url]))?,
        printed(Command::new("cat").arg(peers.ftparchive.join("dists/stable/main/binary-all/Packages")))?,
        printed(Command::new("cat").arg(peers.reprepro.join("dists/stable/main/binary-amd64/Packages")))?,
    ] {
        // A benchmark of something that did not happen would look very good.
        let found = packages.lines().filter(|line| line.starts_with("Package: ")).count();
        ensure!(found == HELD + added.len(), "an index holds {found} packages");
    }
    Ok(Report {
        title: "`repository`: one package more in a suite".into(),
        setting: format!(
            "A small signed package is added to a suite of {HELD} small ones, which is then published and signed with \
             an Ed25519 key: by `debfleet publish` to a running `debfleet-server` over HTTP on loopback; by the usual \
             script around `apt-ftparchive` (a warm cache, gzip, xz, `release`, gpg's InRelease and Release.gpg) on a \
             pool with the same files; and by `reprepro includedeb`. {ROUNDS} rounds."
        ),
        contenders,
        pairs: vec![(0, 1), (0, 2)],
        notes: vec![
            "Ours includes the upload, the check of the package's signature, the flush to the disk and the index files \
             by hash. reprepro flushes too, apt-ftparchive only its cache, and neither checks a package's signature. CPU is that of client and server together, without that of gpg's agent, \
             which signs for the peers; it is counted in hundredths of a second, too coarse here for a ratio. Memory \
             is the server's peak since its start."
                .to_owned(),
            format!(
                "The suite is small because it is filled through the server's API, and a suite's Release can change \
                 only once in a second: its Date has whole seconds and must move forward. A burst of publications waits \
                 for that; here each had {:.1} s before it. The cost of our publication still grows with the size of \
                 the suite, as all indexes are compressed anew.",
                PAUSE.as_secs_f64()
            ),
        ],
    })
}

/// A package whose control data are as long as usual, and whose content is one short file.
fn small_package(tools: &Tools, folder: &Path, keys: &Path, number: usize) -> Result<PathBuf> {
    let (tree, out) = (folder.join("tree"), folder.join("debs"));
    let name = format!("small-{number:05}");
    write(
        &tree.join("DEBIAN/control"),
        format!(
            "Package: {name}\nVersion: 1.{number}-1\nArchitecture: all\nSection: misc\nPriority: optional\n\
             Maintainer: Nobody <nobody@example.org>\nHomepage: https://example.org/{name}\n\
             Depends: libc6 (>= 2.{}), adduser, lsb-base (>= 3.0)\nDescription: package number {number}\n \
             It stands for one of many in a suite.\n .\n Its checksum differs from that of all others.\n",
            number % 36
        ),
    )?;
    write(&tree.join("usr/share/small/number"), format!("{number}\n"))?;
    let text = printed(&mut tools.build(&tree, &out, Some(keys)))?;
    let path = text.lines().last().context("debfleet build printed no path")?;
    Ok(PathBuf::from(path))
}

/// The same packages in the peers' repositories.
struct Peers {
    ftparchive: PathBuf,
    reprepro: PathBuf,
    gnupg: PathBuf,
}

impl Peers {
    fn new(folder: &Path, held: &[PathBuf]) -> Result<Self> {
        let peers = Self {
            ftparchive: folder.join("ftparchive"),
            reprepro: folder.join("reprepro"),
            // gpg-agent's socket must have a short path.
            gnupg: folder.join("g"),
        };
        printed(Command::new("mkdir").args(["-m", "700"]).arg(&peers.gnupg))?;
        let mut new_key = Command::new("gpg");
        new_key.args(["--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "bench", "ed25519", "sign"]);
        printed(new_key.arg("never").env("GNUPGHOME", &peers.gnupg))?;

        for sub in ["pool", "dists/stable/main/binary-all"] {
            std::fs::create_dir_all(peers.ftparchive.join(sub)).context("could not make a pool")?;
        }
        for package in held {
            peers.pool(package)?;
        }
        printed(&mut peers.with_key(script(&peers.ftparchive, APT_FTPARCHIVE)))?;

        write(
            &peers.reprepro.join("conf/distributions"),
            "Codename: stable\nArchitectures: amd64\nComponents: main\nDebIndices: Packages Release . .gz .xz\n\
             SignWith: yes\n",
        )?;
        printed(&mut peers.reprepro(held))?;
        Ok(peers)
    }

    fn pool(&self, package: &Path) -> Result<()> {
        super::fixture::copy(package, &self.ftparchive.join("pool"))
    }

    /// The new file comes into the pool outside of the measurement.
    fn apt_ftparchive(&self, package: &Path) -> Result<Command> {
        self.pool(package)?;
        Ok(self.with_key(script(&self.ftparchive, APT_FTPARCHIVE)))
    }

    fn reprepro(&self, packages: &[PathBuf]) -> Command {
        let mut command = Command::new("reprepro");
        command.arg("--silent").arg("-b").arg(&self.reprepro).args(["includedeb", "stable"]).args(packages);
        self.with_key(command)
    }

    fn with_key(&self, mut command: Command) -> Command {
        command.env("GNUPGHOME", &self.gnupg).env("SOURCE_DATE_EPOCH", EPOCH);
        command
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // gpg leaves an agent behind, which would outlive its folder.
        let _ = printed(Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", &self.gnupg));
    }
}
