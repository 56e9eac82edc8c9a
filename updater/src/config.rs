//! The updater's configuration: one TOML file, read once and checked.

use crate::repository::Credentials;
use crate::system::ScriptMode;
use debian_formats::deb::SignatureRole;
use debian_formats::names::{NameError, SuiteName};
use debian_formats::openpgp::{Keyring, OpenPgpError};
use debian_formats::{Architecture, PackageName};
use serde::Deserialize;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawConfig {
    repository: String,
    suite: SuiteName,
    packages: Vec<PackageName>,
    repository_keyring: PathBuf,
    package_keyring: PathBuf,
    #[serde(default = "default_signatures")]
    required_signatures: Vec<SignatureRole>,
    architecture: Option<Architecture>,
    ca: Option<PathBuf>,
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    #[serde(default = "default_poll_interval")]
    poll_interval: u64,
    #[serde(default)]
    scripts: ScriptMode,
    #[serde(default = "default_install_timeout")]
    install_timeout: u64,
}

fn default_signatures() -> Vec<SignatureRole> {
    vec![SignatureRole::origin()]
}

fn default_poll_interval() -> u64 {
    3600
}

fn default_install_timeout() -> u64 {
    1800
}

/// The configuration, checked. Keys are loaded by who needs them: an interrupted update must be ended, and a status
/// told, also where a keyring is broken.
#[derive(Debug)]
pub(crate) struct Config {
    /// Such as `https://updates.example.org/debian`, without a slash at its end.
    pub(crate) repository: String,
    pub(crate) suite: SuiteName,
    /// Those that `check` and `run` keep up to date.
    pub(crate) packages: Vec<PackageName>,
    repository_keyring: PathBuf,
    package_keyring: PathBuf,
    pub(crate) required_signatures: Vec<SignatureRole>,
    /// None: ask dpkg.
    pub(crate) architecture: Option<Architecture>,
    /// PEM of the authority that signed the server's certificate; none: the system's.
    pub(crate) ca: Option<PathBuf>,
    /// What is shown to a repository that is not for everybody.
    pub(crate) credentials: Credentials,
    /// The device's file system: `/`, or another folder for an own root.
    pub(crate) root: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) poll_interval: Duration,
    pub(crate) scripts: ScriptMode,
    pub(crate) install_timeout: Duration,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("could not read {what} {path}: {cause}")]
    Read { what: &'static str, path: PathBuf, cause: std::io::Error },
    #[error("{path}: {problem}")]
    Syntax { path: PathBuf, problem: String },
    #[error("{path}: {key} {problem}")]
    Value { path: PathBuf, key: &'static str, problem: String },
    #[error("could not use the keyring {path} ({key}): {cause}")]
    Keyring { path: PathBuf, key: &'static str, cause: OpenPgpError },
}

/// Where the updater keeps its journal, snapshot and downloads, within the device's root.
const STATE_DIR: &str = "var/lib/debfleet";

/// What recovery needs of the file, and takes also from one that is otherwise broken.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct RecoveryConfig {
    state_dir: Option<PathBuf>,
    scripts: ScriptMode,
}

impl Config {
    /// What is needed to end an interrupted update, also where the file is broken or gone. It names no repository and
    /// no packages.
    pub(crate) fn for_recovery(path: &Path, root: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read(path).unwrap_or_default();
        let recovery = recovery_config(&String::from_utf8_lossy(&text));
        let root = canonical_root(root)?;
        let suite = "none".parse().map_err(|error: NameError| ConfigError::Value {
            path: path.to_owned(),
            key: "suite",
            problem: error.to_string(),
        })?;
        Ok(Self {
            repository: String::new(),
            suite,
            packages: Vec::new(),
            repository_keyring: PathBuf::new(),
            package_keyring: PathBuf::new(),
            required_signatures: default_signatures(),
            architecture: None,
            ca: None,
            credentials: Credentials::default(),
            state_dir: recovery.state_dir.filter(|dir| dir.is_absolute()).unwrap_or_else(|| root.join(STATE_DIR)),
            root,
            poll_interval: Duration::from_secs(default_poll_interval()),
            scripts: recovery.scripts,
            install_timeout: Duration::from_secs(default_install_timeout()),
        })
    }

    /// Reads and checks the file. `root` is the device's file system; paths in the file are the host's.
    pub(crate) fn load(path: &Path, root: &Path) -> Result<Self, ConfigError> {
        let text = read("the configuration", path)?;
        let text = String::from_utf8_lossy(&text);
        let raw: RawConfig = toml::from_str(&text)
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), problem: error.to_string() })?;
        let value = |key, problem: &str| ConfigError::Value { path: path.to_owned(), key, problem: problem.to_owned() };
        let repository = raw.repository.trim_end_matches('/').to_owned();
        if !repository.starts_with("https://") && !repository.starts_with("http://") {
            return Err(value("repository", "must be a URL that begins with https:// or http://"));
        }
        let certificate = match (raw.client_certificate, raw.client_key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(value("client-certificate and client-key", "belong together")),
        };
        let credentials = Credentials { token: raw.token_file, certificate };
        if credentials.certificate.is_some() && !repository.starts_with("https://") {
            return Err(value(
                "client-certificate",
                "is shown over HTTPS only; the repository must begin with https://",
            ));
        }
        if credentials.token.is_some() && !keeps_secrets(&repository) {
            return Err(value(
                "token-file",
                "would be read by others on the way; the repository must begin with https://",
            ));
        }
        if raw.required_signatures.is_empty() {
            return Err(value("required-signatures", "must name at least one role, such as \"origin\""));
        }
        if raw.poll_interval == 0 || raw.install_timeout == 0 {
            return Err(value("poll-interval and install-timeout", "must be at least 1 second"));
        }
        let root = canonical_root(root)?;
        let state_dir = raw.state_dir.unwrap_or_else(|| root.join(STATE_DIR));
        if !state_dir.is_absolute() {
            return Err(value("state-dir", "must be an absolute path"));
        }
        Ok(Self {
            repository,
            suite: raw.suite,
            packages: raw.packages,
            repository_keyring: raw.repository_keyring,
            package_keyring: raw.package_keyring,
            required_signatures: raw.required_signatures,
            architecture: raw.architecture,
            ca: raw.ca,
            credentials,
            state_dir,
            root,
            poll_interval: Duration::from_secs(raw.poll_interval),
            scripts: raw.scripts,
            install_timeout: Duration::from_secs(raw.install_timeout),
        })
    }

    /// The keys that sign the suite's Release.
    pub(crate) fn repository_keys(&self) -> Result<Keyring, ConfigError> {
        keyring(&self.repository_keyring, "repository-keyring")
    }

    /// The keys that sign packages.
    pub(crate) fn package_keys(&self) -> Result<Keyring, ConfigError> {
        keyring(&self.package_keyring, "package-keyring")
    }
}

fn canonical_root(root: &Path) -> Result<PathBuf, ConfigError> {
    root.canonicalize().map_err(|cause| ConfigError::Read { what: "the device's root", path: root.to_owned(), cause })
}

/// From a file that may be cut off or misspelt: each of its lines counts that can be read alone.
fn recovery_config(text: &str) -> RecoveryConfig {
    let lines = text.lines().filter_map(|line| line.parse::<toml::Table>().ok()).flatten();
    let known = |table: toml::Table| table.try_into::<RecoveryConfig>().ok();
    lines.filter_map(|(key, value)| known(toml::Table::from_iter([(key, value)]))).fold(
        RecoveryConfig::default(),
        |all, line| RecoveryConfig {
            state_dir: line.state_dir.or(all.state_dir),
            scripts: if line.scripts == ScriptMode::default() { all.scripts } else { line.scripts },
        },
    )
}

/// Over HTTPS, or within this machine.
fn keeps_secrets(repository: &str) -> bool {
    let uri = repository.parse::<ureq::http::Uri>().ok();
    let host = uri.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    repository.starts_with("https://") || is_loopback
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|cause| ConfigError::Read { what, path: path.to_owned(), cause })
}

fn keyring(path: &Path, key: &'static str) -> Result<Keyring, ConfigError> {
    Keyring::from_bytes(&read(key, path)?).map_err(|cause| ConfigError::Keyring { path: path.to_owned(), key, cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_recovery_needs_is_found_in_a_broken_file() {
        let broken =
            "suite = \nnonsense\nscripts = \"chrootless\"\nstate-dir = \"/data/debfleet\" # here\npackages = [";
        let found = recovery_config(broken);
        assert_eq!(found.state_dir.as_deref(), Some(Path::new("/data/debfleet")));
        assert_eq!(found.scripts, ScriptMode::Chrootless);
        assert_eq!(recovery_config("state-dir = 7\n\0").state_dir, None);
    }

    #[test]
    fn a_token_does_not_travel_in_the_clear() {
        for good in ["https://updates.example.org/debian", "http://127.0.0.1:8080/debian", "http://[::1]/debian"] {
            assert!(keeps_secrets(good), "{good}");
        }
        for bad in ["http://updates.example.org/debian", "http://10.0.0.1/debian", "http://127.0.0.1@evil/debian"] {
            assert!(!keeps_secrets(bad), "{bad}");
        }
    }
}
