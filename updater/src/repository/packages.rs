//! A downloaded package, believed only when index and package key agree on it.

use crate::transaction::PlannedPackage;
use debian_formats::Version;
use debian_formats::checksums::Sha256Hasher;
use debian_formats::control::Control;
use debian_formats::deb::{Deb, DebError, EntryKind, Harvest, SignatureRole, Uncompressed};
use debian_formats::limits::Limits;
use debian_formats::openpgp::Keyring;
use debian_formats::packages::PackageEntry;
use debian_formats::version::VersionError;
use fleet_protocol::update_policy::{PolicyError, UpdatePolicy, path_in_package};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Why a package is not installed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackageError {
    #[error("could not read {path}: {cause}")]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("refused {name}: the file's size or SHA-256 is not what the signed index says")]
    Content { name: String },
    #[error("refused {name} {version}: {cause}")]
    Deb { name: String, version: Version, cause: DebError },
    #[error("refused {asked}: the file holds {found} instead")]
    OtherPackage { asked: String, found: String },
    #[error(
        "refused {name} {version}: the index gives another {field} than the package itself, so apt planned for another package"
    )]
    Field { name: String, version: Version, field: &'static str },
    #[error("refused {name}: its update policy ({path}) is wrong: {cause}")]
    Policy { name: String, path: String, cause: PolicyError },
    #[error("refused {name}: the rollback floor of its update policy is wrong: {cause}")]
    Floor { name: String, cause: VersionError },
}

/// A .deb that may be installed: of the suite, its content named by the signed index and signed by pinned package keys
/// ([`verify_package`]); or of the device's own apt sources, its content named by a list that apt verified
/// ([`verify_by_list`]). Nothing else makes one, and dpkg is called with nothing else.
#[derive(Debug)]
pub(crate) struct VerifiedPackage {
    path: PathBuf,
    uncompressed: Option<PathBuf>,
    control: Control,
    policy: UpdatePolicy,
    paths: Vec<String>,
    privileged: Vec<(String, u32)>,
}

impl VerifiedPackage {
    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The same package, with the very data.tar that was checked, for dpkg to install without unpacking it again. It
    /// carries no signatures. None: there is not the room to be generous.
    pub(crate) fn uncompressed(&self) -> Option<&Path> {
        self.uncompressed.as_deref()
    }

    /// Its control file.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// What it says about its own update.
    pub(crate) fn policy(&self) -> &UpdatePolicy {
        &self.policy
    }

    /// Its files that are setuid or setgid, with their modes.
    pub(crate) fn privileged(&self) -> &[(String, u32)] {
        &self.privileged
    }

    /// Every path in it, relative to the root.
    pub(crate) fn paths(&self) -> &[String] {
        &self.paths
    }
}

/// Of the free room, this part may be taken to save dpkg the unpacking: the snapshot and the installation come first.
const ROOM_SHARE: u64 = 8;
/// The same of the machine's memory, to unpack faster; dpkg would take half of it.
const MEMORY_SHARE: u128 = 4;
const BUFFER: usize = 1 << 17;

/// setuid and setgid: whoever runs such a file becomes its owner or its group.
const PRIVILEGED: u32 = 0o6000;

/// What an index vouches for. Its MD5 sums vouch for nothing and cost time.
fn size_and_sha256(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut size, mut hasher, mut buffer) = (0, Sha256Hasher::default(), vec![0; BUFFER]);
    loop {
        let got = file.read(&mut buffer)?;
        if got == 0 {
            return Ok((size, hasher.finish()));
        }
        size += got as u64;
        hasher.update(&buffer[..got]);
    }
}

/// What decides which other packages come, stay or go. apt planned by what the index says of them, and that only the
/// repository key signed.
const PLANNED_BY: [&str; 9] =
    ["Depends", "Pre-Depends", "Conflicts", "Breaks", "Replaces", "Provides", "Essential", "Protected", "Multi-Arch"];

/// Checks a downloaded file of the suite against the plan, its entry in the index and the pinned package keys.
pub(crate) fn verify_package(
    path: &Path,
    planned: &PlannedPackage,
    entry: &PackageEntry,
    trusted: &Keyring,
    required: &[SignatureRole],
) -> Result<VerifiedPackage, PackageError> {
    let name = planned.name.to_string();
    let refused = |cause| PackageError::Deb { name: name.clone(), version: planned.to.clone(), cause };
    let deb = open(path, planned, entry)?.verify(trusted, required).map_err(refused)?;
    let control = deb.control().clone();
    for field in PLANNED_BY {
        let words = |control: &Control| -> Option<Vec<String>> {
            let value = control.stanza().get(field).filter(|value| !value.is_empty());
            value.map(|value| value.split_whitespace().map(str::to_owned).collect())
        };
        if words(&control) != words(entry.control()) {
            return Err(PackageError::Field { name, version: planned.to.clone(), field });
        }
    }
    let policy_path = path_in_package(planned.name.as_str());
    let policy =
        match deb.read_file(&policy_path).map_err(refused)? {
            None => UpdatePolicy::default(),
            Some(bytes) => UpdatePolicy::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|cause| PackageError::Policy { name: name.clone(), path: policy_path, cause })?,
        };
    // It counts from the commit on; that it can be read then is known now.
    let rollback_floor = policy.rollback_floor.as_deref().map(str::parse::<Version>).transpose();
    rollback_floor.map_err(|cause| PackageError::Floor { name, cause })?;
    let (path, uncompressed) = (path.to_owned(), deb.uncompressed().map(Path::to_owned));
    Ok(VerifiedPackage { path, uncompressed, control, policy, paths: paths(&deb), privileged: privileged(&deb) })
}

/// Checks a file that apt downloaded against the plan and the entry of the list that apt verified. It carries no
/// signature of ours, so no update policy in it counts.
pub(crate) fn verify_by_list(
    path: &Path,
    planned: &PlannedPackage,
    entry: &PackageEntry,
) -> Result<VerifiedPackage, PackageError> {
    let deb = open(path, planned, entry)?;
    let (control, policy) = (deb.control().clone(), UpdatePolicy::default());
    let (paths, privileged) = (paths(&deb), privileged(&deb));
    let (path, uncompressed) = (path.to_owned(), deb.uncompressed().map(Path::to_owned));
    Ok(VerifiedPackage { path, uncompressed, control, policy, paths, privileged })
}

/// Opens a file that has the size and SHA-256 of its entry and holds what was planned.
fn open(path: &Path, planned: &PlannedPackage, entry: &PackageEntry) -> Result<Deb, PackageError> {
    let read_error = |cause| PackageError::Read { path: path.to_owned(), cause };
    let name = planned.name.to_string();
    if size_and_sha256(path).map_err(read_error)? != (entry.size(), entry.sha256().to_owned()) {
        return Err(PackageError::Content { name });
    }
    let policy_path = path_in_package(planned.name.as_str());
    let uncompressed_path = path.with_extension("uncompressed.deb");
    let max_bytes =
        rustix::fs::statvfs(path).map_or(0, |room| room.f_bavail.saturating_mul(room.f_frsize) / ROOM_SHARE);
    let uncompressed = Some(Uncompressed { path: &uncompressed_path, max_bytes });
    let memory = rustix::system::sysinfo();
    let memory = u128::from(memory.totalram) * u128::from(memory.mem_unit) / MEMORY_SHARE;
    let memory = u64::try_from(memory).unwrap_or(u64::MAX);
    let harvest = Harvest { file: Some(&policy_path), uncompressed, memory };
    let version = planned.to.clone();
    let deb = Deb::open_and_take(path, Limits::DEFAULT, &harvest).map_err(|cause| PackageError::Deb {
        name,
        version,
        cause,
    })?;
    let control = deb.control();
    if *control.package() != planned.name
        || control.version().as_str() != planned.to.as_str()
        || *control.architecture() != planned.architecture
    {
        return Err(PackageError::OtherPackage {
            asked: format!("{} {} {}", planned.name, planned.to, planned.architecture),
            found: format!("{} {} {}", control.package(), control.version(), control.architecture()),
        });
    }
    Ok(deb)
}

fn privileged(deb: &Deb) -> Vec<(String, u32)> {
    let files = deb.entries().iter().filter(|entry| entry.kind == EntryKind::File && entry.mode & PRIVILEGED != 0);
    files.map(|entry| (entry.path.clone(), entry.mode)).collect()
}

fn paths(deb: &Deb) -> Vec<String> {
    deb.entries().iter().map(|entry| entry.path.clone()).collect()
}
