//! aptly's and reprepro's repositories, with the same packages as ours.

use super::fixture::{EPOCH, printed, script, write};
use super::measure::{Sample, timed};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// So many seconds reprepro may take for all packages; the benchmark shall end within a coffee break.
pub(super) const REPREPRO_MAY_TAKE: u64 = 300;

pub(super) struct Peers {
    aptly: PathBuf,
    reprepro: PathBuf,
    gnupg: PathBuf,
}

impl Peers {
    /// Empty repositories, and a key.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let peers = Self {
            aptly: folder.join("aptly"),
            reprepro: folder.join("reprepro"),
            // gpg-agent's socket must have a short path.
            gnupg: folder.join("g"),
        };
        printed(Command::new("mkdir").args(["-m", "700"]).arg(&peers.gnupg))?;
        let mut new_key = Command::new("gpg");
        new_key.args(["--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "bench", "ed25519", "sign"]);
        printed(new_key.arg("never").env("GNUPGHOME", &peers.gnupg))?;
        write(
            &peers.reprepro.join("conf/distributions"),
            "Codename: stable\nArchitectures: amd64\nComponents: main\nDebIndices: Packages Release . .gz .xz\n\
             SignWith: yes\n",
        )?;
        write(&peers.aptly.join("conf"), format!("{{\"rootDir\": \"{}\"}}\n", peers.aptly.display()))?;
        printed(&mut peers.aptly(&["repo", "create", "-distribution=stable", "-component=main", "bench"]))?;
        Ok(peers)
    }

    /// `aptly repo add` of a folder and the first `aptly publish`.
    pub(super) fn aptly_import(&self, packages: &Path) -> Result<Sample> {
        let added = timed(self.aptly(&["repo", "add", "bench"]).arg(packages), 0)?;
        let publish = ["publish", "repo", "-batch", "-architectures=amd64", "bench"];
        Ok(added.then(timed(&self.aptly(&publish), 0)?))
    }

    pub(super) fn aptly_add(&self, package: &Path) -> Result<Sample> {
        let added = timed(self.aptly(&["repo", "add", "bench"]).arg(package), 0)?;
        Ok(added.then(timed(&self.aptly(&["publish", "update", "-batch", "stable"]), 0)?))
    }

    /// `reprepro includedeb` of a folder, without flushes to the disk: with them it takes several times as long. None
    /// if it took too long nevertheless, and its repository is not whole.
    pub(super) fn reprepro_import(&self, packages: &Path) -> Result<Option<Sample>> {
        // A command line cannot hold so many names; the indexes are made once, at the end.
        let text = format!(
            "export base={base}\n\
             timeout {REPREPRO_MAY_TAKE} sh -euc 'find . -name \"*.deb\" -print0 | xargs -0 -n 10000 eatmydata \
             reprepro --silent --export=never -b \"$base\" includedeb stable; reprepro --silent -b \"$base\" export \
             stable; touch \"$base/whole\"' || test $? = 124",
            base = self.reprepro.display()
        );
        let sample = timed(&self.with_key(script(packages, &text)), 0)?;
        Ok(self.reprepro.join("whole").exists().then_some(sample))
    }

    pub(super) fn reprepro_add(&self, package: &Path) -> Result<Sample> {
        let mut command = Command::new("reprepro");
        command.arg("--silent").arg("-b").arg(&self.reprepro).args(["includedeb", "stable"]).arg(package);
        timed(&self.with_key(command), 0)
    }

    /// The published indexes of those who have taken all packages in.
    pub(super) fn indexes(&self, reprepro: bool) -> Vec<PathBuf> {
        let index = "dists/stable/main/binary-amd64/Packages";
        let aptly = self.aptly.join("public").join(index);
        std::iter::once(aptly).chain(reprepro.then(|| self.reprepro.join(index))).collect()
    }

    fn aptly(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("aptly");
        command.arg(format!("-config={}", self.aptly.join("conf").display())).args(arguments);
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
