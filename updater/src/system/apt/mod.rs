//! apt's resolver and apt's chain of trust for the device's own sources, asked without changing anything of theirs.
//!
//! The suite is shown to apt by `--with-source`: our verified Packages index beside the lists that the device's apt
//! verified, in this call only. Caches and preferences are our own.

mod lines;

pub(crate) use lines::{LineError, Location, Step, Target, Unpack};

use super::Device;
use super::process::{ProcessError, Program};
use crate::transaction::PlannedPackage;
use debian_formats::control::{Stanza, StanzaError};
use debian_formats::packages::{IndexError, PackageEntry};
use debian_formats::{Architecture, PackageName, Version};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What apt says against a set, or why it could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AptError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("apt cannot install this set as it stands: {reason}{}", advice(reason, *.has_lists))]
    Refused { reason: String, has_lists: bool },
    #[error("could not ask apt where the packages are: {0}")]
    Ask(String),
    #[error(
        "apt could not download from the device's own sources: {0}; if a package is no longer there, run apt-get update"
    )]
    Download(String),
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("apt-cache show, {0}")]
    Stanza(#[from] StanzaError),
    #[error("apt-cache show, {0}")]
    Entry(#[from] IndexError),
    #[error("could not prepare {path} for apt: {cause}")]
    Prepare { path: PathBuf, cause: io::Error },
}

fn advice(reason: &str, has_lists: bool) -> &'static str {
    if has_lists || !reason.contains("not installable") {
        ""
    } else {
        "; the device's apt has no package lists of its own sources: if the dependency comes from there, run apt-get update"
    }
}

const TIMEOUT: Duration = Duration::from_secs(300);

/// A download slower than this for its whole length is given up: bytes a second.
const SLOWEST_RATE: u64 = 1024;

/// apt's own name for what `--with-source` brings.
pub(crate) const SUITE: &str = "volatile-packages-file";

/// The suite is preferred to whatever else offers the same names. Below 1000, so that nothing is downgraded for it.
const PREFERENCES: &str = "Package: *\nPin: release a=volatile-packages-file\nPin-Priority: 990\n";

/// A package in exactly this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExactVersion {
    pub(crate) target: Target,
    pub(crate) version: Version,
}

impl ExactVersion {
    /// The version that was planned.
    pub(crate) fn exactly(planned: &PlannedPackage) -> Self {
        let architecture = Some(planned.architecture.clone()).filter(|architecture| !architecture.is_all());
        Self { target: Target { name: planned.name.clone(), architecture }, version: planned.to.clone() }
    }

    fn argument(&self) -> String {
        format!("{}={}", self.target, self.version)
    }
}

/// apt for one device, with a folder of our own for what it writes.
#[derive(Debug)]
pub(crate) struct Apt {
    device: Device,
    architecture: Architecture,
    folder: PathBuf,
    log: PathBuf,
    rate_limit: Option<u64>,
}

impl Apt {
    /// Makes a suite's index known to apt. Only a verified one may be given; of a package that is to be installed it holds
    /// one version. `rate_limit` is for what it downloads, in bytes a second.
    pub(crate) fn with_suite<'a>(
        device: &Device,
        architecture: &Architecture,
        folder: PathBuf,
        log: PathBuf,
        rate_limit: Option<u64>,
        index: impl Iterator<Item = &'a str>,
    ) -> Result<Self, AptError> {
        let apt = Self { device: device.clone(), architecture: architecture.clone(), folder, log, rate_limit };
        apt.put("Packages", index)?;
        apt.put("apt.conf", [apt.configuration().as_str()])?;
        apt.make_folder(&apt.folder.join("cache"))?;
        let preferences = apt.folder.join("preferences.d");
        apt.make_folder(&preferences)?;
        apt.put("preferences.d/debfleet", [PREFERENCES])?;
        // The device's own preferences count as well.
        let own = device.root.join("etc/apt/preferences.d");
        for entry in own.read_dir().into_iter().flatten().flatten() {
            let link = preferences.join(entry.file_name());
            if entry.file_name() != "debfleet" {
                std::os::unix::fs::symlink(entry.path(), &link)
                    .map_err(|cause| AptError::Prepare { path: link, cause })?;
            }
        }
        Ok(apt)
    }

    fn put<'a>(&self, name: &str, parts: impl IntoIterator<Item = &'a str>) -> Result<(), AptError> {
        let path = self.folder.join(name);
        let write = || {
            let mut file = BufWriter::new(File::create(&path)?);
            parts.into_iter().try_for_each(|part| file.write_all(part.as_bytes()))?;
            file.flush()
        };
        write().map_err(|cause| AptError::Prepare { path: path.clone(), cause })
    }

    fn make_folder(&self, path: &Path) -> Result<(), AptError> {
        let clean = || match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => std::fs::create_dir_all(path),
        };
        clean().map_err(|cause| AptError::Prepare { path: path.to_owned(), cause })
    }

    /// Read before the device's own configuration, so that for another root it is that root's.
    fn configuration(&self) -> String {
        if self.device.is_running_system() {
            return String::new();
        }
        let (root, status) = (&self.device.root, self.device.root.join("var/lib/dpkg/status"));
        format!("Dir \"{}\";\nDir::State::status \"{}\";\n", root.display(), status.display())
    }

    /// One of apt's programs, with what the device's configuration must not decide otherwise.
    fn program(&self, name: &str) -> Program {
        let path = |name: &str| self.folder.join(name);
        let mut options = vec![
            // Nothing is cached: tens of megabytes would be written for a second of work.
            format!("Dir::Cache={}", path("cache").display()),
            "Dir::Cache::pkgcache=".to_owned(),
            "Dir::Cache::srcpkgcache=".to_owned(),
            format!("Dir::Etc::preferencesparts={}", path("preferences.d").display()),
            "Dir::Log::Planner=".to_owned(),
            "Debug::NoLocking=true".to_owned(),
            "APT::Solver=internal".to_owned(),
            "APT::Get::Purge=false".to_owned(),
            "APT::Get::AutomaticRemove=false".to_owned(),
            "APT::Get::ReInstall=false".to_owned(),
            "APT::Default-Release=".to_owned(),
            "Acquire::ForceHash=SHA256".to_owned(),
            format!("APT::Architecture={}", self.architecture),
        ];
        if !self.device.is_running_system() {
            let architectures = [self.architecture.to_string()].into_iter().chain(self.foreign_architectures());
            options.extend(architectures.map(|architecture| format!("APT::Architectures::={architecture}")));
        }
        let program = Program::new(name).env("APT_CONFIG", path("apt.conf"));
        let program = program.arg("--with-source").arg(path("Packages"));
        options.into_iter().fold(program, |program, option| program.arg("-o").arg(option))
    }

    /// What dpkg of that root takes besides its own; this machine's apt would ask this machine's dpkg.
    fn foreign_architectures(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.device.root.join("var/lib/dpkg/arch")).unwrap_or_default();
        let foreign = text.lines().filter_map(|line| line.trim().parse::<Architecture>().ok());
        foreign.filter(|found| *found != self.architecture).map(|found| found.to_string()).collect()
    }

    fn install(&self, packages: &[&PackageName]) -> Program {
        self.program("apt-get")
            // What is downgraded, removed or held is judged by us, with a reason that names it.
            .args(["--yes", "--no-install-recommends", "--allow-downgrades", "--allow-change-held-packages"])
            .args(["--allow-remove-essential", "install"])
            // By a version number it might take another source's package that has the same.
            .args(packages.iter().map(|name| format!("{name}/{SUITE}")))
    }

    /// What apt would do to install these; nothing is changed.
    pub(crate) fn simulate(&self, packages: &[&PackageName]) -> Result<Vec<Step>, AptError> {
        self.simulate_with(packages, &[])
    }

    /// What it would do if no package were held.
    pub(crate) fn simulate_without_holds(&self, packages: &[&PackageName]) -> Result<Vec<Step>, AptError> {
        self.simulate_with(packages, &["--ignore-hold"])
    }

    fn simulate_with(&self, packages: &[&PackageName], options: &[&str]) -> Result<Vec<Step>, AptError> {
        let finished = self.install(packages).arg("--simulate").args(options).run(TIMEOUT, &self.log)?;
        if finished.is_success() {
            return Ok(lines::steps(&finished.output)?);
        }
        Err(AptError::Refused { reason: lines::complaint(&finished.output), has_lists: self.has_lists() })
    }

    /// Where the files of the same plan are.
    pub(crate) fn locate(&self, packages: &[&PackageName]) -> Result<Vec<Location>, AptError> {
        let finished = self.install(packages).args(["-qq", "--print-uris"]).run(TIMEOUT, &self.log)?;
        if finished.is_success() {
            return Ok(lines::locations(&finished.output)?);
        }
        Err(AptError::Ask(finished.describe()))
    }

    /// What the lists say about these packages.
    pub(crate) fn show(&self, wishes: &[ExactVersion]) -> Result<Vec<PackageEntry>, AptError> {
        let program =
            self.program("apt-cache").stderr_apart().arg("show").args(wishes.iter().map(ExactVersion::argument));
        let finished = program.run(TIMEOUT, &self.log)?;
        if !finished.is_success() {
            return Err(AptError::Ask(finished.describe()));
        }
        let stanzas =
            Stanza::parse_all(&finished.output)?.into_iter().filter(|stanza| stanza.get("Filename").is_some());
        let entries = stanzas.map(|mut stanza| {
            // A list with translations has none under this name.
            if stanza.get("Description").is_none() {
                stanza.set("Description", "none");
            }
            PackageEntry::from_stanza(&stanza)
        });
        Ok(entries.collect::<Result<_, _>>()?)
    }

    /// Downloads packages of the device's own sources: apt takes only what a list names that it verified. Gives the files,
    /// under names that apt gave them, until the next call.
    pub(crate) fn download(&self, wishes: &[ExactVersion], bytes: u64) -> Result<Vec<PathBuf>, AptError> {
        let folder = self.downloads();
        self.make_folder(&folder)?;
        let longest = Duration::from_secs(60 + bytes / SLOWEST_RATE);
        let program = self.program("apt-get").current_dir(&folder).args(limits(self.rate_limit)).arg("download");
        let finished = program.args(wishes.iter().map(ExactVersion::argument)).run(longest, &self.log)?;
        if !finished.is_success() {
            return Err(AptError::Download(finished.describe()));
        }
        let list = || -> io::Result<Vec<PathBuf>> {
            folder.read_dir()?.map(|entry| entry.map(|entry| entry.path())).collect()
        };
        list().map_err(|cause| AptError::Prepare { path: folder.clone(), cause })
    }

    fn downloads(&self) -> PathBuf {
        self.folder.join("downloads")
    }

    fn has_lists(&self) -> bool {
        let folder = self.device.root.join("var/lib/apt/lists");
        let names = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.into_iter().any(|name| name.to_string_lossy().contains("_Packages"))
    }
}

/// apt.conf(5): `Dl-Limit`, in kilobytes a second.
fn limits(rate_limit: Option<u64>) -> Vec<String> {
    let limit = |rate: u64, scheme: &str| format!("-oAcquire::{scheme}::Dl-Limit={}", (rate / 1024).max(1));
    rate_limit.into_iter().flat_map(|rate| ["http", "https"].map(|scheme| limit(rate, scheme))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_is_told_how_fast_it_may_download() {
        assert_eq!(limits(Some(200 << 10)), ["-oAcquire::http::Dl-Limit=200", "-oAcquire::https::Dl-Limit=200"]);
        assert_eq!(limits(Some(1))[0], "-oAcquire::http::Dl-Limit=1", "0 would be none");
        assert!(limits(None).is_empty());
    }
}
