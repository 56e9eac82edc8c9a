//! Files become a .deb: a tree of many, and one large one, by each tool with xz and with zstd.

mod input;
mod peers;

use super::fixture::{EPOCH, Tools, megabytes, printed, scratch};
use super::measure::{alternate, timed};
use super::report::Report;
use anyhow::{Context, Result, ensure};
use input::{Input, package};
use peers::Peer;
use std::path::Path;
use std::process::Command;

/// One tool with its arguments, and the folder that it puts the package into.
struct Tool {
    name: &'static str,
    command: Command,
    out: String,
}

pub(super) fn measure(tools: &Tools) -> Result<Vec<Report>> {
    println!("builder: debfleet build beside dpkg-deb, nfpm and cargo-deb");
    let folder = scratch()?;
    let keys = folder.path().join("keys");
    tools.new_key(&keys)?;
    let peers = [Peer::nfpm()?, Peer::cargo_deb()?];
    let inputs = [
        ("a tree becomes a package", Input::tree(folder.path().join("many"))?),
        ("a large binary becomes a package", Input::binary(folder.path().join("one"))?),
    ];
    let mut reports = Vec::new();
    for (title, input) in &inputs {
        for compression in ["xz", "zstd"] {
            println!(" {title}, {compression}");
            let out = folder.path().join(format!("out-{}-{compression}", reports.len()));
            let contest = Contest { tools, keys: &keys, input, compression, out: &out };
            reports.push(contest.hold(title, &peers)?);
        }
    }
    Ok(reports)
}

struct Contest<'a> {
    tools: &'a Tools,
    keys: &'a Path,
    input: &'a Input,
    compression: &'a str,
    out: &'a Path,
}

impl Contest<'_> {
    fn hold(&self, title: &str, peers: &[Peer]) -> Result<Report> {
        let is_xz = self.compression == "xz";
        // What takes a third of a second needs more rounds than what takes ten.
        let rounds = if is_xz { 3 } else { 9 };
        let mut contestants = vec![self.debfleet(true)?, self.debfleet(false)?, self.dpkg_deb()?];
        let mut notes = Vec::new();
        for (number, peer) in peers.iter().enumerate() {
            match peer {
                Peer::Absent(why) => notes.push(format!("{why}.")),
                // cargo-deb has no zstd.
                Peer::Here { program, version } if number == 0 || is_xz => {
                    let tool = if number == 0 { self.nfpm(program) } else { self.cargo_deb(program) };
                    contestants.push(tool?);
                    notes.push(format!("{version} is as its project distributes it."));
                }
                Peer::Here { .. } => {}
            }
        }
        let names: Vec<&'static str> = contestants.iter().map(|tool| tool.name).collect();
        let contenders = alternate(rounds, &names, |number, _| {
            timed(&contestants.get(number).context("no such contender")?.command, 0)
        })?;
        notes.insert(0, self.sizes(&contestants)?);
        notes.push(if is_xz { XZ } else { ZSTD }.to_owned());
        Ok(Report {
            title: format!("`builder`: {title}, {}", self.compression),
            setting: format!(
                "{}: {} of {:.1} MB together. {rounds} rounds.",
                self.input.what,
                if self.input.files == 1 { "a file".to_owned() } else { format!("{} files", self.input.files) },
                megabytes(self.input.bytes)
            ),
            pairs: (2..contenders.len()).flat_map(|peer| [(0, peer), (1, peer)]).collect(),
            contenders,
            notes,
        })
    }

    fn out(&self, name: &str) -> Result<String> {
        let folder = self.out.join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        Ok(folder.to_str().context("the scratch folder's path is not UTF-8")?.to_owned())
    }

    fn debfleet(&self, signed: bool) -> Result<Tool> {
        let name = if signed { "debfleet build, signed" } else { "debfleet build, unsigned" };
        let out = self.out(if signed { "signed" } else { "unsigned" })?;
        let keys = signed.then_some(self.keys);
        let mut command = self.tools.build(&self.input.debian(), Path::new(&out), keys);
        command.args(["--compression", self.compression]);
        Ok(Tool { name, command, out })
    }

    fn dpkg_deb(&self) -> Result<Tool> {
        let (mut command, out) = (Command::new("dpkg-deb"), self.out("dpkg-deb")?);
        command.args(["--root-owner-group", &format!("-Z{}", self.compression), "--build"]);
        command.arg(self.input.debian()).arg(&out).env("SOURCE_DATE_EPOCH", EPOCH);
        Ok(Tool { name: "dpkg-deb --build", command, out })
    }

    fn nfpm(&self, program: &Path) -> Result<Tool> {
        let (mut command, out) = (Command::new(program), self.out("nfpm")?);
        command.args(["package", "--packager", "deb", "--config"]).arg(self.input.nfpm(self.compression)?);
        command.args(["--target", &format!("{out}/")]).env("SOURCE_DATE_EPOCH", EPOCH);
        Ok(Tool { name: "nfpm package", command, out })
    }

    fn cargo_deb(&self, program: &Path) -> Result<Tool> {
        let (mut command, out) = (Command::new(program), self.out("cargo-deb")?);
        command.args(["--no-build", "--no-strip", "--quiet", "--manifest-path"]).arg(self.input.cargo_deb()?);
        command.args(["--output", &format!("{out}/payload.deb")]).env("SOURCE_DATE_EPOCH", EPOCH);
        Ok(Tool { name: "cargo deb --no-build", command, out })
    }

    /// The sizes of all packages, each of which must hold all the files.
    fn sizes(&self, contestants: &[Tool]) -> Result<String> {
        let mut sizes = Vec::new();
        for Tool { name, out, .. } in contestants {
            let package = package(Path::new(out))?;
            let listed = printed(Command::new("dpkg-deb").arg("--contents").arg(&package))?;
            let files = listed.lines().filter(|line| line.starts_with('-')).count();
            // nfpm and cargo-deb add documents of their own.
            ensure!(files >= self.input.files, "{name} packed {files} of {} files", self.input.files);
            let bytes = package.metadata().with_context(|| format!("could not read {}", package.display()))?.len();
            sizes.push((name, megabytes(bytes)));
        }
        let (_, peer) = sizes.get(2).context("dpkg-deb made no package")?;
        let told = sizes.iter().map(|(name, size)| format!("{name} {size:.2} MB ({:.3} ×)", size / peer));
        Ok(format!("Size, and as a multiple of dpkg-deb's: {}.", told.collect::<Vec<_>>().join(", ")))
    }
}

const XZ: &str = "debfleet and dpkg-deb compress with xz at level 6, its default, on all cores, in blocks of at most 24 MiB: \
    dpkg-deb in blocks of 24 MiB and a rest, debfleet in an even number of even blocks. Where dpkg-deb's blocks \
    happen to be even, too, debfleet gains nothing. nfpm and cargo-deb compress as they do when told nothing but xz.";

const ZSTD: &str = "debfleet and dpkg-deb compress with zstd at level 3, its default (debfleet with smaller tables and jobs that share nothing); nfpm as \
    it does when told nothing but zstd. debfleet and nfpm also compute the MD5 of every file for md5sums, a fifth of \
    debfleet's CPU time; dpkg-deb computes none, and signs nothing.";
