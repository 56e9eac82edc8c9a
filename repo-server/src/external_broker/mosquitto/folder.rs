//! The folder that Mosquitto is configured from: written at the start, and kept up to date as policies, things and
//! certificates change.

use super::acl::{AccessList, access_list, requests};
use super::conf::{
    ACCESS_LIST, AUTHORITY, CERTIFICATE, CONFIGURATION, KEY, Listeners, OWN_SETTINGS, PROCESS, REVOCATION_LIST,
    configuration,
};
use crate::certificates::{Certificates, CertificatesError, Refused};
use crate::data_dir::DataDir;
use crate::fleet_ca::{Authority, CertificateError, FleetCa, PemIdentity, RENEWAL_INTERVAL};
use crate::policies::{Policies, PolicyError};
use durable_files::DurableError;
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::Instant;

/// Two lists of certificates must not be of the same second: the older one would stay in force.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// Of the time that this may take of the server's.
const SHARE: u32 = 5;
/// Certificates begin and end without anybody's doing.
const LOOK_INTERVAL: Duration = Duration::from_secs(3600);
/// After what could not be written.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// Everybody may read it.
const PUBLIC: u32 = 0o644;
/// Its owner and Mosquitto's group.
const SECRET: u32 = 0o640;
/// What is made in it belongs to its group.
const FOLDER: u32 = 0o2750;

/// A folder that cannot be kept up to date.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be put into a configuration.
    #[error("broker-folder {0:?} has a control character in its name, which Mosquitto's configuration cannot hold")]
    Name(PathBuf),
    /// It cannot be made.
    #[error("could not make broker-folder {path}: {source}")]
    Place {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file in it cannot be written.
    #[error(
        "could not write Mosquitto's configuration: {0}; broker-folder must be a folder that this server may write to"
    )]
    Write(#[from] DurableError),
    /// The authority does not sign.
    #[error("could not make Mosquitto's certificates: {0}")]
    Authority(#[from] CertificateError),
    /// The certificates cannot be read.
    #[error("could not make Mosquitto's list of rights: {0}")]
    Certificates(String),
    /// The policies cannot be read.
    #[error("could not make Mosquitto's list of rights: {0}")]
    Policies(String),
    /// The server ends.
    #[error("the server is being stopped")]
    Stopped,
}

impl From<CertificatesError> for FolderError {
    fn from(error: CertificatesError) -> Self {
        Self::Certificates(error.to_string())
    }
}

impl From<PolicyError> for FolderError {
    fn from(error: PolicyError) -> Self {
        Self::Policies(error.to_string())
    }
}

/// What the folder's files are made of.
pub(in crate::external_broker) struct Sources {
    pub(in crate::external_broker) data: DataDir,
    pub(in crate::external_broker) authority: Arc<Authority>,
    pub(in crate::external_broker) certificates: Arc<Certificates>,
    pub(in crate::external_broker) policies: Arc<Policies>,
    /// Becomes another number when things, groups or attachments change.
    pub(in crate::external_broker) registry: watch::Receiver<i64>,
    /// The names of Mosquitto's certificate.
    pub(in crate::external_broker) names: Vec<String>,
    pub(in crate::external_broker) mqtts: u16,
    pub(in crate::external_broker) websockets: Option<u16>,
}

/// What is written, so that only changes are written anew.
#[derive(Default)]
struct Written {
    list: AccessList,
    refused: Option<Vec<Refused>>,
    certificate: Option<Instant>,
}

/// The folder.
pub(in crate::external_broker) struct Folder {
    path: PathBuf,
    sources: Sources,
    written: Written,
    /// Whether there can be a list of certificates that do not count.
    has_revocation_list: bool,
    /// That Mosquitto could not be told was said.
    told: bool,
}

impl Folder {
    /// Writes everything.
    pub(in crate::external_broker) async fn open(path: &Path, sources: Sources) -> Result<Self, FolderError> {
        let path = std::path::absolute(path).map_err(|source| FolderError::Place { path: path.to_owned(), source })?;
        if path.to_string_lossy().chars().any(char::is_control) || path.to_str().is_none() {
            return Err(FolderError::Name(path));
        }
        create_dir(&path)?;
        create_dir(&path.join(OWN_SETTINGS))?;
        let mut folder = Self { path, sources, written: Written::default(), has_revocation_list: false, told: false };
        let authority = folder.sources.authority.pem()?;
        folder.write(AUTHORITY, &authority, PUBLIC)?;
        folder.has_revocation_list = folder.can_revoke(&authority).await?;
        folder.refresh().await?;
        let listeners = Listeners {
            mqtts: folder.sources.mqtts,
            websockets: folder.sources.websockets,
            has_revocation_list: folder.has_revocation_list,
        };
        folder.write(CONFIGURATION, &configuration(&folder.path, &listeners), PUBLIC)?;
        folder.tell_mosquitto();
        Ok(folder)
    }

    /// Keeps it up to date, for ever.
    pub(in crate::external_broker) async fn keep(mut self) {
        let mut policies = self.sources.policies.generation();
        let mut registry = self.sources.registry.clone();
        let mut certificates = self.sources.certificates.changes();
        let mut pause = SHORTEST_INTERVAL;
        loop {
            // What changes meanwhile is seen by the next look. No sooner, so that many changes are one.
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            pause = match self.refresh().await {
                Ok(changed) => {
                    if changed {
                        self.tell_mosquitto();
                    }
                    (began.elapsed() * SHARE).max(SHORTEST_INTERVAL)
                }
                Err(error) => {
                    tracing::error!(%error, folder = %self.path.display(), "Mosquitto goes on with what it has; tries again");
                    RETRY_INTERVAL
                }
            };
            if pause == RETRY_INTERVAL {
                continue;
            }
            tokio::select! {
                Ok(()) = policies.changed() => {}
                Ok(()) = registry.changed() => {}
                changed = certificates.recv() => {
                    if matches!(changed, Err(RecvError::Closed)) {
                        return;
                    }
                }
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    /// Writes what has changed, and gives whether anything has.
    async fn refresh(&mut self) -> Result<bool, FolderError> {
        let now = Timestamp::now();
        let mut changed = false;
        if self.written.certificate.is_none_or(|at| at.elapsed() >= RENEWAL_INTERVAL) {
            let names = self.sources.names.clone();
            let PemIdentity { chain, key } = self.authority(move |ca| ca.certify_broker(&names, now)).await?;
            self.write(KEY, &key, SECRET)?;
            self.write(CERTIFICATE, &chain, PUBLIC)?;
            (self.written.certificate, changed) = (Some(Instant::now()), true);
        }
        let refused = self.sources.certificates.refused(now).await?;
        if self.has_revocation_list && self.written.refused.as_ref() != Some(&refused) {
            let list = refused.clone();
            let text = self.authority(move |ca| ca.revocation_list(&list, now)).await?;
            self.write(REVOCATION_LIST, &text, PUBLIC)?;
            (self.written.refused, changed) = (Some(refused), true);
        }
        let requests = requests();
        let mut all = Vec::new();
        for named in self.sources.certificates.by_common_name(now).await? {
            let grants = self.sources.policies.grants(&named.id, &named.common_name, &requests).await?;
            all.push((named.common_name, grants));
        }
        let list = access_list(all);
        if self.written.list.text != list.text {
            self.write(ACCESS_LIST, &list.text, SECRET)?;
            self.report(&list);
            (self.written.list, changed) = (list, true);
        }
        Ok(changed)
    }

    /// Says in the log what the list does not say, once.
    fn report(&self, list: &AccessList) {
        for gap in list.gaps.difference(&self.written.list.gaps) {
            tracing::warn!(%gap, "Mosquitto's list of rights says less than a policy");
        }
        for line in list.left_out.difference(&self.written.list.left_out) {
            tracing::warn!("Mosquitto's list of rights: {line}");
        }
    }

    /// Whether the authority may sign a list of those that do not count. Without one they still have no rights.
    async fn can_revoke(&self, authority: &str) -> Result<bool, FolderError> {
        if CertificateDer::pem_slice_iter(authority.as_bytes()).count() > 1 {
            tracing::warn!(
                "the fleet CA's file has several certificates, and one signs no list for another: Mosquitto lets revoked \
                 certificates connect, without any rights"
            );
            return Ok(false);
        }
        match self.authority(|ca| ca.revocation_list(&[], Timestamp::now())).await {
            Ok(_) => Ok(true),
            Err(FolderError::Authority(error @ CertificateError::Make { .. })) => {
                tracing::warn!(%error, "Mosquitto lets revoked certificates connect, without any rights");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Has the authority do something; its key may be behind a slow command.
    async fn authority<T: Send + 'static>(
        &self,
        act: impl FnOnce(&FleetCa) -> Result<T, CertificateError> + Send + 'static,
    ) -> Result<T, FolderError> {
        let data = self.sources.data.clone();
        let acted = tokio::task::spawn_blocking(move || act(&FleetCa::load(&data)?)).await;
        Ok(acted.map_err(|_| FolderError::Stopped)??)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), FolderError> {
        Ok(durable_files::replace(&self.path.join(name), text.as_bytes(), mode)?)
    }

    /// Has Mosquitto read its files again, if it runs.
    fn tell_mosquitto(&mut self) {
        let Some(process) = running(&self.path.join(PROCESS)) else { return };
        match kill_process(process, Signal::HUP) {
            Ok(()) => tracing::debug!("Mosquitto reads its rights again"),
            // Whoever runs it as another user has it told otherwise.
            Err(error) if !self.told => {
                self.told = true;
                tracing::warn!(
                    %error,
                    "Mosquitto could not be told to read its rights again; have it reload when {} changes, as \
                     examples/mosquitto does",
                    self.path.join(ACCESS_LIST).display()
                );
            }
            Err(_) => {}
        }
    }
}

/// A folder for Mosquitto's group, too, whatever the server keeps from others elsewhere. One that is there stays as it is.
fn create_dir(path: &Path) -> Result<(), FolderError> {
    if path.is_dir() {
        return Ok(());
    }
    durable_files::create_dir(path, FOLDER)?;
    let opened = std::fs::set_permissions(path, Permissions::from_mode(FOLDER));
    opened.map_err(|source| FolderError::Place { path: path.to_owned(), source })
}

/// The process of that file, if it is Mosquitto: another one may have its number by now.
fn running(file: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(file).ok()?;
    let number = text.trim().parse::<i32>().ok().filter(|number| *number > 1)?;
    let name = std::fs::read_to_string(format!("/proc/{number}/comm")).ok()?;
    (name.trim() == "mosquitto").then(|| Pid::from_raw(number)).flatten()
}
