//! A downloaded package, believed only when index and package key agree on it.

use crate::transaction::PlannedPackage;
use debian_formats::Version;
use debian_formats::checksums::Sha256Hasher;
use debian_formats::control::Control;
use debian_formats::deb::{Deb, DebError, Harvest, SignatureRole, Uncompressed, VerifiedDeb};
use debian_formats::limits::Limits;
use debian_formats::openpgp::Keyring;
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
    #[error("refused {name}: its update policy ({path}) is wrong: {cause}")]
    Policy { name: String, path: String, cause: PolicyError },
    #[error("refused {name}: the rollback floor of its update policy is wrong: {cause}")]
    Floor { name: String, cause: VersionError },
}

/// A .deb whose content the signed index names and whose signatures pinned package keys made. Only
/// [`verify_package`] makes one, and dpkg is called with nothing else.
#[derive(Debug)]
pub(crate) struct VerifiedPackage {
    deb: VerifiedDeb,
    policy: UpdatePolicy,
    paths: Vec<String>,
}

impl VerifiedPackage {
    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        self.deb.path()
    }

    /// The same package, with the very data.tar that was checked, for dpkg to install without unpacking it again. It
    /// carries no signatures. None: there is not the room to be generous.
    pub(crate) fn uncompressed(&self) -> Option<&Path> {
        self.deb.uncompressed()
    }

    /// Its control file.
    pub(crate) fn control(&self) -> &Control {
        self.deb.control()
    }

    /// What it says about its own update.
    pub(crate) fn policy(&self) -> &UpdatePolicy {
        &self.policy
    }

    /// Every path in it, relative to the root.
    pub(crate) fn paths(&self) -> &[String] {
        &self.paths
    }
}

/// Of the free room, this part may be taken to save dpkg the unpacking: the snapshot and the installation come first.
const ROOM_SHARE: u64 = 8;
const BUFFER: usize = 1 << 17;

/// What the index vouches for. Its MD5 sums vouch for nothing and cost time.
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

/// Checks a downloaded file against the plan and the pinned package keys.
pub(crate) fn verify_package(
    path: &Path,
    planned: &PlannedPackage,
    trusted: &Keyring,
    required: &[SignatureRole],
) -> Result<VerifiedPackage, PackageError> {
    let name = planned.name.to_string();
    let read_error = |cause| PackageError::Read { path: path.to_owned(), cause };
    if size_and_sha256(path).map_err(read_error)? != (planned.size, planned.sha256.clone()) {
        return Err(PackageError::Content { name });
    }
    let refused = |cause| PackageError::Deb { name: name.clone(), version: planned.to.clone(), cause };
    let policy_path = path_in_package(planned.name.as_str());
    let uncompressed_path = path.with_extension("uncompressed.deb");
    let max_bytes =
        rustix::fs::statvfs(path).map_or(0, |room| room.f_bavail.saturating_mul(room.f_frsize) / ROOM_SHARE);
    let harvest =
        Harvest { file: Some(&policy_path), uncompressed: Some(Uncompressed { path: &uncompressed_path, max_bytes }) };
    let deb = Deb::open_and_take(path, Limits::DEFAULT, &harvest).map_err(refused)?;
    let deb = deb.verify(trusted, required).map_err(refused)?;
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
    let paths = deb.entries().iter().map(|entry| entry.path.clone()).collect();
    let policy =
        match deb.read_file(&policy_path).map_err(refused)? {
            None => UpdatePolicy::default(),
            Some(bytes) => UpdatePolicy::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|cause| PackageError::Policy { name: name.clone(), path: policy_path, cause })?,
        };
    // It counts from the commit on; that it can be read then is known now.
    let rollback_floor = policy.rollback_floor.as_deref().map(str::parse::<Version>).transpose();
    rollback_floor.map_err(|cause| PackageError::Floor { name, cause })?;
    Ok(VerifiedPackage { deb, policy, paths })
}
