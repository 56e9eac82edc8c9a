//! dpkg: what is installed, and how verified packages get installed.

use super::apt::Target;
use super::process::{ProcessError, Program};
use super::sequence::DpkgCall;
use super::{Device, ScriptMode};
use crate::repository::VerifiedPackage;
use crate::transaction::RemovedPackage;
use debian_formats::names::NameError;
use debian_formats::version::VersionError;
use debian_formats::{Architecture, PackageName, Version};
use rustix::fs::{FlockOperation, fcntl_lock};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A package in dpkg's database that is not merely remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstalledPackage {
    pub(crate) name: PackageName,
    /// None for a package that its maker gave none; dpkg takes it all the same.
    pub(crate) architecture: Option<Architecture>,
    pub(crate) version: Version,
    /// dpkg's three words, such as `install ok installed`.
    pub(crate) status: String,
    /// The device does not work without it: Essential, Protected or Important.
    pub(crate) is_essential: bool,
    /// Its field Provides.
    pub(crate) provides: String,
    /// Bytes that it occupies, as it says itself.
    pub(crate) size: u64,
}

impl InstalledPackage {
    /// Whether dpkg holds it for whole: unpacked, configured, no trigger pending.
    pub(crate) fn is_sound(&self) -> bool {
        self.status.ends_with(" ok installed")
    }

    /// Whether the owner wants it to stay as it is.
    pub(crate) fn is_held(&self) -> bool {
        self.status.starts_with("hold ")
    }

    /// Whether apt, on a machine of this architecture, means this one.
    pub(crate) fn is(&self, target: &Target, native: &Architecture) -> bool {
        let wanted = target.architecture.as_ref().unwrap_or(native);
        let fits = |own: &Architecture| own == wanted || own.is_all();
        self.name == target.name && self.architecture.as_ref().is_none_or(fits)
    }
}

/// What dpkg could not do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DpkgError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("{command} failed: {outcome}")]
    Failed { command: String, outcome: String },
    #[error("dpkg-query printed a line that cannot be read: {0:?}")]
    Line(String),
    #[error("dpkg-query: {0}")]
    Name(#[from] NameError),
    #[error("dpkg-query: {0}")]
    Version(#[from] VersionError),
    #[error("{0} is not installed wholly after dpkg said it was done ({1})")]
    NotInstalled(String, String),
    #[error("dpkg says that it was done, and left {0} behind, which it could not remove; the disk may be failing")]
    LeftBehind(PathBuf),
    #[error("{0} is still installed after dpkg said it was removed")]
    NotRemoved(String),
    #[error(
        "dpkg's database was left broken by somebody else ({packages}), and `dpkg --configure -a` did not mend it; mend it by hand, then try again"
    )]
    BrokenBefore { packages: String },
    #[error("another program (apt or dpkg) is using the package database {path}; try again when it is done")]
    Busy { path: PathBuf },
    #[error("could not lock {path}: {cause}")]
    Lock { path: PathBuf, cause: std::io::Error },
}

/// Between two looks at a lock that another program holds.
const PAUSE: Duration = Duration::from_millis(250);

/// dpkg in one root.
#[derive(Debug, Clone)]
pub(crate) struct Dpkg {
    device: Device,
    log: PathBuf,
}

/// dpkg's frontend lock: while it is held, no other apt or dpkg runs in this root.
#[derive(Debug)]
pub(crate) struct FrontendLock {
    _file: File,
}

impl Dpkg {
    /// `log` receives the output of the last program.
    pub(crate) fn new(device: Device, log: PathBuf) -> Self {
        Self { device, log }
    }

    /// The machine's own architecture.
    pub(crate) fn architecture(&self) -> Result<Architecture, DpkgError> {
        let output = self.succeed(Program::new("dpkg").arg("--print-architecture"), "dpkg --print-architecture")?;
        Ok(output.trim().parse()?)
    }

    /// Takes the lock that apt and dpkg take first, or says who has it.
    pub(crate) fn lock(&self) -> Result<FrontendLock, DpkgError> {
        let path = self.device.root.join("var/lib/dpkg/lock-frontend");
        let lock_error = |cause| DpkgError::Lock { path: path.clone(), cause };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(lock_error)?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(FrontendLock { _file: file }),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Err(DpkgError::Busy { path }),
            Err(error) => Err(lock_error(error.into())),
        }
    }

    /// Takes the lock as soon as whoever has it is done, or says after a while who has it.
    pub(crate) fn wait_for_lock(&self, longest: Duration) -> Result<FrontendLock, DpkgError> {
        let deadline = Instant::now() + longest;
        let mut announced = false;
        loop {
            match self.lock() {
                Err(DpkgError::Busy { path }) if Instant::now() < deadline => {
                    if !announced {
                        tracing::warn!("another program (apt or dpkg) is using {}; waiting for it", path.display());
                        announced = true;
                    }
                    std::thread::sleep(PAUSE);
                }
                other => return other,
            }
        }
    }

    /// Every package that is more than a memory of its configuration.
    pub(crate) fn installed(&self) -> Result<Vec<InstalledPackage>, DpkgError> {
        // First and last stand fields that are never empty: space around the whole output is not kept.
        const FORMAT: &str = "${Package}\t${Architecture}\t${Version}\t${Essential} ${Protected} ${Important}\t${Installed-Size}\t${Provides}\t${Status}\n";
        let program = Program::new("dpkg-query").arg("--admindir").arg(self.admin_dir()).args(["-W", "-f", FORMAT]);
        let output = self.succeed(program, "dpkg-query -W")?;
        let packages = output.lines().filter(|line| !line.trim().is_empty()).map(parse_line);
        packages.filter_map(Result::transpose).collect()
    }

    /// Mends what others left half-done, or says that it is not mended. `dpkg --configure -a` may exit with 0
    /// without having mended anything, so the status fields decide.
    pub(crate) fn heal(&self, mark: &str, _lock: &FrontendLock) -> Result<(), DpkgError> {
        let broken = || -> Result<Vec<String>, DpkgError> {
            let packages = self.installed()?;
            Ok(packages.iter().filter(|p| !p.is_sound()).map(|p| format!("{}: {}", p.name, p.status)).collect())
        };
        if broken()?.is_empty() {
            return Ok(());
        }
        tracing::warn!("dpkg's database is not clean; running dpkg --configure -a");
        self.dpkg().arg("--configure").arg("-a").mark(mark).run(Duration::from_secs(1800), &self.log)?;
        let left = broken()?;
        if left.is_empty() { Ok(()) } else { Err(DpkgError::BrokenBefore { packages: left.join(", ") }) }
    }

    /// Makes these calls; `mark` names the transaction. It believes the status fields rather than the exit code.
    /// Packages outside the set must be as sound as before: a trigger can break them.
    pub(crate) fn install(
        &self,
        calls: &[DpkgCall],
        packages: &[VerifiedPackage],
        removed: &[RemovedPackage],
        timeout: Duration,
        mark: &str,
        _lock: &FrontendLock,
    ) -> Result<(), DpkgError> {
        let began = Instant::now();
        for call in calls {
            let left = Duration::from_secs(timeout.as_secs().saturating_sub(began.elapsed().as_secs()));
            let (program, command) = self.call(call, packages);
            let finished = program.mark(mark).run(left, &self.log)?;
            if !finished.is_success() {
                return Err(DpkgError::Failed { command: command.into(), outcome: finished.describe() });
            }
        }
        let installed = self.installed()?;
        for package in packages {
            let control = package.control();
            let found = installed.iter().find(|found| {
                found.name == *control.package() && found.architecture.as_ref() == Some(control.architecture())
            });
            let sound = found.is_some_and(|found| found.is_sound() && found.version == *control.version());
            if !sound {
                let status = found.map_or("absent".into(), |found| format!("{} {}", found.version, found.status));
                return Err(DpkgError::NotInstalled(control.package().to_string(), status));
            }
        }
        let is_left = |gone: &&RemovedPackage| {
            installed.iter().any(|found| found.name == gone.name && found.architecture == gone.architecture)
        };
        if let Some(left) = removed.iter().find(is_left) {
            return Err(DpkgError::NotRemoved(left.name.to_string()));
        }
        if let Some(broken) = installed.iter().find(|package| !package.is_sound()) {
            return Err(DpkgError::NotInstalled(broken.name.to_string(), broken.status.clone()));
        }
        self.demand_tidiness()
    }

    /// That dpkg could not remove its own working files is only a warning to it. The next dpkg would read some of them
    /// as changes that are still to be made.
    fn demand_tidiness(&self) -> Result<(), DpkgError> {
        let leftovers = ["tmp.ci", "updates/tmp.i", "status-new"].map(|name| self.admin_dir().join(name));
        let left = leftovers.into_iter().find(|path| path.symlink_metadata().is_ok());
        left.map_or(Ok(()), |path| Err(DpkgError::LeftBehind(path)))
    }

    fn call(&self, call: &DpkgCall, packages: &[VerifiedPackage]) -> (Program, &'static str) {
        // Uncompressed, dpkg takes half the time; but a machine may demand signatures of its own, which only the
        // original carries.
        let demands_signatures = Self::demands_signatures();
        let file = |package: &VerifiedPackage| {
            package.uncompressed().filter(|_| !demands_signatures).unwrap_or(package.path()).to_owned()
        };
        let files = |numbers: &[usize]| -> Vec<PathBuf> {
            numbers.iter().filter_map(|number| packages.get(*number)).map(file).collect()
        };
        let names = |targets: &[Target]| -> Vec<String> { targets.iter().map(Target::to_string).collect() };
        // It need not flush each file: a power cut before the flush that precedes the commit ends in a rollback.
        let dpkg = self.dpkg().arg("--force-unsafe-io");
        match call {
            DpkgCall::Install(numbers) => {
                (dpkg.args(["--auto-deconfigure", "--install"]).args(files(numbers)), "dpkg --install")
            }
            DpkgCall::Unpack(numbers) => {
                (dpkg.args(["--auto-deconfigure", "--unpack"]).args(files(numbers)), "dpkg --unpack")
            }
            DpkgCall::Configure(targets) => (dpkg.arg("--configure").args(names(targets)), "dpkg --configure"),
            // What depends on it is unpacked only afterwards; at the end the status fields must be sound.
            DpkgCall::Remove(targets) => {
                (dpkg.args(["--force-depends", "--remove"]).args(names(targets)), "dpkg --remove")
            }
        }
    }

    /// Whether dpkg lets debsig-verify(1) look at each package: where that is installed, unless dpkg.cfg says
    /// `no-debsig`, as Debian's does.
    fn demands_signatures() -> bool {
        let configuration = std::fs::read_to_string("/etc/dpkg/dpkg.cfg").unwrap_or_default();
        Path::new("/usr/bin/debsig-verify").exists() && !configuration.lines().any(|line| line.trim() == "no-debsig")
    }

    fn admin_dir(&self) -> PathBuf {
        self.device.root.join("var/lib/dpkg")
    }

    /// dpkg with the options that keep it from asking: the owner's conffiles stay (as `--force-confold`).
    fn dpkg(&self) -> Program {
        let mut program =
            Program::new("dpkg").env("DPKG_FRONTEND_LOCKED", "true").args(["--force-confdef", "--force-confold"]);
        if !self.device.is_running_system() {
            program = program.arg("--root").arg(&self.device.root);
            if self.device.scripts == ScriptMode::Chrootless {
                program = program.args(["--force-not-root", "--force-script-chrootless"]);
            }
        }
        program
    }

    fn succeed(&self, program: Program, command: &str) -> Result<String, DpkgError> {
        let finished = program.stderr_apart().run(Duration::from_secs(120), &self.log)?;
        if finished.is_success() {
            Ok(finished.output)
        } else {
            Err(DpkgError::Failed { command: command.to_owned(), outcome: finished.describe() })
        }
    }
}

/// A line of dpkg-query; none for a package that is not installed or only left its configuration.
fn parse_line(line: &str) -> Result<Option<InstalledPackage>, DpkgError> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [name, architecture, version, essential, size, provides, status] = fields[..] else {
        return Err(DpkgError::Line(line.chars().take(200).collect()));
    };
    if status.ends_with("not-installed") || status.ends_with("config-files") {
        return Ok(None);
    }
    Ok(Some(InstalledPackage {
        name: name.parse()?,
        architecture: Some(architecture).filter(|text| !text.is_empty()).map(str::parse).transpose()?,
        version: version.parse()?,
        status: status.to_owned(),
        is_essential: essential.contains("yes"),
        provides: provides.to_owned(),
        size: size.parse::<u64>().unwrap_or(0).saturating_mul(1024),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_left_only_its_configuration_is_not_installed() {
        let line = |status: &str| parse_line(&format!("hi\tall\t0.1.0-1\t  \t\t\t{status}")).unwrap();
        assert!(line("install ok installed").unwrap().is_sound());
        assert!(!line("install reinstreq half-installed").unwrap().is_sound());
        assert!(!line("install ok triggers-pending").unwrap().is_sound());
        assert_eq!(line("deinstall ok config-files"), None);
        assert_eq!(line("unknown ok not-installed"), None);
    }
}
