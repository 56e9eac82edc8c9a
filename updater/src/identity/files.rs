//! What of the identity is on the disk. Each file is written as a whole, durably, and is for the owner only.

use durable_files::{DurableError, Lock};
use fleet_protocol::names::{CertificateId, ThingName};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Who the device is. A file of its own holds all of it, so that key, certificate and name always belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Identity {
    pub(crate) thing: ThingName,
    /// In PEM, or the URI of a key on a token.
    pub(crate) key: String,
    /// In PEM.
    pub(crate) certificate: String,
    /// What the provisioning template has for the device.
    #[serde(default)]
    pub(crate) configuration: Map<String, Value>,
}

/// A provisioning that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Unfinished {
    pub(crate) key: String,
    /// Once there is one.
    pub(crate) issued: Option<Issued>,
}

/// A certificate that was made for the device and is not registered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) certificate_id: CertificateId,
    /// Proves that it was this device that asked for it.
    pub(crate) ownership_token: String,
    /// By the device's clock.
    pub(crate) at: Timestamp,
}

/// An identity that cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("could not read {path}: {cause}")]
    Read { path: PathBuf, cause: io::Error },
    #[error(
        "{path} does not hold what the updater wrote there: {cause}; move it away, and `debfleet-updater provision` \
         makes the device a new identity"
    )]
    Content { path: PathBuf, cause: serde_json::Error },
    #[error(transparent)]
    Write(#[from] DurableError),
}

/// The folder of the identity.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    folder: PathBuf,
}

/// Secrets.
const MODE: u32 = 0o600;

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.folder.display().fmt(f)
    }
}

impl Store {
    /// Within the updater's state folder.
    pub(crate) fn of(state_dir: &Path) -> Self {
        Self { folder: state_dir.join("identity") }
    }

    /// Held by whoever makes or renews the identity.
    pub(super) fn alone(&self) -> Result<Lock, IdentityError> {
        durable_files::create_dir(&self.folder, 0o700)?;
        Ok(Lock::acquire(&self.folder.join("lock"))?)
    }

    /// The device's key in PEM, for other programs such as a local broker's bridge.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("device.key")
    }

    /// The device's certificate, for the same.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("device.pem")
    }

    pub(crate) fn identity(&self) -> Result<Option<Identity>, IdentityError> {
        read(&self.folder.join("identity.json"))
    }

    pub(super) fn unfinished(&self) -> Result<Option<Unfinished>, IdentityError> {
        read(&self.unfinished_path())
    }

    pub(super) fn keep_unfinished(&self, unfinished: &Unfinished) -> Result<(), IdentityError> {
        self.write(&self.unfinished_path(), unfinished)
    }

    /// From now on the device is this one.
    pub(super) fn take_on(&self, identity: &Identity) -> Result<(), IdentityError> {
        self.write(&self.folder.join("identity.json"), identity)?;
        self.show(identity)?;
        Ok(durable_files::remove(&self.unfinished_path())?)
    }

    /// Key and certificate as files of their own. They follow the identity; a power cut may leave them behind it.
    pub(crate) fn show(&self, identity: &Identity) -> Result<(), IdentityError> {
        for (path, text, mode) in
            [(self.key(), &identity.key, MODE), (self.certificate(), &identity.certificate, 0o644)]
        {
            if std::fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
                durable_files::replace(&path, text.as_bytes(), mode)?;
            }
        }
        Ok(())
    }

    fn unfinished_path(&self) -> PathBuf {
        self.folder.join("provisioning.json")
    }

    fn write(&self, path: &Path, value: &impl Serialize) -> Result<(), IdentityError> {
        let content = |cause| IdentityError::Content { path: path.to_owned(), cause };
        durable_files::create_dir(&self.folder, 0o700)?;
        Ok(durable_files::replace(path, &serde_json::to_vec_pretty(value).map_err(content)?, MODE)?)
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, IdentityError> {
    match std::fs::read(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(IdentityError::Read { path: path.to_owned(), cause }),
        Ok(bytes) => {
            let content = |cause| IdentityError::Content { path: path.to_owned(), cause };
            serde_json::from_slice(&bytes).map(Some).map_err(content)
        }
    }
}
