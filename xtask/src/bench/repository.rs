//! A suite of Debian's own size is filled, changed and served, beside aptly and reprepro.

use super::corpus;
use super::fixture::{Server, Tools, megabytes, printed, scratch, script, write};
use super::measure::{Contender, Sample, alternate, usage_so_far};
use super::peers::{Peers, REPREPRO_MAY_TAKE};
use super::report::Report;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// As many as Debian 12 has for amd64.
const PACKAGES: usize = 63_000;
/// The peers' rounds take a minute each.
const PEER_ROUNDS: usize = 2;
/// Further ones of ours.
const OWN_ROUNDS: usize = 5;
const RESTART_ROUNDS: usize = 3;
/// How long a server has nothing to do before the next measurement: it works on after an answer.
const QUIET: Duration = Duration::from_secs(3);
/// Work in the background that takes longer than this is a mistake of ours.
const LONGEST: Duration = Duration::from_secs(900);
const INDEX: &str = "main/binary-amd64/Packages";

pub(super) fn measure(tools: &Tools) -> Result<Vec<Report>> {
    println!("repository: a suite of {PACKAGES} packages; its import takes minutes");
    let folder = scratch()?;
    let keys = folder.path().join("keys");
    tools.new_key(&keys)?;
    let debs = folder.path().join("corpus");
    corpus::make(&debs, PACKAGES)?;
    let added = (0..PEER_ROUNDS + OWN_ROUNDS + RESTART_ROUNDS + 3)
        .map(|number| signed_package(tools, folder.path(), &keys, number))
        .collect::<Result<Vec<PathBuf>>>()?;
    let server = Server::start(tools, &folder.path().join("server"), &keys)?;
    let peers = Peers::new(folder.path())?;
    let mut bench = Bench { tools, folder: folder.path(), server, peers, added: added.into_iter(), notes: vec![] };
    // The order matters: each works on what the one before has left.
    let import = bench.import(&debs)?;
    let has_reprepro = import.contenders.len() > 2;
    bench.indexes()?;
    let more = bench.one_more(has_reprepro)?;
    let changes = bench.changes()?;
    Ok(vec![import, more, changes])
}

struct Bench<'a> {
    tools: &'a Tools,
    folder: &'a Path,
    server: Server,
    peers: Peers,
    /// Signed packages that are in no suite yet.
    added: std::vec::IntoIter<PathBuf>,
    /// What is told at the end, about all of it.
    notes: Vec<String>,
}

impl Bench<'_> {
    fn import(&mut self, debs: &Path) -> Result<Report> {
        let mut contenders: Vec<Contender> = Vec::new();
        let mut once = |name, sample: Sample| {
            println!("  {name}: {:.2} s, {:.2} s of CPU", sample.wall, sample.cpu);
            contenders.push(Contender { name, samples: vec![sample] });
        };
        let mut import = self.server.client(self.tools, &["suite", "import", "--suite", "stable", "--unsigned"]);
        once("debfleet suite import", self.server.timed(import.arg(debs))?);
        let settling = Instant::now();
        let (before, _) = usage_so_far(self.server.process())?;
        self.settle()?;
        let (cpu, peak) = usage_so_far(self.server.process())?;
        let settled = (settling.elapsed().saturating_sub(QUIET).as_secs_f64(), cpu - before, peak);
        once("aptly repo add, publish repo", self.peers.aptly_import(debs)?);
        let mut notes = vec![
            "A single round, without a warm-up: a peer's takes minutes.".to_owned(),
            format!(
                "Ours goes over HTTP and checks each package as if it were published alone. aptly writes gzip and \
                 bzip2, reprepro gzip and xz, ours gzip, xz and zstd: quickly at first, and then in the background \
                 for good, which took {:.1} s ({:.1} s of CPU) more until the smaller indexes were published by \
                 themselves. The server's peak was {:.0} MB then.",
                settled.0, settled.1, settled.2
            ),
            "aptly and debfleet make Contents, too.".to_owned(),
        ];
        match self.peers.reprepro_import(debs)? {
            Some(sample) => {
                once("reprepro includedeb, export", sample);
                notes.push(
                    "reprepro runs under eatmydata, which leaves out its flushes to the disk: with them, filling it takes \
                     several times as long. The others flush as they always do."
                        .to_owned(),
                );
            }
            None => notes.push(format!(
                "reprepro had not taken all in after {REPREPRO_MAY_TAKE} s and was stopped: it is left out, here and \
                 below."
            )),
        }
        self.count(PACKAGES, contenders.len() > 2)?;
        Ok(Report {
            title: format!("`repository`: {PACKAGES} packages are imported and published"),
            setting: format!(
                "A folder of {PACKAGES} small unsigned packages, whose control fields are as long as those of Debian, \
                 goes into an empty suite, which is then published and signed with an Ed25519 key: by `debfleet suite \
                 import` to a running `debfleet-server` over HTTP on loopback; by `aptly repo add` and `aptly publish \
                 repo`; by `reprepro includedeb` (10,000 at a time) and `reprepro export`. One round."
            ),
            pairs: (1..contenders.len()).map(|peer| (0, peer)).collect(),
            contenders,
            notes,
        })
    }

    /// What readers fetch, beside the same index compressed as a whole.
    fn indexes(&mut self) -> Result<()> {
        let url = format!("{}/debian/dists/stable/{INDEX}", self.server.url);
        printed(Command::new("curl").args(["-sSf", "-o"]).arg(self.folder.join("Packages")).arg(&url))?;
        let size = |text: &str| -> Result<u64> {
            let printed = printed(&mut script(self.folder, text))?;
            printed.trim().parse().with_context(|| format!("{text} printed no size"))
        };
        let plain = size("wc -c < Packages")?;
        let mut sizes = Vec::new();
        for (form, whole) in [("gz", "gzip -9nc"), ("xz", "xz -6c"), ("zst", "zstd -15 -q -c")] {
            let (served, whole_size) =
                (size(&format!("curl -sSf {url}.{form} | wc -c"))?, size(&format!("{whole} Packages | wc -c"))?);
            sizes.push(format!(
                "Packages.{form} {:.2} MB, {:.3} × that of `{whole}`",
                megabytes(served),
                megabytes(served) / megabytes(whole_size)
            ));
        }
        let sizes = sizes.join("; ");
        println!("  {sizes}");
        self.notes.push(format!("Sizes as served after the import, of {:.1} MB: {sizes}.", megabytes(plain)));
        Ok(())
    }

    fn one_more(&mut self, has_reprepro: bool) -> Result<Report> {
        let names = ["debfleet publish", "aptly repo add, publish update", "reprepro includedeb"];
        let names = if has_reprepro { &names[..] } else { &names[..2] };
        let mut package = PathBuf::new();
        let mut contenders = alternate(PEER_ROUNDS, names, |contender, _| match contender {
            0 => {
                package = self.next()?;
                self.publish(&package)
            }
            1 => self.peers.aptly_add(&package),
            _ => self.peers.reprepro_add(&package),
        })?;
        self.count(PACKAGES + PEER_ROUNDS + 1, has_reprepro)?;
        let own = alternate(OWN_ROUNDS, &names[..1], |_, _| {
            let package = self.next()?;
            self.publish(&package)
        })?;
        for (contender, more) in contenders.iter_mut().zip(own) {
            contender.samples.extend(more.samples);
        }
        let rounds = PEER_ROUNDS + OWN_ROUNDS;
        Ok(Report {
            title: format!("`repository`: one package more among {PACKAGES}"),
            setting: format!(
                "A small signed package is added to that suite, which is published and signed again. {PEER_ROUNDS} \
                 rounds of all, after a warm-up, then {OWN_ROUNDS} more of ours alone: its figures are those of \
                 {rounds}, the ratios those of the first {PEER_ROUNDS}."
            ),
            pairs: (1..contenders.len()).map(|peer| (0, peer)).collect(),
            contenders,
            notes: vec![
                "Ours includes the upload, the check of the package's signature, the flush to the disk and the index \
                 files by hash, in gzip, xz and zstd; the peers check no package's signature."
                    .to_owned(),
                format!(
                    "CPU of ours is that of client and server together; the peers' is without that of gpg's agent. \
                     Memory is the server's peak since its start, which includes the import. The server had nothing \
                     to do for {} s before each: work in the background after a publication is not in its time.",
                    QUIET.as_secs()
                ),
            ],
        })
    }

    fn changes(&mut self) -> Result<Report> {
        printed(&mut self.server.client(self.tools, &["suite", "create", "beta"]))?;
        let (_, mut peak) = usage_so_far(self.server.process())?;
        let names = [
            "start of debfleet-server",
            "debfleet publish, first after it",
            "debfleet suite withdraw",
            "debfleet suite promote",
        ];
        let contenders = alternate(RESTART_ROUNDS, &names, |contender, round| {
            // Somewhere within the index, each time elsewhere.
            let place = PACKAGES / (RESTART_ROUNDS + 2) * (round + 1);
            match contender {
                0 => {
                    self.settle()?;
                    peak = usage_so_far(self.server.process())?.1.max(peak);
                    self.server.stop()?;
                    self.server.start_again(self.tools)
                }
                1 => {
                    let package = self.next()?;
                    self.server.timed(&self.server.publish(self.tools, std::slice::from_ref(&package)))
                }
                2 => self.change(&["suite", "withdraw", "stable", &corpus::name(place)]),
                _ => self.change(&["suite", "promote", "stable", "beta", &corpus::name(place + 1)]),
            }
        })?;
        self.settle()?;
        peak = usage_so_far(self.server.process())?.1.max(peak);
        // All that were added less those that were withdrawn, as many in either case.
        let rounds = RESTART_ROUNDS + 1;
        ensure!(packages(&self.index("stable")?) == PACKAGES + PEER_ROUNDS + OWN_ROUNDS + 2, "not all was withdrawn");
        ensure!(packages(&self.index("beta")?) == rounds, "not all was promoted");
        let mut notes = vec![
            "The start is from that of the process until it listens, on data that the system has in its cache; the \
             publication follows at once. CPU and memory of the start are the server's alone."
                .to_owned(),
            format!("The server's peak over all of it, from the empty suite to the last change: {peak:.0} MB."),
        ];
        notes.append(&mut self.notes);
        Ok(Report {
            title: format!("`repository`: a restart and other changes among {PACKAGES}"),
            setting: format!(
                "In each round the server is stopped and started, publishes a signed package, withdraws another one \
                 and promotes a third into a small suite. {RESTART_ROUNDS} rounds."
            ),
            contenders,
            pairs: vec![],
            notes,
        })
    }

    fn next(&mut self) -> Result<PathBuf> {
        self.added.next().context("there are too few packages for the rounds")
    }

    fn publish(&self, package: &PathBuf) -> Result<Sample> {
        self.settle()?;
        self.server.timed(&self.server.publish(self.tools, std::slice::from_ref(package)))
    }

    fn change(&self, arguments: &[&str]) -> Result<Sample> {
        self.settle()?;
        self.server.timed(&self.server.client(self.tools, arguments))
    }

    /// Waits until the server does nothing any more: it compresses for good, and publishes that, by itself.
    fn settle(&self) -> Result<()> {
        /// Seconds of CPU; our question needs less.
        const NOTHING: f64 = 0.1;
        let url = format!("{}/debian/dists/stable/{INDEX}.xz", self.server.url);
        let now = || -> Result<(f64, Option<String>)> {
            // Before the first publication there is none.
            let head = printed(Command::new("curl").args(["-sSI", &url]))?;
            let length = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-length:"));
            Ok((usage_so_far(self.server.process())?.0, length.map(str::to_owned)))
        };
        let (started, mut since, mut last) = (Instant::now(), Instant::now(), now()?);
        while since.elapsed() < QUIET {
            if started.elapsed() > LONGEST {
                bail!("the server was still at work {} s later", LONGEST.as_secs());
            }
            std::thread::sleep(Duration::from_millis(500));
            let state = now()?;
            if state.1 != last.1 || state.0 - last.0 > NOTHING {
                (since, last) = (Instant::now(), state);
            }
        }
        Ok(())
    }

    fn index(&self, suite: &str) -> Result<String> {
        let url = format!("{}/debian/dists/{suite}/{INDEX}", self.server.url);
        printed(Command::new("curl").args(["-sSf", &url]))
    }

    /// A benchmark of something that did not happen would look very good.
    fn count(&self, expected: usize, has_reprepro: bool) -> Result<()> {
        let found = packages(&self.index("stable")?);
        ensure!(found == expected, "our index holds {found} packages, not {expected}");
        for path in self.peers.indexes(has_reprepro) {
            let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
            let found = packages(&text);
            ensure!(found == expected, "{} holds {found} packages, not {expected}", path.display());
        }
        Ok(())
    }
}

/// How many an index holds.
fn packages(index: &str) -> usize {
    index.lines().filter(|line| line.starts_with("Package: ")).count()
}

/// A package whose control data are as long as usual, and whose content is one short file.
fn signed_package(tools: &Tools, folder: &Path, keys: &Path, number: usize) -> Result<PathBuf> {
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
